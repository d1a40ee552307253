# SPDX-License-Identifier: Apache-2.0
"""Floods, and meanwhile a person who logs in and sends a message within a second, each time."""
import base64
import os
import smtplib
import subprocess
import sys
import threading
import time
from pathlib import Path

from support.postern import CONF, PASSWORD, PROGRAM, Postern
from support.process import Process, cpu_seconds, memory, run, wait_for

ATTACK = Path(__file__).parent / "attack.py"
EVERYWHERE = CONF.replace("127.0.0.1:{submission}", "*:{submission}").replace("127.0.0.1:{submissions}", "*:{submissions}")
MAIL = b"From: alice@example.org\r\nSubject: x\r\n\r\nhello\r\n"


class Skipped(Exception):
    """What is missing to measure this."""


class Namespaces:
    """Network namespaces of our own, each joined to us by a pair of interfaces; gone afterwards."""

    def __init__(self, count):
        if os.geteuid() != 0:
            raise Skipped("network namespaces need root")
        self.names = [f"postern-{os.getpid()}-{n}" for n in range(count)]
        self.hosts = [f"10.211.{os.getpid() % 200 + n}.1" for n in range(count)]

    def __enter__(self):
        for n, (name, host) in enumerate(zip(self.names, self.hosts)):
            pair = f"pt{os.getpid() % 100000}{n}"
            for command in [f"ip netns add {name}", f"ip link add {pair} type veth peer name eth0 netns {name}",
                            f"ip addr add {host}/24 dev {pair}", f"ip link set {pair} up",
                            f"ip -n {name} addr add {host[:-1]}2/24 dev eth0", f"ip -n {name} link set eth0 up"]:
                done = run(command.split())
                if done.returncode != 0:
                    self.__exit__()
                    raise Skipped(f"{command}: {done.stderr.strip()}")
        return self

    def __exit__(self, *_):
        for name in self.names:
            run(["ip", "netns", "del", name])  # its interface, and with it our end, goes with it


def plain(name, password):
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


def attack(host, port, count, seconds, kind, netns=None):
    prefix = ["ip", "netns", "exec", netns] if netns else []
    return subprocess.Popen(["prlimit", "--nofile=20000:20000", *prefix, sys.executable, ATTACK, host, str(port),
                             str(count), str(seconds), kind], stdout=subprocess.PIPE, text=True)


def told(attackers):
    return "; ".join(a.communicate(timeout=60)[0].strip() for a in attackers)


class Person:
    """Logs in and sends a message, again and again; one that is told 421 comes back at once, on the same clock."""

    def __init__(self, server, patient=False):
        self.server, self.patient, self.times, self.wrong, self.tries = server, patient, [], [], 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.live)

    def once(self, started):
        while True:
            self.tries += 1
            try:
                client = smtplib.SMTP("127.0.0.1", self.server.submission, timeout=10)
                client.starttls(context=self.server.context())
                client.login("alice", PASSWORD)
                client.sendmail("alice@example.org", ["bob@sink.example"], MAIL)
                client.quit()
                return
            except (OSError, smtplib.SMTPException) as why:
                if not self.patient or time.monotonic() - started > 10:
                    raise
                if "421" not in str(why) and not isinstance(why, (smtplib.SMTPServerDisconnected, OSError)):
                    raise
                time.sleep(0.02)

    def live(self):
        while not self.over.wait(0.3):
            started = time.monotonic()
            try:
                self.once(started)
                self.times.append(time.monotonic() - started)
            except (OSError, smtplib.SMTPException) as why:
                self.wrong.append(repr(why))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(60)

    def check(self, least=5):
        assert not self.wrong, f"{len(self.wrong)} of {len(self.wrong) + len(self.times)} failed: {self.wrong[:3]}"
        assert len(self.times) >= least, f"only {len(self.times)} messages"
        assert max(self.times) < 1, f"the slowest took {max(self.times):.2f} s"
        return f"{len(self.times)} logins with a message, slowest {max(self.times) * 1000:.0f} ms"


def limits_of(server):
    return {row["limit"]: row for row in server.json("status") if "limit" in row}


def test_m1_slowloris_4000_from_three_networks():
    with Namespaces(3) as nets, Postern(conf=EVERYWHERE) as server:
        attackers = [attack(host, server.submission, 1334, 40, "slow", name) for name, host in zip(nets.names, nets.hosts)]
        time.sleep(5)
        with Person(server) as person:
            time.sleep(30)
            now = limits_of(server)
        what = told(attackers)
        assert now["sessions"]["now"] >= 500, now["sessions"]
        return f"{person.check()}; {now['sessions']['now']} sessions held ({what})"


