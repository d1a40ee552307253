# SPDX-License-Identifier: Apache-2.0
"""Bytes out are bytes in, however they come; and a large message costs nobody memory."""
import hashlib
import os
import re
import threading
import time

import pytest
from support import mail, postern
from support.postern import PASSWORD, Postern, all_to
from support.process import memory, name_of, wait_for
from support.raw import Raw
from support.sink import Sink

MB = 1000000
# AddressSanitizer keeps freed memory back, 256 MB by default; here memory is what we look at.
QUARANTINE = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=4"]))


@pytest.fixture(scope="module")
def pair():
    with Sink() as sink:
        with Postern(routes=all_to(sink.port), settings='accept_for = {{ "sink.example" }}',
                     environment={"ASAN_OPTIONS": QUARANTINE}) as server:
            yield server, sink


def logged_in(server):
    raw = Raw(server.submission)
    raw.starttls()
    raw.login("alice", PASSWORD)
    return raw


def next_message(sink, action):
    known = len(sink.received)
    action()
    return sink.wait(known + 1)[-1]


def test_awkward_message(pair):
    server, sink = pair
    data = mail.awkward()
    received = next_message(sink, lambda: server.send(data))
    mail.trace_of(received.data, data)


def stuffed(data):
    return (b"." + data if data.startswith(b".") else data).replace(b"\r\n.", b"\r\n..") + b".\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 16384, 65537])
def test_any_split(pair, size):
    """The same bytes in parts of any size, so that every CR, LF and dot is once the first of a read."""
    server, sink = pair
    data = mail.awkward() if size < 100 else mail.large(200000)

    def send():
        with logged_in(server) as raw:
            raw.envelope()
            raw.dribble(stuffed(data), size)
            assert raw.reply().startswith("250")
    mail.trace_of(next_message(sink, send).data, data)


def test_everything_in_one_packet(pair):
    """PIPELINING (RFC 2920): two whole messages without waiting for a reply but DATA's."""
    server, sink = pair
    known = len(sink.received)
    envelope = b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@sink.example>\r\nDATA\r\n"
    first, second = mail.message("Pipelined one"), mail.message("Pipelined two")
    with logged_in(server) as raw:
        raw.send(envelope)
        assert [raw.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        raw.send(stuffed(first) + envelope)
        assert [raw.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        raw.send(stuffed(second) + b"QUIT\r\n")
        assert [raw.reply()[:3] for _ in range(2)] == ["250", "221"]
    received = sink.wait(known + 2)[known:]
    for data in [first, second]:
        assert any(r.data.endswith(data) for r in received)


ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r", b"\r\n\0.\r\n"]
INNER = b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<evil@sink.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"


@pytest.mark.parametrize("end", ENDS)
def test_only_crlf_dot_crlf_ends_a_message(pair, end):
    """What others take for the end of a message is none here; those who are logged in get it repaired."""
    server, sink = pair
    known = len(sink.received)
    with logged_in(server) as raw:
        raw.envelope()
        raw.send(mail.message("Outer") + b"text" + end + INNER + b"\r\n.\r\n")
        reply = raw.reply()
        assert reply[:3] == ("250" if b"\0" not in end else "521"), reply
    if reply.startswith("250"):
        whole = sink.wait(known + 1)[-1].data
        assert b"Subject: smuggled" in whole
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", whole), "a bare CR or LF was passed on"
    time.sleep(0.2)
    assert len(sink.received) == known + (reply[0] == "2")
    assert all("evil@sink.example" not in r.recipients for r in sink.received)


@pytest.mark.parametrize("end", ENDS)
def test_strangers_may_not_even_try(pair, end):
    server, sink = pair
    known = len(sink.received)
    with Raw(server.mta) as raw:
        raw.command("EHLO client.example", 250)
        raw.envelope("someone@elsewhere.example", "bob@sink.example")
        raw.send(mail.message("Outer") + b"text" + end + INNER + b"\r\n.\r\n")
        assert raw.reply().startswith("521 5.5.2")
        assert raw.closed()
    time.sleep(0.2)
    assert len(sink.received) == known


@pytest.mark.parametrize("size", [65535, 65536, 65537, 131072, 300000])
def test_around_the_size_of_a_chunk(pair, size):
    server, sink = pair
    data = mail.large(size)
    data = data[:size - 2] + b"\r\n"
    received = next_message(sink, lambda: server.send(data))
    mail.trace_of(received.data, data)


def test_empty_body_and_header_only(pair):
    server, sink = pair
    data = mail.message(body=b"")
    received = next_message(sink, lambda: server.send(data))
    mail.trace_of(received.data, data)


class Watch:
    """The most memory each process of the server had, in bytes, sampled while something runs."""

    def __init__(self, server):
        self.server, self.done = server, threading.Event()
        self.before = {p: memory(p) for p in server.pids()}
        self.most = dict(self.before)
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while not self.done.wait(0.02):
            for pid in self.most:
                self.most[pid] = max(self.most[pid], memory(pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def growth(self):
        return {f"{name_of(p)}[{p}]": self.most[p] - self.before[p] for p in self.most}


def test_50_megabytes(pair):
    """49 MB and something, as large as the default limit lets through; memory is that of a few chunks."""
    server, sink = pair
    for _ in range(2):
        next_message(sink, lambda: server.send(mail.large(300000)))  # all that is made on first use is there
    data = mail.large(50 * MB)
    with Watch(server) as watch:
        received = next_message(sink, lambda: server.send(data))
    assert hashlib.sha256(received.data[-len(data):]).digest() == hashlib.sha256(data).digest()
    most = max(watch.growth().values())
    sanitized = b"__asan_init" in postern.PROGRAM.read_bytes()
    assert most < (24 if sanitized else 8) * MB, watch.growth()


def test_too_large_is_refused_before_and_after(pair):
    server, sink = pair
    with logged_in(server) as raw:
        assert "SIZE 52428800" in raw.command("EHLO client.example", 250)
        assert raw.command("MAIL FROM:<alice@example.org> SIZE=52428801").startswith("552 5.3.4")
        raw.command("MAIL FROM:<alice@example.org> SIZE=1000", 250)
        raw.command("RCPT TO:<bob@sink.example>", 250)
        raw.command("DATA", 354)
        known = len(sink.received)
        data = mail.large(53 * MB)
        raw.send(stuffed(data))
        assert raw.reply().startswith("552 5.3.4")
        raw.command("NOOP", 250)
    assert len(sink.received) == known
    wait_for(lambda: not list((server.folder / "state/queue/bodies").glob("**/*.*")), "no body files left", 5)


def test_a_body_broken_off_is_nothing(pair):
    server, sink = pair
    known = len(sink.received)
    for size in [100, 500000]:
        raw = logged_in(server)
        raw.envelope()
        raw.send(mail.large(size))
        raw.close()
    server.send(mail.message("After the broken ones"))
    sink.wait(known + 1)
    time.sleep(0.3)
    assert len(sink.received) == known + 1
