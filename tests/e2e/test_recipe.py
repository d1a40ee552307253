# SPDX-License-Identifier: Apache-2.0
"""
A server with every limit of the classic recipe for an SMTP AUTH server with sendmail: message size
20480000, command 5 minutes, data block and data final 10, 20 sessions, 3 new ones a second, a slow-down
after 5 bad recipients, refuse_load 12, queue_load 8, ETRN off, a login required; and each takes effect.
What takes minutes, or a load that a test does not make, is shown with smaller numbers as well.
"""
import time

import pytest
from support.postern import CONF, Postern
from support.process import wait_for
from support.raw import Raw
from test_limits import close, inside, login, source, struck

SIZE = 20480000
LIMITS = "message_size = 20480000  sessions = 20  connection_rate = 3  bad_recipients = 5"
LOADS = "refuse_load = 12  queue_load = 8"
OURS = 'accept_for = {{ "ours.example" }}'
TIMEOUTS = "timeouts {{ command = 5m  data_block = 10m  data_final = 10m }}\n"


@pytest.fixture(scope="module")
def server():
    with Postern(conf=CONF + TIMEOUTS, settings=OURS, limits=LIMITS) as running:
        yield running


@pytest.fixture()
def busy(server):
    """Such a server on a machine with more load than it wants: any has more than 0.01."""
    end = time.monotonic() + 10
    wait_for(lambda: time.monotonic() > end or float(open("/proc/loadavg").read().split()[0]) >= 0.02, "some load", 20)
    yield server
    server.configure(limits=LIMITS)
    server.command("reload", check=True)


