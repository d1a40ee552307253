# SPDX-License-Identifier: Apache-2.0
"""Chunks that leave by DATA, mail held back, and ETRN, through the whole server."""
import smtplib
import time

import pytest
from support import mail
from support.postern import CONF, PASSWORD, Postern
from support.process import free_ports
from support.raw import Raw
from support.sink import Sink

ETRN = CONF.replace('tls = "implicit"  auth = "required"', 'tls = "implicit"  auth = "required"  etrn = yes')
ROUTES = 'relay "next" {{{{ host = "127.0.0.1:{port}"  tls = "none" }}}}\nroute "all" {{{{ via = "relay:next" }}}}'


def logged_in(server):
    raw = Raw(server.submissions, implicit=True)
    raw.command("EHLO client.example", "250")
    raw.login("alice", PASSWORD)
    return raw


@pytest.fixture(scope="module")
def pair():
    with Sink() as sink:
        with Postern(routes=ROUTES.format(port=sink.port)) as server:
            yield server, sink


def bdat(raw, *parts):
    """The last part is the last chunk; the replies."""
    replies = []
    for number, part in enumerate(parts):
        last = b" LAST" if number == len(parts) - 1 else b""
        raw.send(b"BDAT %d%s\r\n" % (len(part), last) + part)
        replies.append(raw.reply())
    return replies


def test_a6_chunks_leave_by_data(pair):
    """An end of data and commands within a chunk are text; dots are stuffed and unstuffed once."""
    server, sink = pair
    known = len(sink.received)
    data = mail.message("Chunks", body=b"x\r\n.\r\nMAIL FROM:<x@y.example>\r\n..\r\n.z\r\nno line end")
    with logged_in(server) as raw:
        raw.command("MAIL FROM:<alice@example.org>", "250")
        raw.command("RCPT TO:<bob@sink.example>", "250")
        replies = bdat(raw, data[:11], b"", data[11:200], data[200:])
        assert all(reply.startswith("250 2.0.0") for reply in replies), replies
        raw.command("QUIT", "221")
    received = sink.wait(known + 1)
    assert len(received) == known + 1
    mail.trace_of(received[-1].data, data + b"\r\n")


def test_chunks_of_a_large_message(pair):
    """Streamed, with borders in the midst of lines and of line ends."""
    server, sink = pair
    known = len(sink.received)
    data = mail.large(3000000)
    with logged_in(server) as raw:
        raw.command("MAIL FROM:<alice@example.org>", "250")
        raw.command("RCPT TO:<bob@sink.example>", "250")
        parts = [data[i:i + 99991] for i in range(0, len(data), 99991)]
        assert all(reply.startswith("250") for reply in bdat(raw, *parts))
    mail.trace_of(sink.wait(known + 1)[-1].data, data)


def test_f2_chunk_that_fails_is_no_commands(pair):
    server, sink = pair
    known = len(sink.received)
    evil = b"MAIL FROM:<alice@example.org>\r\nRCPT TO:<evil@sink.example>\r\nDATA\r\nx\r\n.\r\n"
    with logged_in(server) as raw:
        assert bdat(raw, evil)[0].startswith("503")
        raw.command("MAIL FROM:<alice@example.org>", "250")
        assert bdat(raw, evil, evil) == ["554 5.5.1 No valid recipients"] * 2
        raw.command("NOOP", "250")
        raw.command("MAIL FROM:<alice@example.org>", "250")
        raw.command("RCPT TO:<bob@sink.example>", "250")
        assert bdat(raw, mail.message("After all"))[0].startswith("250")
    received = sink.wait(known + 1)
    assert [r.recipients for r in received[known:]] == [received[known].recipients]
    assert b"After all" in received[known].data


def test_held_back(pair):
    """HOLDFOR: answered at once, delivered not before (RFC 4865)."""
    server, sink = pair
    known = len(sink.received)
    with smtplib.SMTP_SSL("127.0.0.1", server.submissions, context=server.context()) as client:
        client.login("alice", PASSWORD)
        assert client.has_extn("futurerelease")
        sent = time.monotonic()
        client.sendmail("alice@example.org", ["bob@sink.example"], mail.message("Later"), mail_options=["HOLDFOR=4"])
    received = sink.wait(known + 1)
    assert time.monotonic() - sent >= 4
    assert b"Later" in received[-1].data


def test_d14_etrn_tries_the_domain_now():
    port, = free_ports(1)
    with Postern(routes=ROUTES.format(port=port), conf=ETRN) as server:
        server.send(mail.message("Waiting"))
        server.wait_event("deferred")
        # By the schedule the second attempt would be minutes away, and relay holds the server for down.
        with logged_in(server) as raw, Sink(port=port) as sink:
            assert raw.command("ETRN elsewhere.example").startswith("251 ")
            assert raw.command("ETRN Sink.Example").startswith("253 2.0.0 1 recipients")
            assert b"Waiting" in sink.wait(1)[0].data
        server.wait_event("delivered", attempt=2)
        with Raw(server.submission) as raw:
            raw.starttls()
            raw.login("alice", PASSWORD)
            assert raw.command("ETRN sink.example").startswith("502 ")
