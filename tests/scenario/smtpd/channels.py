# SPDX-License-Identifier: Apache-2.0
"""
The other ends of a process's channels, for tests that play master, auth and queue: frames made
and read from messages.def itself, strict on what comes, free to send anything.
"""
import array
import queue
import re
import select
import socket
import struct
import threading
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 10.0
NUMBERS = {"U8": "=B", "U16": "=H", "U32": "=I", "U64": "=Q", "I64": "=q", "BOOL": "=B"}
ROLES = {"master": 1, "smtpd": 2, "auth": 3, "queue": 4, "relay": 5, "control": 6, "cli": 7}


def _table():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "lib/ipc/messages.def").read_text(), flags=re.S)
    records, messages = {}, {}
    heads = re.split(r"^(?=RECORD\(|MESSAGE\()", text, flags=re.M)[1:]
    for head in heads:
        fields = [(kind, [a.strip() for a in args.split(",")])
                  for kind, args in re.findall(r"\b(U8|U16|U32|U64|I64|BOOL|TEXT|BYTES|LIST|REC)\(([^()]*)\)", head)]
        if head.startswith("RECORD"):
            records[re.match(r"RECORD\(\s*(\w+)", head).group(1)] = fields
        else:
            number, name, _, kind = re.match(r"MESSAGE\(\s*(\d+),\s*(\w+),\s*(\w+),\s*(\w+)", head).groups()
            messages[name] = (int(number), kind == "BULK", fields)
    return records, messages


RECORDS, MESSAGES = _table()
NAMES = {number: name for name, (number, _, _) in MESSAGES.items()}


def _encode(fields, values, whole=True):
    """Fields of a record that is part of another may be given as if they were the outer one's."""
    out = b""
    for kind, args in fields:
        value = values.pop(args[0], None)
        if kind in NUMBERS:
            out += struct.pack(NUMBERS[kind], int(value or 0))
        elif kind == "REC":
            out += _encode(RECORDS[args[1]], values, whole=False)
        elif kind == "LIST":
            body = b"".join(_encode(RECORDS[args[1]], dict(record)) for record in value or [])
            out += struct.pack("=II", len(value or []), len(body)) + body
        else:
            data = value.encode() if isinstance(value, str) else bytes(value or b"")
            out += struct.pack("=I", len(data)) + data
    assert not whole or not values, f"unknown fields: {values}"
    return out


def encode(name, /, **values):
    """A whole frame."""
    number, _, fields = MESSAGES[name]
    payload = _encode(fields, values)
    return struct.pack("=IHH", len(payload), number, 1 if name in ("PEER", "LISTENER") else 0) + payload


def _decode(fields, data, at):
    values = {}
    for kind, args in fields:
        if kind in NUMBERS:
            size = struct.calcsize(NUMBERS[kind])
            values[args[0]] = struct.unpack_from(NUMBERS[kind], data, at)[0]
            at += size
        elif kind == "REC":
            inner, at = _decode(RECORDS[args[1]], data, at)
            values.update(inner)
        elif kind == "LIST":
            count, size = struct.unpack_from("=II", data, at)
            at, end, records = at + 8, at + 8 + size, []
            for _ in range(count):
                record, at = _decode(RECORDS[args[1]], data, at)
                records.append(SimpleNamespace(**record))
            assert at == end
            values[args[0]] = records
        else:
            size = struct.unpack_from("=I", data, at)[0]
            raw = data[at + 4:at + 4 + size]
            assert len(raw) == size and size <= int(args[1]), f"{args[0]}: {size} bytes"
            values[args[0]] = raw.decode() if kind == "TEXT" else raw
            at += 4 + size
    return values, at


class Channel:
    """One end. credit: give back credit for what was read at once, as a quick peer does."""

    def __init__(self, credit=True):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.buffer, self.credit, self.queued = b"", credit, []

    def close(self):
        self.ours.close()
        if self.theirs is not None:
            self.theirs.close()

    def give(self):
        """The other end, which now belongs to the process under test."""
        self.theirs.close()
        self.theirs = None

    def raw(self, data, fd=None):
        self.ours.setblocking(True)
        if fd is None:
            self.ours.sendall(data)
        else:
            sent = self.ours.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            self.ours.sendall(data[sent:])

    def send(self, name, /, fd=None, **values):
        self.raw(encode(name, **values), fd)

    def _more(self, until):
        if not select.select([self.ours], [], [], max(0, until - time.monotonic()))[0]:
            return False
        data = self.ours.recv(1 << 20)
        if not data:
            raise EOFError("the process closed the channel")
        self.buffer += data
        return True

    def next(self, seconds=PATIENCE):
        """The next message as (name, values), or None; CREDIT is not shown."""
        until = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= 8:
                size, number, _ = struct.unpack_from("=IHH", self.buffer)
                if len(self.buffer) >= 8 + size:
                    payload, self.buffer = self.buffer[8:8 + size], self.buffer[8 + size:]
                    name = NAMES[number]
                    values, at = _decode(MESSAGES[name][2], payload, 0)
                    assert at == len(payload)
                    if name == "CREDIT":
                        continue
                    if MESSAGES[name][1] and self.credit:
                        self.send("CREDIT", bytes=size, messages=1)
                    return name, SimpleNamespace(**values, payload_size=size)
            if not self._more(until):
                return None

    def expect(self, name, seconds=PATIENCE):
        """The next message, which must be this one; others that were queued stay."""
        got = self.next(seconds)
        assert got is not None, f"{name} did not come"
        assert got[0] == name, f"{got[0]} came instead of {name}: {got[1]}"
        return got[1]

    def silent(self, seconds=0.3):
        got = self.next(seconds)
        assert got is None, f"{got[0]} came, nothing should: {got[1]}"

    def closed(self, seconds=PATIENCE):
        """The process gives the channel up."""
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                self.next(max(0, until - time.monotonic()))
        except (EOFError, ConnectionError):
            return
        raise AssertionError("the channel is still open")


class Doorkeeper(Channel):
    """The other end of smtpd's channel to auth. Whoever knocks is let in, and each recipient is within
    the limits, while the test does other things, and who left is not shown; with admits = False the test sees and answers all."""
    END = object()

    def __init__(self, admits=True, **options):
        super().__init__(**options)
        self.admits, self.inbox, self.lock = admits, queue.Queue(), threading.Lock()

    def give(self):
        super().give()
        threading.Thread(target=self._keep, daemon=True).start()

    def raw(self, data, fd=None):
        with self.lock:
            super().raw(data, fd)

    def _keep(self):
        try:
            while True:
                got = super().next(1.0)
                if got is None:
                    continue
                if self.admits and got[0] == "KNOCK":
                    if not got[1].inside:
                        self.send("ADMIT", id=got[1].id)
                elif self.admits and got[0] == "COUNT":
                    self.send("COUNTED", session=got[1].session, grant=got[1].grant, code=0, status="", text="", reason="")
                elif not self.admits or got[0] not in ("LEFT", "STRUCK", "UNCOUNT"):
                    self.inbox.put(got)
        except (EOFError, OSError, ValueError):
            self.inbox.put(self.END)

    def next(self, seconds=PATIENCE):
        try:
            got = self.inbox.get(timeout=max(0, seconds))
        except queue.Empty:
            return None
        if got is self.END:
            self.inbox.put(got)
            raise EOFError("the process closed the channel")
        return got

    def close(self):
        try:
            self.ours.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        super().close()
