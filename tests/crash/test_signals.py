# SPDX-License-Identifier: Apache-2.0
"""Signals in any number, and a process that somebody makes crash again and again."""
import os
import signal
import threading
import time

import pytest
from support import mail
from support.postern import Postern
from support.process import wait_for

# What reaches a server from its terminal, its children and its manager, and must not end it.
HARMLESS = [signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT]


@pytest.fixture
def server():
    with Postern(settings="smtpd_processes = 2\n") as running:
        yield running


def caught(pid):
    """Numbers of the signals that the process has handlers for."""
    with open(f"/proc/{pid}/status") as status:
        mask = int(next(line for line in status if line.startswith("SigCgt:")).split()[1], 16)
    return {n for n in range(1, 32) if mask & 1 << (n - 1)}


class Storm(threading.Thread):
    """A thousand signals a second to master and all its children."""

    def __init__(self, pids):
        super().__init__()
        self.pids, self.sent, self.stopped = pids, 0, threading.Event()

    def run(self):
        while not self.stopped.is_set():
            for number in HARMLESS:
                for pid in self.pids:
                    try:
                        os.kill(pid, number)
                        self.sent += 1
                    except ProcessLookupError:
                        pass
                    if self.sent % 10 == 0:
                        time.sleep(0.01)


def test_m5_a_storm_of_signals_costs_nothing(server):
    before = server.pids()
    storm = Storm([server.process.pid, *before])
    storm.start()
    try:
        for number in range(20):
            server.send(mail.message(f"In the storm {number}"))
        server.wait_captured(20, 60)
        wait_for(lambda: storm.sent > 2000, "two thousand signals", 60)
    finally:
        storm.stopped.set()
        storm.join()
    assert server.pids() == before, "a process was lost"
    # It reloads as often as it can, no more, and still obeys the last one: Postern.stop() checks.


def test_m5_handlers_are_the_loops_alone(server):
    """Only master has any, for the four it acts on; libuv's write to a pipe and return."""
    wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
    assert caught(server.process.pid) <= wanted, caught(server.process.pid)
    for pid in server.pids():
        left = caught(pid) - wanted
        assert not left or sanitizer_only(left), (pid, left)


def sanitizer_only(numbers):
    """Sanitizers catch crashes to tell about them."""
    return numbers <= {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP}


def place(pid):
    """Where the program lies in memory."""
    try:
        with open(f"/proc/{pid}/maps") as maps:
            return maps.readline().split("-")[0]
    except OSError:
        return ""


def test_m6_a_crashing_smtpd_is_started_anew_with_pauses(server):
    server.expect_deaths = True
    first, other = server.pids("smtpd")
    places, times, victims = [], [], set()
    victim = first
    for round_number in range(7):
        places.append(place(victim))
        victims.add(victim)
        os.kill(victim, signal.SIGSEGV)
        times.append(time.monotonic())
        # Mail goes on in the one that lives, all the while.
        server.send(mail.message(f"Meanwhile {round_number}"))
        victim = wait_for(lambda: next((p for p in server.pids("smtpd") if p != other and p not in victims), 0),
                          lambda: f"another smtpd:\n{server.tail()}", 60)
    server.wait_captured(7, 60)
    assert other in server.pids("smtpd"), "the other smtpd died too"
    pauses = [b - a for a, b in zip(times, times[1:])]
    # At first soon, for people; then no more than one a second, for whoever guesses addresses.
    assert pauses[0] < 5, pauses
    assert all(pause >= 0.9 for pause in pauses[-2:]), pauses
    assert sum(places.count(p) > 1 for p in set(places)) == 0, f"twice at the same place: {places}"
    assert len(server.events("died")) >= 7, server.tail()
