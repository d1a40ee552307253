# SPDX-License-Identifier: Apache-2.0
"""An SMTP server that keeps what it gets and answers what the test wants."""
import base64
import socket
import ssl
import threading
import time

from .process import PATIENCE, free_ports, wait_for


class Received:
    def __init__(self, session, sender, recipients, data):
        self.session, self.sender, self.recipients, self.data = session, sender, recipients, data
        self.time = time.monotonic()


class Sink:
    """
    answers: command -> reply, or function(argument, session) -> reply; commands are connect, EHLO, MAIL,
    RCPT, DATA, dot, STARTTLS, AUTH. A reply None drops the connection. tls: ssl context for STARTTLS;
    login: (user, password) for AUTH PLAIN and LOGIN. offers: keywords of EHLO beside the usual; without: those
    of the usual that are left out.
    """

    def __init__(self, answers=None, tls=None, implicit=False, login=None, lmtp=False, port=None, delay=0.0,
                 host="127.0.0.1", offers=(), without=()):
        self.answers, self.tls, self.implicit, self.login = dict(answers or {}), tls, implicit, login
        self.lmtp, self.delay, self.host = lmtp, delay, host
        self.offers, self.without = offers, without
        self.received, self.sessions = [], []
        self.lock = threading.Lock()
        self.port = port or free_ports(1)[0]
        self.listener = None

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.listener.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for session in list(self.sessions):
            session.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def wait(self, count, seconds=PATIENCE):
        wait_for(lambda: len(self.received) >= count,
                 lambda: f"{count} messages at the sink, there are {len(self.received)}", seconds)
        return self.received

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            session = Session(self, connection)
            self.sessions.append(session)
            threading.Thread(target=session.run, daemon=True).start()


class Session:
    def __init__(self, sink, connection):
        self.sink, self.connection = sink, connection
        self.commands, self.encrypted, self.user = [], False, None
        self.file = None

    def close(self):
        try:
            self.connection.shutdown(socket.SHUT_RDWR)  # close alone waits for the file made of it
            self.connection.close()
        except OSError:
            pass

    def _secure(self):
        self.connection = self.sink.tls.wrap_socket(self.connection, server_side=True)
        self.file = self.connection.makefile("rb")
        self.encrypted = True

    def _answer(self, command, argument, usual):
        answer = self.sink.answers.get(command, usual)
        if callable(answer):
            answer = answer(argument, self) or usual
        if answer is None or answer == "drop":
            raise ConnectionAbortedError
        self.connection.sendall(answer.replace("\n", "\r\n").encode() + b"\r\n")
        return answer

    def run(self):
        try:
            self.connection.settimeout(60)
            if self.sink.implicit:
                self._secure()
            else:
                self.file = self.connection.makefile("rb")
            if self._answer("connect", "", "220 sink.example ESMTP").startswith("2"):
                while self._command():
                    pass
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            self.close()

    def _features(self):
        lines = ["sink.example", *(x for x in ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES",
                                               *self.sink.offers) if x not in self.sink.without)]
        if self.sink.tls and not self.encrypted:
            lines.append("STARTTLS")
        if self.sink.login and (self.encrypted or not self.sink.tls):
            lines.append("AUTH PLAIN LOGIN")
        return "\n".join(f"250{' ' if i == len(lines) - 1 else '-'}{t}" for i, t in enumerate(lines))

    def _command(self):
        line = self.file.readline(4096)
        if not line:
            return False
        text = line.decode("utf-8", "surrogateescape").strip()
        self.commands.append(text)
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        if verb in ("EHLO", "LHLO"):
            self._answer("EHLO", argument, self._features())
        elif verb == "MAIL":
            self.recipients = []
            self.sender = argument[argument.index("<") + 1: argument.index(">")]
            self._answer("MAIL", self.sender, "250 2.1.0 Ok")
        elif verb == "RCPT":
            address = argument[argument.index("<") + 1: argument.index(">")]
            if self._answer("RCPT", address, "250 2.1.5 Ok").startswith("2"):
                self.recipients.append(address)
        elif verb == "DATA":
            self._data()
        elif verb == "STARTTLS":
            if self._answer("STARTTLS", "", "220 2.0.0 Go on").startswith("2"):
                self._secure()
        elif verb == "AUTH":
            self._auth(argument)
        elif verb == "QUIT":
            self._answer("QUIT", "", "221 2.0.0 Bye")
            return False
        else:
            self._answer(verb, argument, "250 2.0.0 Ok")
        return True

    def _data(self):
        if not self.recipients:
            self._answer("DATA", "", "503 5.5.1 No recipients")
            return
        if not self._answer("DATA", "", "354 Go on").startswith("3"):
            return
        data = bytearray()
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionAbortedError
            if line == b".\r\n":
                break
            data += line[1:] if line.startswith(b".") else line
        if self.sink.delay:
            time.sleep(self.sink.delay)
        received = Received(self, self.sender, list(self.recipients), bytes(data))
        # What was answered with 2xx counts as received, whether the reply arrives or not.
        answer = self.sink.answers.get("dot", "250 2.0.0 Taken")
        if callable(answer):
            answer = answer(received, self)
        if answer and answer.startswith("2"):
            with self.sink.lock:
                self.sink.received.append(received)
        for _ in self.recipients if self.sink.lmtp else [0]:
            self._answer("", "", answer)

    def _auth(self, argument):
        mechanism, _, token = argument.partition(" ")
        if mechanism.upper() == "PLAIN":
            if not token:
                self._answer("", "", "334 ")
                token = self.file.readline().decode().strip()
            _, user, password = base64.b64decode(token).decode().split("\0")
        else:
            answers = []
            if token:
                answers.append(token)
            for prompt in ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"][len(answers):]:
                self._answer("", "", "334 " + prompt)
                answers.append(self.file.readline().decode().strip())
            user, password = (base64.b64decode(a).decode() for a in answers)
        good = self.sink.login == (user, password)
        self.user = user if good else None
        self._answer("AUTH", user, "235 2.7.0 Welcome" if good else "535 5.7.8 No")
