# SPDX-License-Identifier: Apache-2.0
"""Kills processes of a server under load and keeps the books: what was acknowledged must arrive.

The load generator writes down what became of each message, the sink what it took, each before the
other side can know. At the end: everything with a 250 has arrived unchanged; nothing that was refused or
broken off has; twice only where a death could have eaten the sink's reply.
"""
import collections
import os
import random
import shutil
import signal
import struct
import tempfile
import time
from pathlib import Path

from support.postern import CONF, PASSWORD, Postern
from support.process import BUILD, Process, free_ports, name_of, wait_for

TARGETS = ["smtpd", "auth", "queue", "relay", "control", "all", "master"]
# Deaths after which nothing may arrive twice: relay lives and has, or keeps for the new queue, each result.
NO_DUPLICATES = {"smtpd", "auth", "control", "queue"}
TOOLS = BUILD / "bench"
ENOUGH = 100  # acknowledged before and after each death


class Books:
    """A ledger that is read while it grows; whole lines only."""

    def __init__(self, path):
        self.path, self.offset = Path(path), 0

    def new(self):
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self.offset += end
        return [line.split(" ", 4) for line in data[:end].decode("ascii", "replace").splitlines()]


class Accounts:
    """What was sent and what arrived, and whether that is what was promised."""

    def __init__(self):
        self.acknowledged, self.unwanted = set(), {}  # ids; id -> what became of it
        self.unknown = set()
        self.arrived = collections.Counter()
        self.duplicates = collections.Counter()  # target -> second arrivals in its round
        self.sums = {}
        self.wrong = set()  # arrived with other bytes than were sent

    def _sum(self, name, checksum):
        if self.sums.setdefault(name, checksum) != checksum:
            self.wrong.add(name)

    def take_load(self, rows):
        """Enters what the load generator wrote down; how many were acknowledged."""
        count = 0
        for what, name, checksum, *_ in rows:
            if what in ("ok", "unknown"):
                self._sum(name, checksum)
            if what == "ok":
                self.acknowledged.add(name)
                count += 1
            elif what == "unknown":
                self.unknown.add(name)
            else:
                self.unwanted[name] = what
        return count

    def take_sink(self, rows, target):
        for _, name, checksum in rows:
            self.arrived[name] += 1
            if self.arrived[name] > 1:
                self.duplicates[target] += 1
            self._sum(name, checksum)

    def missing(self):
        return [name for name in self.acknowledged if name not in self.arrived]

    def verdict(self):
        """Raises AssertionError unless every promise was kept; returns the sums as a line of text."""
        assert not self.missing(), f"acknowledged, but lost: {self.missing()[:10]}"
        assert not self.wrong, f"arrived with other bytes: {sorted(self.wrong)[:10]}"
        ghosts = [name for name in self.unwanted if name in self.arrived]
        assert not ghosts, f"arrived although refused or broken off: {[(n, self.unwanted[n]) for n in ghosts[:10]]}"
        bad = {t: n for t, n in self.duplicates.items() if t in NO_DUPLICATES and n}
        assert not bad, f"arrived twice although relay lived: {bad}"
        return (f"{len(self.acknowledged)} acknowledged, 0 lost, {len(self.unknown)} without a reply of which "
                f"{len([u for u in self.unknown if u in self.arrived])} arrived, "
                f"{sum(self.duplicates.values())} arrived twice {dict(self.duplicates)}")


