# SPDX-License-Identifier: Apache-2.0
"""The same dialogue with two servers, and where the codes of their replies differ."""
import socket

from .process import PATIENCE


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.file = self.socket.makefile("rb")

    def code(self):
        """Of the next reply, its lines together; "end" if there is none."""
        try:
            while True:
                line = self.file.readline()
                if not line:
                    return "end"
                if line[3:4] != b"-":
                    return line[:3].decode("ascii", "replace")
        except ConnectionError:
            return "end"

    def step(self, step):
        try:
            self.socket.sendall(step if isinstance(step, bytes) else (step + "\r\n").encode())
        except ConnectionError:
            return "end"
        return self.code()


def codes(port, dialogue):
    """Each step is a command (text, CR LF is added) or bytes as they are; one reply is read after each."""
    client = Client(port)
    with client.socket:
        found = [client.code()]
        for step in dialogue:
            found.append(client.step(step))
            if found[-1] == "end":
                break
    return found[1:] if found[0] == "220" else found


def differences(theirs, ours):
    """(step, their code, ours) where they are not the same."""
    length = max(len(theirs), len(ours))
    theirs, ours = theirs + ["-"] * (length - len(theirs)), ours + ["-"] * (length - len(ours))
    return [(n, a, b) for n, (a, b) in enumerate(zip(theirs, ours)) if a != b and "-" not in (a, b)]


def check(name, theirs, ours, table):
    """Differences are those that table explains: dialogue -> rows of (step, their code, ours, why)."""
    found = differences(theirs, ours)
    explained = [row[:3] for row in table.get(name, [])]
    assert found == explained, f"{name}: Postfix {theirs}\npostern {ours}"


def check_table(table, dialogues):
    assert table.keys() <= dialogues.keys()
    assert all(len(row) == 4 and len(row[3]) >= len("as expn") for rows in table.values() for row in rows)
