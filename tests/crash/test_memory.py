# SPDX-License-Identifier: Apache-2.0
"""Memory that cannot be had (threats M4): whichever allocation of a process fails, the process may
die and is started anew, but what was acknowledged arrives, once, as it was sent, and the next
person is served. POSTERN_EVERY_MALLOC=1 tries each allocation of a session; otherwise a sample."""
import mmap
import os
import smtplib
import ssl
import struct
import subprocess
import time
from pathlib import Path

import pytest
from support.postern import Postern
from support.process import wait_for

HERE = Path(__file__).resolve().parent
SIZE = 64
SAMPLE = 12  # allocations of a process that are tried, spread over all those of a session
SETTLED = 0.5  # seconds after a message arrived in which processes are through with it


class Order:
    """The file that tells the preloaded library which allocation is to fail."""

    def __init__(self, folder, owner):
        self.path = folder / "fail-malloc"
        self.path.write_bytes(b"\0" * SIZE)
        self.path.chmod(0o666)
        self.library = folder / "fail_malloc.so"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", self.library, HERE / "fail_malloc.c"],
                       check=True)
        if owner:
            os.chown(self.path, owner["user"], owner["group"])
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), SIZE)

    def give(self, process, left):
        self.map[:8] = struct.pack("=ii", 0, 0)
        self.map[8:SIZE] = process.encode().ljust(SIZE - 8, b"\0")
        self.map[:4] = struct.pack("=i", left)

    def count(self):
        return struct.unpack("=i", self.map[4:8])[0]

    def carried_out(self):
        return struct.unpack("=i", self.map[:4])[0] <= 0


@pytest.fixture
def server():
    with open("/proc/self/maps") as maps:
        assert "fail_malloc" not in maps.read()
    it = Postern(settings="smtpd_processes = 1\n")
    if sanitized(it):
        pytest.skip("sanitizers have an allocator of their own")
    it.order = Order(it.folder, it.who)
    it.environment.update(LD_PRELOAD=str(it.order.library), FAIL_MALLOC=str(it.order.path))
    it.expect_deaths = True
    with it:
        yield it


def sanitized(server):
    program = Path(os.environ.get("POSTERN_BUILD", "build")) / "stage/usr/local/libexec/postern/smtpd"
    return b"__asan_init" in program.read_bytes()


def session(server, name):
    """A login and a message; True: acknowledged, False: refused, None: nobody said."""
    at_dot = False
    try:
        with smtplib.SMTP("127.0.0.1", server.submission, timeout=15) as client:
            client.starttls(context=server.context())
            client.login("alice", "correct horse battery")
            client.mail("alice@example.org")
            client.rcpt("bob@sink.example")
            at_dot = True
            code, _ = client.data(f"From: alice@example.org\r\nSubject: {name}\r\n\r\n{name} is here\r\n".encode())
            return code == 250
    except (smtplib.SMTPException, OSError, ssl.SSLError):
        return None if at_dot else False


def names(server):
    """Of what arrived, each message read whole."""
    found = []
    for path in server.captured():
        text = path.read_text()
        name = text.split("Subject: ", 1)[1].split("\n", 1)[0].strip()
        assert text.rstrip().endswith(f"{name} is here"), text
        found.append(name)
    return found


def allocations(server, process):
    """How many one session costs the process, once warm."""
    assert session(server, f"warm-{process}")
    wait_for(lambda: f"warm-{process}" in names(server), "the first message")
    server.order.give(process, 0)
    assert session(server, f"count-{process}")
    wait_for(lambda: f"count-{process}" in names(server), "the second message")
    counts = [-1, server.order.count()]
    while counts[-1] != counts[-2]:  # until it is through with it
        time.sleep(SETTLED)
        counts.append(server.order.count())
    return counts[-1]


def carried_out(server, name):
    """Whether the order was, by the time that all the work of a session is done: queue and relay go on after the reply
    to the client, and a message may go a second time, through a new process, when the first try died."""
    def over():
        return server.order.carried_out() or name in names(server)
    wait_for(over, lambda: f"{name} to arrive, or its allocation to fail:\n{server.tail()}", 60)
    # What follows the arrival (results, records of what was done) takes a moment; and then nothing more comes.
    end = time.monotonic() + SETTLED
    while not server.order.carried_out() and time.monotonic() < end:
        time.sleep(0.02)
    return server.order.carried_out()


@pytest.mark.parametrize("process", ["smtpd", "auth", "queue", "relay"])
def test_m4_any_allocation_may_fail(server, process):
    total = allocations(server, process)
    assert total > 3, total
    step = 1 if os.environ.get("POSTERN_EVERY_MALLOC") else max(1, total // SAMPLE)
    promised, unwanted, tried = set(), set(), 0
    for at in range(1, total + 1, step):
        name = f"{process}-{at}"
        server.order.give(process, at)
        outcome = session(server, name)
        # One that was refused, or that nobody answered, need not arrive: the order is why, then.
        tried += carried_out(server, name) if outcome else server.order.carried_out()
        server.order.give("nobody", 0)
        (promised if outcome else unwanted if outcome is False else set()).add(name)
        # Whoever comes next is served: at once, or once the process is there again.
        wait_for(lambda n=name: session(server, f"after-{n}"), lambda: f"service after allocation {at}:\n{server.tail()}",
                 40, 0.3)
        promised.add(f"after-{name}")
    tries = len(range(1, total + 1, step))
    # A later session may need a few less: not a quarter of them.
    assert tried * 4 >= tries * 3, f"only {tried} of {tries} allocations failed"
    wait_for(lambda: promised <= set(names(server)), lambda: f"{promised - set(names(server))} to arrive:\n"
             f"{server.tail()}", 60)
    arrived = names(server)
    assert not unwanted & set(arrived), unwanted & set(arrived)
    if process != "relay":  # the death of relay can eat the sign that a message was taken
        twice = {n for n in promised if arrived.count(n) > 1 and not n.startswith("after-")}
        assert not twice, twice
    assert server.process.running()
    print(f"{process}: {tried} of {total} allocations failed, {len(unwanted)} messages refused")
