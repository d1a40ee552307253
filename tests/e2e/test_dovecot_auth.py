# SPDX-License-Identifier: Apache-2.0
"""Logins that Dovecot decides: Debian's, through its socket for clients, and what is none."""
import os

import pytest
from support.cyrus import FakeSaslauthd
from support.dovecot import DovecotAuth
from support.postern import CONF, PASSWORD, Postern
from support.process import wait_for
from test_cyrus import login, status, words

USERS = {"carol": "password of carol", "dora@other.example": "password of dora"}
GREETING = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\tab\nDONE\n"


class FakeDovecot(FakeSaslauthd):
    """Greets with these bytes, and answers the request with answer."""

    def __init__(self, path, greeting, answer=b""):
        self.greeting = greeting
        super().__init__(path, answer)

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                connection.recv(8192)
                connection.sendall(self.greeting)
                if self.answer:
                    self.questions.append(connection.recv(8192))
                    connection.sendall(self.answer)
                connection.close()
            except OSError:
                return


def backend(dovecot, more=""):
    return CONF + f'\nbackend "mail" {{{{ type = "dovecot"  socket = "{dovecot.socket}"  timeout = 2s {more} }}}}\n'


class World:
    def __init__(self):
        self.dovecot = DovecotAuth(USERS)
        self.server = Postern(conf=backend(self.dovecot))


@pytest.fixture(scope="module")
def world(unpacked):
    made = World()
    with made.dovecot, made.server:
        yield made


def test_what_dovecot_says(world):
    server = world.server
    assert login(server, "carol", "password of carol") == 235
    assert login(server, "Carol@example.org", "password of carol") == 235
    assert login(server, "dora@other.example", "password of dora") == 235
    assert login(server, "alice", PASSWORD) == 235
    for name in ["carol", "dora", "nobody-has-this", "carol@other.example", "carol\tuser=alice"]:
        assert login(server, name, "password of dora") == 535
    assert "Dovecot: password correct, for carol" in words(server, "carol", "password of carol")
    assert "no such user, or password wrong" in words(server, "carol", "x")
    world.dovecot.set_passwords({**USERS, "erin": "password of erin"})
    wait_for(lambda: login(server, "erin", "password of erin") == 235, "a user that was added")


def test_c6_whom_it_means(unpacked):
    """Names that it changes: ours with the domain is the same, that of another domain is nobody of ours."""
    with DovecotAuth({"carol": "password of carol"}, "auth_username_format = %Ln") as dovecot:
        with Postern(conf=backend(dovecot, 'realm = "example.org"')) as server:
            assert login(server, "carol", "password of carol") == 235
            assert login(server, "carol@other.example", "password of carol") == 535
            told = words(server, "carol@other.example", "password of carol")
            assert "takes carol@other.example for carol, who is somebody else" in told, told


def test_dovecot_that_is_down_slow_or_lies(world):
    """Each is 454 for those whom it might know, said once; the passdb that fails, too."""
    server, socket = world.server, world.dovecot.socket
    kept = world.dovecot.folder / "real"
    before = len(server.events("backend-down", backend="mail"))
    os.rename(socket, kept)
    try:
        for _ in range(2):
            assert login(server, "carol", "password of carol") == 454
        assert "Dovecot is not running" in words(server, "carol", "password of carol")
        (row,) = [r for r in status(server) if r.get("backend") == "mail"]
        assert row["state"] == "down" and "no such socket" in row["why"]
        for greeting, answer, sentence in [(b"", b"", "broke off"),
                                           (b"220 ESMTP\r\n", b"", "does not begin with VERSION"),
                                           (GREETING, b"OK\t2\tuser=carol\n", "what was not asked"),
                                           (GREETING, b"OK\t1\n", "does not say for whom"),
                                           (GREETING, b"OK\t1\tuser=carol", "broke off before it answered"),
                                           (GREETING, b"FAIL\t1\ttemp\n", "could not find out"),
                                           (GREETING.replace(b"PLAIN", b"GSSAPI"), b"", "does not offer PLAIN"),
                                           (b"VERSION\t1\t2\n" + b"x" * 9000, b"", "a line is too long")]:
            with FakeDovecot(socket, greeting, answer):
                assert login(server, "carol", "password of carol") == 454, answer
                told = words(server, "carol", "password of carol")
                assert sentence in told, told
        with FakeSaslauthd(socket, hang=True):
            assert login(server, "carol", "password of carol") == 454
            assert login(server, "alice", PASSWORD) == 235
            assert "did not answer in time" in words(server, "carol", "password of carol")
    finally:
        socket.unlink(missing_ok=True)
        os.rename(kept, socket)
    assert login(server, "carol", "password of carol") == 235
    assert len(server.events("backend-down", backend="mail")) == before + 1
    assert len(server.events("backend-up", backend="mail")) == before + 1