def body(size):
    head = b"From: alice@example.org\r\nSubject: x\r\n\r\n"
    line = b"x" * 998 + b"\r\n"
    rest = size - len(head)
    return head + line * (rest // 1000 - 1) + b"y" * (rest % 1000 + 998) + b"\r\n"


def test_every_value_is_in_force(server):
    server.configure(limits=LIMITS + "  " + LOADS)
    server.command("reload", check=True)
    assert {name: struck(server, name)["value"] for name in
            ["message_size", "sessions", "connection_rate", "bad_recipients", "refuse_load", "timeouts"]} == {
                "message_size": str(SIZE), "sessions": "20", "connection_rate": "3", "bad_recipients": "5",
                "refuse_load": "12.00", "timeouts": "command 300s, data_block 600s"}
    server.configure(limits=LIMITS)
    server.command("reload", check=True)


def test_message_size(server):
    raw = Raw(server.submission)
    login(raw)
    assert f"SIZE {SIZE}" in raw.command("EHLO client.example", 250)
    assert raw.command(f"MAIL FROM:<alice@example.org> SIZE={SIZE + 1}").startswith("552 5.3.4")
    for size, code in [(SIZE + 1000, "552 5.3.4"), (SIZE - 1000, "250")]:
        raw.command("MAIL FROM:<alice@example.org>", 250)
        raw.command("RCPT TO:<bob@sink.example>", 250)
        raw.command("DATA", 354)
        raw.send(body(size) + b".\r\n")
        assert raw.reply().startswith(code)
    raw.command("QUIT", 221)


def test_sessions_and_their_rate(server):
    time.sleep(1.1)
    started = time.monotonic()
    waiting = [Raw(server.submission, source=source(n), greet=False) for n in range(20)]
    people = []
    for raw in waiting:
        raw.greeting = raw.reply()
        assert raw.greeting.startswith("220"), raw.greeting
        login(raw)
        people.append(raw)
    # Three at once, then three a second.
    assert time.monotonic() - started >= 4.9
    late = Raw(server.submission, source=source(50))
    assert late.greeting.startswith("421 4.3.2 Too many connections"), late.greeting
    assert struck(server, "sessions")["now"] == 20
    close(people)
    wait_for(lambda: struck(server, "sessions")["now"] == 0, "the sessions to end")


def test_bad_recipients(server):
    raw = Raw(server.mta)
    raw.command("EHLO client.example", 250)
    raw.command("MAIL FROM:<x@far.example>", 250)
    started = time.monotonic()
    for n in range(5):
        raw.command(f"RCPT TO:<x{n}@elsewhere.example>", 5)
    quick = time.monotonic() - started
    started = time.monotonic()
    raw.command("RCPT TO:<a@ours.example>", 250)
    assert time.monotonic() - started >= 0.95 and quick < 2, quick
    raw.socket.close()


def test_a_login_is_required_and_etrn_is_not_offered(server):
    raw = Raw(server.submission)
    assert "ETRN" not in raw.command("EHLO client.example", 250)
    assert raw.command("MAIL FROM:<alice@example.org>").startswith("530 5.7.0")
    login(raw)
    assert "ETRN" not in raw.command("EHLO client.example", 250)
    assert raw.command("ETRN example.org")[0] == "5"
    raw.command("QUIT", 221)


def test_refuse_load(busy):
    busy.configure(limits=LIMITS + "  refuse_load = 0.01")
    busy.command("reload", check=True)
    assert Raw(busy.submission).greeting.startswith("421 4.3.2 The server is overloaded")
    assert struck(busy, "refuse_load")["struck"] >= 1


def test_queue_load(busy):
    """Above it mail is taken and waits; below it again, what waited is delivered."""
    def queue():
        return next(row for row in busy.json("status") if row.get("process") == "queue" and "queue_load" in row)
    strikes = queue()["queue_load_strikes"]
    busy.configure(limits=LIMITS + "  queue_load = 0.01")
    busy.command("reload", check=True)
    wait_for(lambda: queue()["queue_load_strikes"] == strikes + 1, "the load to be looked at")
    before = len(busy.captured())
    busy.send(b"From: alice@example.org\r\nSubject: later\r\n\r\nx\r\n", ["later@sink.example"])
    time.sleep(3)
    row = busy.json("queue", "list", "--to", "later@sink.example")
    row = row[0] if isinstance(row, list) else row
    assert row["state"] == "waiting" and row["attempts"] == 0, row
    assert len(busy.captured()) == before
    busy.configure(limits=LIMITS + "  queue_load = 10000")
    busy.command("reload", check=True)
    busy.wait_captured(before + 1)
    assert "deliveries are started again" in busy.log()


def test_inode_reserve(server):
    """More than the disk has: 452 before the body; mail is taken again when it is less."""
    def answer():
        raw = inside(server.submission, 60, "alice")
        reply = raw.command("MAIL FROM:<alice@example.org>")
        if reply.startswith("250"):
            raw.command("RCPT TO:<bob@sink.example>")
            reply = raw.command("DATA")
        raw.socket.close()
        return reply
    server.configure(limits=LIMITS + "  inode_reserve = 1000000000")
    server.command("reload", check=True)
    try:
        wait_for(lambda: answer().startswith("452 4.3.1"), lambda: server.tail(), pause=0.5)
        assert "limits.inode_reserve 1000000000; make room there" in server.log()
    finally:
        server.configure(limits=LIMITS)
        server.command("reload", check=True)
    wait_for(lambda: answer().startswith("354"), lambda: server.tail(), pause=0.5)


def test_time_outs():
    """The same phases with a second for each minute and more."""
    with Postern(conf=CONF + "timeouts {{ command = 1s  data_block = 2s }}\n", limits=LIMITS) as server:
        idle = Raw(server.mta)
        started = time.monotonic()
        assert idle.line().startswith("421 4.4.2 Timeout")
        assert time.monotonic() - started >= 0.9
        raw = inside(server.submission, 1, "alice")
        raw.command("MAIL FROM:<alice@example.org>", 250)
        raw.command("RCPT TO:<bob@sink.example>", 250)
        raw.command("DATA", 354)
        raw.send(b"From: alice@example.org\r\n")
        started = time.monotonic()
        with pytest.raises(EOFError):
            raw.line()
        assert 1.8 <= time.monotonic() - started
        wait_for(lambda: struck(server, "timeouts")["struck"] == 2, "both to be counted")
        assert not server.captured()
