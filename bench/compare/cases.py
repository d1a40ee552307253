# SPDX-License-Identifier: Apache-2.0
"""The work: one function for each column. Each starts a fresh server and returns what was measured."""
import json
import subprocess
import time

from support.process import run, wait_for

from . import servers

LAPTOP = {"per-login": 1, "concurrency": 50, "size": 10000}
BULK = {"per-login": 100, "concurrency": 20, "size": 10000}
BIG = {"per-login": 10, "concurrency": 10, "size": 2000000}


def load_command(server, **options):
    command = [str(servers.TOOLS / "postern-load"), "--to", f"127.0.0.1:{server.port}", "--tls", "starttls",
               "--user", server.login, "--password-file", str(server.folder / "password")]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return command


def load(server, **options):
    done = run(load_command(server, **options), timeout=900)
    if not done.stdout.startswith("{"):
        raise SystemExit(f"{server.name}: the load generator failed: {done.stderr}")
    result = json.loads(done.stdout)
    if result["refused"] or result["broken"]:
        raise SystemExit(f"{server.name}: {result['refused']} messages refused, {result['broken']} connections "
                         f"broken; the first: {result['why']}")
    return result


def transfer(kind, work, messages):
    """Sends so many messages and waits for all of them at the sink."""
    with kind() as server:
        load(server, messages=max(work["concurrency"], 20), **work)  # everything is warm after that
        wait_for(lambda: server.sink.count()[0] >= max(work["concurrency"], 20), "the first messages at the sink", 60)
        before, cpu, start = server.sink.count()[0], server.cpu(), time.monotonic()
        result = load(server, messages=messages, **work)
        wait_for(lambda: server.sink.count()[0] >= before + messages,
                 lambda: f"{messages} messages at the sink of {server.name}, there are "
                 f"{server.sink.count()[0] - before}", 600, 0.05)
        end = server.sink.count()[1]
        time.sleep(0.3)  # what is done after the last delivery counts too
        return {"rate": result["rate"], "through": messages / (end - start),
                "cpu_ms": (server.cpu() - cpu) * 1000 / messages, "p50": result["final_reply_ms"]["p50"],
                "p99": result["final_reply_ms"]["p99"], "login_p50": result["login_ms"]["p50"],
                "told": server.told()}


def laptop(kind, short):
    return transfer(kind, LAPTOP, 600 if short else 5000)


def bulk(kind, short):
    return transfer(kind, BULK, 3000 if short else 30000)


def big(kind, short):
    return transfer(kind, BIG, 60 if short else 500)


def idle(kind, short):
    """Memory of a logged-in connection that does nothing."""
    held = 100 if short else 200
    if kind.name == "postern":
        held *= 10  # a few would not be seen beside what else goes on in a process
    with kind(held=held) as server:
        load(server, messages=4, **{**LAPTOP, "concurrency": 2})  # a few, so that little is freed and used again
        time.sleep(2)
        before = server.memory()
        command = load_command(server, concurrency=held) + ["--hold"]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            said = holder.stdout.readline()
            if said != f"held {held} of {held}\n":
                raise SystemExit(f"{server.name}: could not hold {held} connections: {said}")
            time.sleep(3)  # buffers of idle connections are given back after a while
            grown = server.memory() - before
        finally:
            holder.communicate("", timeout=60)
    return {"bytes": grown / held, "held": held}


def steady(kind, short):
    """Time from the final dot to 250 at 70 % of what the server takes in bulk."""
    with kind() as server:
        load(server, messages=100, **BULK)
        most = load(server, seconds=2 if short else 5, **BULK)["rate"]
        wait_for(lambda: server.sink.count()[0] > 0, "messages at the sink", 60)
        last = -1
        while server.sink.count()[0] != last:  # the queue is empty before the next part
            last = server.sink.count()[0]
            time.sleep(1)
        result = load(server, seconds=3 if short else 10, rate=max(1, int(most * 0.7)), **BULK)
        return {"rate": result["rate"], "p50": result["final_reply_ms"]["p50"], "p99": result["final_reply_ms"]["p99"]}


CASES = {"laptop": laptop, "bulk": bulk, "big": big, "idle": idle, "steady": steady}
