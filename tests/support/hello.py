# SPDX-License-Identifier: Apache-2.0
"""A ClientHello of TLS 1.2 made by hand, with what no library would put into it, and the answer to it."""
import os
import socket
import ssl
import struct

from .process import PATIENCE

HANDSHAKE, ALERT = 22, 21
SERVER_HELLO, CERTIFICATE, CERTIFICATE_REQUEST = 2, 11, 13
NO_APPLICATION_PROTOCOL = 120


def extension(number, data):
    return struct.pack(">HH", number, len(data)) + data


def server_name(name):
    """RFC 6066 3: name is any bytes."""
    entry = b"\0" + struct.pack(">H", len(name)) + name
    return extension(0, struct.pack(">H", len(entry)) + entry)


def alpn(*names):
    """RFC 7301 3.1."""
    listed = b"".join(bytes([len(n)]) + n for n in names)
    return extension(16, struct.pack(">H", len(listed)) + listed)


def client_hello(*extensions, compression=b"\0", suites=(0xc02b, 0xc02f, 0xc02c, 0xcca9)):
    """One record: ECDHE with P-256 and AES-GCM, and the extensions."""
    exts = b"".join([extension(10, b"\0\2\0\x17"), extension(11, b"\1\0"), extension(13, b"\0\4\4\3\4\1"),
                     *extensions])
    codes = b"".join(struct.pack(">H", s) for s in suites)
    body = (b"\3\3" + os.urandom(32) + b"\0" + struct.pack(">H", len(codes)) + codes +
            bytes([len(compression)]) + compression + struct.pack(">H", len(exts)) + exts)
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return bytes([HANDSHAKE, 3, 1]) + struct.pack(">H", len(message)) + message


def answer(port, hello, host="127.0.0.1", before=lambda s: None):
    """
    What the server says to it: ({number of a handshake message: its body}, alert or None). before:
    called with the socket first, for STARTTLS.
    """
    messages, alert, stream, data = {}, None, b"", b""
    with socket.create_connection((host, port), PATIENCE) as s:
        before(s)
        s.sendall(hello)
        while 14 not in messages and alert is None:  # ServerHelloDone
            try:
                got = s.recv(65536)
            except ConnectionError:
                got = b""
            if not got:
                break
            data += got
            while len(data) >= 5 and len(data) >= 5 + struct.unpack(">H", data[3:5])[0]:
                kind, size = data[0], struct.unpack(">H", data[3:5])[0]
                record, data = data[5:5 + size], data[5 + size:]
                if kind == ALERT:
                    alert = record[1]
                stream += record if kind == HANDSHAKE else b""
            while len(stream) >= 4 and len(stream) >= 4 + int.from_bytes(stream[1:4], "big"):
                size = int.from_bytes(stream[1:4], "big")
                messages[stream[0]], stream = stream[4:4 + size], stream[4 + size:]
    return messages, alert


class Layered:
    """TLS whose records the test sends itself, so that it can send anything else between them."""

    def __init__(self, sock, context):

        self.socket, self.inbox, self.outbox = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls, self.want = context.wrap_bio(self.inbox, self.outbox), ssl.SSLWantReadError
        self.step(self.tls.do_handshake)

    def flush(self):
        if self.outbox.pending:
            self.socket.sendall(self.outbox.read())

    def step(self, do):
        """Until do no longer asks for more bytes."""
        while True:
            try:
                result = do()
                self.flush()
                return result
            except self.want:
                self.flush()
                got = self.socket.recv(65536)
                if not got:
                    raise EOFError("the server closed") from None
                self.inbox.write(got)

    def send(self, data):
        self.tls.write(data)
        self.flush()

    def reply(self):
        text = b""
        while not (text.endswith(b"\r\n") and text.splitlines()[-1][3:4] == b" "):
            text += self.step(lambda: self.tls.read(4096))
        return text.decode()

    def command(self, line, expect):
        self.send(line.encode() + b"\r\n")
        got = self.reply()
        assert got.startswith(str(expect)), f"{line}: {got}"
        return got

    def close_notify(self):
        """Says the end of TLS, and leaves the connection open."""
        try:
            self.tls.unwrap()
        except self.want:
            pass
        self.flush()
