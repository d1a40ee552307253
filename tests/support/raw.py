# SPDX-License-Identifier: Apache-2.0
"""An SMTP client that sends exactly the bytes it is told to, split where the test wants."""
import base64
import socket
import ssl
import time

from .process import PATIENCE


class Raw:
    def __init__(self, port, host="127.0.0.1", implicit=False, greet=True, source=None):
        """source: the address to come from; all of 127.0.0.0/8 are ours."""
        self.socket = socket.create_connection((host, port), PATIENCE, source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if implicit:
            self._wrap()
        self.greeting = self.reply() if greet else None

    def _wrap(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def dribble(self, data, size=1, pause=0.0):
        """The same bytes in small parts, each in a packet (and TLS record) of its own."""
        for i in range(0, len(data), size):
            self.send(data[i:i + size])
            if pause:
                time.sleep(pause)

    def line(self):
        while b"\n" not in self.buffer:
            got = self.socket.recv(65536)
            if not got:
                raise EOFError(f"the server closed; last bytes {self.buffer!r}")
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        assert line.endswith(b"\r"), line
        return line[:-1].decode()

    def reply(self):
        """A whole reply: '250 ...', lines of a longer one joined by newlines."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return "\n".join(lines)

    def command(self, text, expect=None):
        self.send(text.encode() + b"\r\n")
        reply = self.reply()
        if expect is not None:
            assert reply.startswith(str(expect)), f"{text[:60]}: expected {expect}, got {reply}"
        return reply

    def starttls(self):
        self.command("EHLO client.example", 250)
        self.command("STARTTLS", 220)
        self._wrap()
        return self.command("EHLO client.example", 250)

    def login(self, user, password):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f"AUTH PLAIN {token}", 235)

    def envelope(self, sender="alice@example.org", recipient="bob@sink.example"):
        self.command(f"MAIL FROM:<{sender}>", 250)
        self.command(f"RCPT TO:<{recipient}>", 250)
        self.command("DATA", 354)

    def closed(self):
        """Whether the server ends the connection, within the time we wait for anything."""
        try:
            while True:
                if not self.socket.recv(65536):
                    return True
        except (ConnectionError, ssl.SSLError):
            return True
        except TimeoutError:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
