# SPDX-License-Identifier: Apache-2.0
"""Messages to send, and the comparison of what arrived with what was sent."""
import hashlib
import re

TRACE = {b"received", b"return-path", b"delivered-to", b"x-original-to"}


def message(subject="A test", sender="alice@example.org", recipient="bob@sink.example", body=b"Hello.\r\n", extra=""):
    """A complete message: a server has no reason to add more than trace fields."""
    unique = hashlib.sha256(f"{subject} {sender} {recipient}".encode() + body).hexdigest()[:16]
    head = (f"From: Alice <{sender}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\n"
            f"Date: Thu, 01 Jan 2026 12:00:00 +0100\r\nMessage-ID: <{unique}@client.example>\r\n{extra}\r\n")
    return head.encode() + body


def awkward():
    """Everything that a relay might be tempted to touch."""
    body = b"\r\n".join([
        b"", b".", b"..", b". .", b".a dot first", b"...", b"From here on it is unquoted",
        "8-bit: gr\u00fc\u00dfe, \u65e5\u672c, \U0001f4e8".encode(), bytes(range(0xa0, 0x100)),
        b"\ttab, trailing blanks   \t ", b"x" * 998, b"y" * 997 + b".", b".", b"-- ", b"last line", b""])
    return message("Awkward", body=body, extra=(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
        "X-Folded: one\r\n two\r\n\tthree\r\nX-Empty:\r\nX-Odd  : blank before the colon\r\nx-CaSe: KePt\r\n"))


def large(size):
    """size bytes of lines that differ, and some that begin with dots."""
    line = b"".join(bytes([33 + (i * 7) % 90]) for i in range(60))
    out, n = bytearray(message("Large", body=b"")), 0
    while len(out) < size:
        out += (b"." if n % 97 == 0 else b"") + b"%010d " % n + line + b"\r\n"
        n += 1
    return bytes(out)


def with_crlf(data):
    """As it went over the wire, from a Maildir where lines end in LF alone."""
    return re.sub(rb"\r?\n", b"\r\n", data)


def trace_of(arrived, sent):
    """The fields that were put in front, as (name, value); AssertionError if anything else differs."""
    arrived = with_crlf(arrived)
    if not arrived.endswith(sent):
        raise AssertionError(difference(arrived, sent))
    front = arrived[: len(arrived) - len(sent)]
    fields = re.findall(rb"([!-9;-~]+): ?((?:.*\r\n)(?:[ \t].*\r\n)*)", front)
    assert b"".join(n + b": " + v for n, v in fields).replace(b": ", b":") == front.replace(b": ", b":"), front
    for name, _ in fields:
        assert name.lower() in TRACE, f"a field was added: {name.decode()}"
    return [(name.decode(), value.decode("latin-1")) for name, value in fields]


def difference(arrived, sent):
    """Where the two part, seen from the end."""
    n = 0
    while n < min(len(arrived), len(sent)) and arrived[-1 - n] == sent[-1 - n]:
        n += 1
    return (f"differs {n} bytes before the end (arrived {len(arrived)}, sent {len(sent)}): arrived "
            f"...{arrived[-n - 80:len(arrived) - n + 20]!r}, sent ...{sent[max(0, len(sent) - n - 80):len(sent) - n + 20]!r}")
