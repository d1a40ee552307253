# SPDX-License-Identifier: Apache-2.0
"""The first bytes of a client that was set to the wrong port, or is none: words for it and for the log."""
import os
import socket
import time

import pytest
from support.postern import Postern
from support.process import PATIENCE, wait_for

EXPECTS_TLS = b"421 4.7.0 This port expects TLS at once; use port 587 for STARTTLS\r\n"
HELLO = bytes.fromhex("16030100c4010000c00303") + bytes(190)


@pytest.fixture(scope="module")
def server():
    with Postern(routes='route "all" {{ via = "capture:{folder}/capture" }}\ntimeouts {{ handshake = 2s }}') as running:
        yield running


def talk(port, data, pause=False):
    """Everything that the server says until it closes. pause: byte by byte."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in ([data[i:i + 1] for i in range(len(data))] if pause else [data]):
                s.sendall(part)
                time.sleep(0.01 if pause else 0)
        except ConnectionError:
            pass
        got = b""
        try:
            while part := s.recv(4096):
                got += part
        except ConnectionError:
            pass
        return got


def reason(server, listener, count):
    found = wait_for(lambda: (server.events("refused", listener=listener) +
                              server.events("connect-refused", listener=listener))[count:],
                     lambda: f"a refusal; log:\n{server.tail()}")
    return found[-1]["reason"]


def refusals(server, listener):
    return len(server.events("refused", listener=listener) + server.events("connect-refused", listener=listener))


def test_silence_where_tls_is_expected(server):
    before, begun = refusals(server, "submissions"), time.monotonic()
    assert talk(server.submissions, b"") == EXPECTS_TLS
    assert time.monotonic() - begun > 1.5
    assert reason(server, "submissions", before).startswith("the client is silent on a port with implicit TLS: ")


def test_who_leaves_without_a_word_is_no_news(server):
    before = refusals(server, "submissions")
    socket.create_connection(("127.0.0.1", server.submissions), PATIENCE).close()
    assert talk(server.submissions, b"QUIT\r\n") == EXPECTS_TLS  # what came later was looked at
    reason(server, "submissions", before)
    assert refusals(server, "submissions") == before + 1


@pytest.mark.parametrize("pause", [False, True])
@pytest.mark.parametrize("line", [b"EHLO client.example\r\n", b"helo x\r\n", b"STARTTLS\r\n", b"QUIT\r\n"])
def test_smtp_in_clear_where_tls_is_expected(server, line, pause):
    before, begun = refusals(server, "submissions"), time.monotonic()
    assert EXPECTS_TLS.startswith(talk(server.submissions, line, pause))
    assert time.monotonic() - begun < 1.5, "at once"
    assert reason(server, "submissions", before).startswith(
        "the client speaks SMTP in clear on a port with implicit TLS: it should use STARTTLS on port 587")


@pytest.mark.parametrize("data, words", [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "the client speaks HTTP, not TLS"),
    (b"POST /echo HTTP/1.1\r\n\r\nMAIL FROM:<a@b.example>\r\n", "the client speaks HTTP, not TLS"),
    (b"\x00\x01\x02\x03 secret-bytes", "the client speaks no TLS"),
    (b"\x1b[2J\xe2\x80\xae%s%n secret-bytes", "the client speaks no TLS"),
    (b"SSH-2.0-OpenSSH_9.2 secret-bytes\r\n", "the client speaks no TLS"),
    (b"\x15\x03\x01\x00\x02\x02\x28", "the client speaks no TLS")])
def test_a8_other_bytes_where_tls_is_expected(server, data, words):
    before = refusals(server, "submissions")
    assert talk(server.submissions, data) == b""
    assert reason(server, "submissions", before) == words
    assert "secret-bytes" not in server.log() and "/echo" not in server.log()


def test_a8_random_bytes_are_never_echoed(server):
    for n in range(30):
        before = refusals(server, "submissions")
        data = (b"" if n % 2 else b"\x16\x03") + os.urandom(64)
        got = talk(server.submissions, data)
        # A fatal alert of TLS at most: seven bytes.
        assert len(got) <= 7 and (got == b"" or got[0] == 0x15), got
        assert reason(server, "submissions", before)


@pytest.mark.parametrize("listener", ["submission", "mta"])
def test_a8_tls_hello_where_it_begins_in_clear(server, listener):
    before = refusals(server, listener)
    got = talk(getattr(server, listener), HELLO)
    lines = got.split(b"\r\n")
    assert lines[0].startswith(b"220 ") and lines[1] == b"421 4.7.0 This port begins in clear; use STARTTLS", got
    assert len(lines) == 3 and lines[2] == b"", got
    assert "it should use STARTTLS, or a port with implicit TLS (465)" in reason(server, listener, before)


def test_silence_is_ten_seconds_if_nothing_else_is_said():
    with Postern() as running:
        begun = time.monotonic()
        assert talk(running.submissions, b"") == EXPECTS_TLS
        assert 9 < time.monotonic() - begun < 14.5, "before the time for a handshake is over"
