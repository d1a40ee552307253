# SPDX-License-Identifier: Apache-2.0
"""Passwords typed on a terminal: asked twice, not echoed, and the terminal is left as it was."""
import os
import pty
import select
import termios
import time

import pytest
from support.postern import PASSWORD, PROGRAM, Postern, unprivileged


@pytest.fixture(scope="module")
def server():
    server = Postern(accounts=())
    yield server
    server.discard()


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, arguments):
        who = unprivileged()
        self.output = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if who:
                os.setgroups([])
                os.setgid(who["group"])
                os.setuid(who["user"])
            os.execv(PROGRAM, [str(a) for a in arguments])

    def wait(self, text):
        end = time.monotonic() + 20
        while text not in self.output:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, self.output
            self.output += os.read(self.fd, 4096)

    def type(self, text):
        # Echo goes off after the prompt is printed: what comes before that would be seen by anybody.
        for _ in range(500):
            if not termios.tcgetattr(self.fd)[3] & termios.ECHO:
                break
            time.sleep(0.01)
        os.write(self.fd, text.encode())

    def end(self):
        """Exit status, once all output is read."""
        try:
            while True:
                data = os.read(self.fd, 4096)
                if not data:
                    break
                self.output += data
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def add(server, name):
    return Terminal([PROGRAM, "-c", server.conf, "user", "add", name])


def names(server):
    return [row["name"] for row in server.json("user", "list")]


def test_asked_twice_and_not_shown(server):
    terminal = add(server, "alice")
    terminal.wait(b"New password for alice: ")
    terminal.type(PASSWORD + "\n")
    terminal.wait(b"The same again: ")
    terminal.type(PASSWORD + "\n")
    assert terminal.end() == 0, terminal.output
    assert PASSWORD.encode() not in terminal.output
    assert server.command("user", "test", "alice", input=PASSWORD + "\n").returncode == 0


def test_two_that_differ(server):
    terminal = add(server, "bob")
    terminal.wait(b": ")
    terminal.type(PASSWORD + "\n")
    terminal.wait(b"again: ")
    terminal.type(PASSWORD + "x\n")
    assert terminal.end() == 1 and b"differ" in terminal.output
    assert "bob" not in names(server)


def test_interrupted(server):
    terminal = add(server, "carol")
    terminal.wait(b": ")
    terminal.type("half a pass\x03")
    terminal.wait(b"interrupted")
    assert terminal.end() == 1
    assert b"half a pass" not in terminal.output and "carol" not in names(server)