def test_m1_a_message_that_trickles_in_is_cut_off():
    with Postern() as server:
        client = server.client()
        client.mail("alice@example.org")
        client.rcpt("bob@sink.example")
        client.docmd("DATA")
        started = time.monotonic()
        client.sock.settimeout(5)
        while time.monotonic() - started < 120:
            client.sock.sendall(b"x")
            try:
                if not client.sock.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        took = time.monotonic() - started
        assert 55 <= took <= 80, f"cut off after {took:.0f} s"
        wait_for(lambda: limits_of(server)["min_rate"]["struck"] == 1, "it to be counted")
        return f"cut off after {took:.0f} s"


def test_b12_2000_half_handshakes():
    with Namespaces(3) as nets, Postern(conf=EVERYWHERE) as server:
        attackers = [attack(host, server.submissions, 667, 25, "half", name) for name, host in zip(nets.names, nets.hosts)]
        time.sleep(4)
        with Person(server) as person:
            time.sleep(18)
            now = limits_of(server)
        what = told(attackers)
        return f"{person.check()}; {now['sessions']['now']} half handshakes held ({what})"


def test_m3_no_descriptors_left():
    """A limit of 64 descriptors and 300 connections that want them: a person gets in, the processor rests."""
    server = Postern(settings="smtpd_processes = 1")
    server.spawn = lambda: setattr(server, "process", Process(
        ["prlimit", "--nofile=64:64", PROGRAM, "serve", "-c", server.conf], server.folder / "log", **server.who))
    with server:
        flood = attack("127.0.0.1", server.mta, 300, 22, "idle")
        time.sleep(3)
        smtpd = server.pid("smtpd")
        before, since = cpu_seconds(smtpd), time.monotonic()
        with Person(server, patient=True) as person:
            time.sleep(15)
        used = (cpu_seconds(smtpd) - before) / (time.monotonic() - since)
        what = told([flood])
        assert limits_of(server)["descriptors"]["struck"] > 0
        assert used < 0.2, f"smtpd used {used:.0%} of a core"
        return f"{person.check()} in {person.tries} tries; smtpd used {used:.0%} of a core ({what})"


def test_a9_a_gigabyte_without_a_newline():
    """On 200 connections at a time, opened again as they are closed: memory does not follow."""
    with Postern(limits="sessions_per_source = 1000", settings="smtpd_processes = 1") as server:
        smtpd = server.pid("smtpd")
        warm = [smtplib.SMTP("127.0.0.1", server.mta) for _ in range(200)]
        before = memory(smtpd)
        for client in warm:
            client.close()
        flood = attack("127.0.0.1", server.mta, 200, 120, "endless")
        with Person(server) as person:
            most = 0
            while flood.poll() is None:
                most = max(most, memory(smtpd))
                time.sleep(0.05)
        what = told([flood])
        sent = int(what.rsplit(" ", 1)[1])
        each = (most - before) / 200
        assert sent >= 1 << 30, f"only {sent} bytes were sent"
        assert each < 65536, f"{each / 1024:.0f} KiB for each connection"
        return f"{sent / 2**30:.1f} GiB, {max(0, each) / 1024:.0f} KiB for each connection; {person.check(3)}"


def test_c12_500_logins_at_once():
    """Hashing has its bound: nobody's other commands wait for it, and it takes no more memory."""
    with Postern(conf=CONF + "auth {{ block_after = 0 }}\n", limits="sessions_per_source = 1000") as server:
        auth = server.pid("auth")
        neighbour = server.client()
        before, codes, waits = memory(auth), [], []

        def log_in(n):
            client = server.client(user=None)
            client.ehlo()
            gate.wait(60)
            codes.append(client.docmd("AUTH PLAIN " + plain("alice", f"wrong{n}"))[0])
            client.close()

        gate = threading.Barrier(501)
        threads = [threading.Thread(target=log_in, args=(n,)) for n in range(500)]
        for thread in threads:
            thread.start()
        gate.wait(60)
        while any(thread.is_alive() for thread in threads):
            start = time.monotonic()
            assert neighbour.noop()[0] == 250
            waits.append(time.monotonic() - start)
            time.sleep(0.01)
        grown = memory(auth) - before
    assert len(codes) == 500 and set(codes) <= {535, 454}, (len(codes), set(codes))
    waits.sort()
    assert waits[len(waits) * 99 // 100] < 0.05, waits[-5:]
    assert grown < 32 << 20, grown
    return (f"{codes.count(535)} decided, {codes.count(454)} told 454; NOOP of another: median "
            f"{1000 * waits[len(waits) // 2]:.1f} ms, worst {1000 * waits[-1]:.1f} ms; auth grew {grown >> 10} KiB")