class Campaign:
    def __init__(self, seed=None, say=print):
        self.random = random.Random(seed)
        self.say = say
        self.folder = Path(tempfile.mkdtemp(prefix="postern-crash-", dir=BUILD))
        os.chmod(self.folder, 0o755)  # the server is another user
        self.accounts = Accounts()
        self.deaths = []
        self.number = 0
        port = free_ports(1)[0]
        self.sink_books = Books(self.folder / "sink.ledger")
        self.sink = Process([TOOLS / "postern-sink", "--listen", f"127.0.0.1:{port}", "--count",
                             self.folder / "count", "--ledger", self.sink_books.path], self.folder / "sink.log")
        self.sink.wait_ready(lambda: "listening" in self.sink.log())
        routes = (f'relay "sink" {{{{ host = "127.0.0.1:{port}"  tls = "none" }}}}\n'
                  'route "all" {{ via = "relay:sink" }}')
        self.server = Postern(routes=routes, conf=CONF, parent=self.folder)
        self.server.expect_deaths = True
        (self.folder / "password").write_text(PASSWORD + "\n")

    # ---- one round ------------------------------------------------------------------------
    def start_load(self):
        self.number += 1
        rate = self.random.choice([300, 1500, 0])
        size = self.random.choice([2000, 10000, 10000, 200000])
        ledger = Books(self.folder / f"load-{self.number}.ledger")
        command = [TOOLS / "postern-load", "--to", f"127.0.0.1:{self.server.submission}", "--user", "alice",
                   "--password-file", self.folder / "password", "--from", "alice@example.org", "--expect-breaks",
                   "--seconds", 60, "--concurrency", self.random.choice([1, 8, 30]), "--per-login",
                   self.random.choice([1, 20]), "--size", size, "--ledger", ledger.path, "--run", f"r{self.number}",
                   "--pipelining", self.random.choice(["none", "grouped", "full"])]
        if rate:
            command += ["--rate", rate]
        return Process(command, self.folder / "load.log"), ledger, f"{size} bytes, {rate or 'any'} a second"

    def take_load(self, ledger):
        return self.accounts.take_load(ledger.new())

    def take_sink(self, target):
        self.accounts.take_sink(self.sink_books.new(), target)

    def victims(self, target):
        if target == "all":
            return [self.server.process.pid, *self.server.pids()]
        if target == "master":
            return [self.server.process.pid]
        return self.server.pids(target)

    def kill(self, target):
        victims = self.victims(target)
        assert victims, f"no process {target} to kill; {self.server.tail()}"
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        if target not in ("all", "master"):
            return
        family = victims + self.server.pids()
        self.server.process.popen.wait()
        wait_for(lambda: not [p for p in family if name_of(p)], "the end of all processes", 15)
        self.server.process.kill()
        self.server.start()

    def round(self, target):
        load, ledger, kind = self.start_load()
        total = 0

        def acknowledged(count):
            nonlocal total
            total += self.take_load(ledger)
            if not load.running():
                raise AssertionError(f"the load generator ended: {load.log()[-1000:]}")
            return total >= count
        wait_for(lambda: acknowledged(ENOUGH), lambda: f"{ENOUGH} acknowledged before the death, there are {total}; "
                 f"{self.server.tail()}", 30)
        time.sleep(self.random.random() * 0.6)
        self.take_sink("before")
        start = time.monotonic()
        self.kill(target)
        total += self.take_load(ledger)
        before = total
        wait_for(lambda: acknowledged(before + ENOUGH), lambda: f"{ENOUGH} acknowledged after the death of {target}, "
                 f"there are {total - before}; {self.server.tail()}", 30)
        after = time.monotonic() - start
        load.stop(seconds=30)
        self.take_load(ledger)
        self.settle()
        self.take_sink(target)
        self.deaths.append((target, before, total - before))
        self.say(f"round {self.number}: {target} killed ({kind}); {before} acknowledged before, "
                 f"{ENOUGH} after {after:.1f} s")

    def settle(self):
        """Waits until no more arrives, so that what arrives belongs to its round."""
        last, since = -1, time.monotonic()
        end = since + 60
        while time.monotonic() < end:
            count = struct.unpack("4Q", (self.folder / "count").read_bytes())[0]
            if count != last:
                last, since = count, time.monotonic()
            elif time.monotonic() - since > 0.5:
                return
            time.sleep(0.05)

    # ---- the end --------------------------------------------------------------------------
    def missing(self):
        self.take_sink("end")
        return self.accounts.missing()

    def drain(self):
        """
        What was at its final dot when relay died waits ten minutes, so that it need not arrive twice;
        the operator can have it tried at once, and so do we.
        """
        try:
            wait_for(lambda: not self.missing(), "", 10, 0.2)
        except AssertionError:
            self.retried = len(self.missing())
            self.server.command("queue", "retry", "--all", check=True)
            wait_for(lambda: not self.missing(), lambda: f"acknowledged, but lost: {len(self.missing())} of "
                     f"{len(self.accounts.acknowledged)}: {self.missing()[:5]}; {self.server.tail()}", 60, 0.2)

    retried = 0

    def verdict(self):
        self.settle()
        self.take_sink("end")
        return f"{len(self.deaths)} deaths, {self.accounts.verdict()}, {self.retried} waited for a retry"

    def run(self, targets):
        self.server.start()
        for target in targets:
            self.round(target)
        self.drain()
        text = self.verdict()
        self.server.stop()
        return text

    def close(self):
        self.server.discard()
        self.sink.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def campaign(targets, seed=None, say=print):
    seed = random.randrange(1 << 32) if seed is None else seed
    say(f"seed {seed}")
    books = Campaign(seed, say)
    try:
        return books.run(targets)
    finally:
        books.close()
