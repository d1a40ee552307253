# SPDX-License-Identifier: Apache-2.0
"""Logins that Cyrus SASL decides: Debian's saslauthd with shadow and PAM, and sasldb2; and their usual troubles."""
import json
import os
import shutil
import smtplib

import pytest
from support import peers
from support.cyrus import FakeSaslauthd, Saslauthd, Sasldb
from support.postern import CONF, PASSWORD, Postern
from support.process import run, wait_for

REALM = "mail.example.org"
BACKENDS = """
backend "campus" {{ type = "saslauthd"  socket = "{socket}"  timeout = 2s }}
backend "old"    {{ type = "sasldb"     config_path = "{folder}"  application = "smtpd" }}
"""


def login(server, user, password):
    """The code of the reply to AUTH: 235, 535, 454."""
    try:
        server.client(user=user, password=password).quit()
        return 235
    except smtplib.SMTPAuthenticationError as error:
        assert b"4.7.0" in error.smtp_error if error.smtp_code == 454 else b"5.7.8" in error.smtp_error
        return error.smtp_code


class World:
    """A server with two back ends: saslauthd (shadow) and sasldb2, the latter as smtpd.conf says."""

    def __init__(self):
        self.saslauthd = Saslauthd({"carol": "password of carol", "bob": "password of bob"})
        self.sasldb = Sasldb(REALM)
        self.server = Postern(conf=CONF + BACKENDS.replace("{socket}", str(self.saslauthd.socket)))
        (self.server.folder / "smtpd.conf").write_text(
            f"pwcheck_method: auxprop\nmech_list: PLAIN LOGIN\nsasldb_path: {self.sasldb.path}\n")
        self.server.own()


@pytest.fixture(scope="module")
def world(unpacked):
    made = World()
    try:
        made.sasldb.add("dave", "password of dave")
        with made.saslauthd, made.server:
            yield made
    finally:
        made.sasldb.close()


def status(server):
    """With a back end that is down the exit status is 1."""
    return json.loads(server.command("status", "--json").stdout)


def words(server, name, password):
    done = server.command("user", "test", name, input=password + "\n")
    return done.stdout + done.stderr


def test_each_account_where_it_is(world):
    server = world.server
    assert login(server, "alice", PASSWORD) == 235
    assert login(server, "carol", "password of carol") == 235
    assert login(server, "dave", "password of dave") == 235
    for user in ["alice", "carol", "dave", "nobody-has-this"]:
        assert login(server, user, "wrong password") == 535
    # With the domain it is the same account, which belongs to who vouched for it first.
    assert login(server, "Carol@Example.org", "password of carol") == 235
    assert {row["name"] for row in server.json("user", "list")} == {"alice", "carol", "dave"}
    server.send(b"From: carol@example.org\r\nSubject: x\r\n\r\nx\r\n", sender="carol@example.org", user="carol",
                password="password of carol")


def test_saslpasswd2_takes_effect_at_once(world):
    assert login(world.server, "erin", "password of erin") == 535
    world.sasldb.add("erin", "password of erin")
    assert login(world.server, "erin", "password of erin") == 235
    world.sasldb.add("erin", "another one of erin")
    assert login(world.server, "erin", "password of erin") == 535
    assert login(world.server, "erin", "another one of erin") == 235
    world.sasldb.delete("erin")
    assert login(world.server, "erin", "another one of erin") == 535


def test_saslauthd_that_asks_pam(unpacked):
    """The modules decide; when PAM itself cannot be used saslauthd says no to all, and postern 454."""
    users = {"carol": "password of carol", "bob": "password of bob"}
    saslauthd = Saslauthd(users, mechanism="pam", pam="auth required pam_unix.so\naccount required pam_unix.so\n")
    server = Postern(conf=CONF + f'backend "campus" {{{{ type = "saslauthd"  socket = "{saslauthd.socket}" }}}}')
    with saslauthd, server:
        assert login(server, "carol", "password of carol") == 235
        assert login(server, "carol", "password of bob") == login(server, "nobody-has-this", "x") == 535
        assert 'saslauthd says no: "PAM auth error"' in words(server, "carol", "wrong")
        for name in ["smtp", "other"]:
            os.unlink(saslauthd.etc / "pam.d" / name)
        assert login(server, "carol", "password of carol") == login(server, "bob", "password of bob") == 454
        assert 'saslauthd cannot tell: "PAM start error"' in words(server, "bob", "password of bob")
        assert login(server, "alice", PASSWORD) == 235


# ---- the usual troubles: each in one sentence that says what to do -------------------------------

def test_sasldb_in_another_realm(world):
    world.sasldb.add("frank", "password of frank", realm="localhost")
    assert login(world.server, "frank", "password of frank") == 535
    assert 'set realm = "localhost"' in words(world.server, "frank", "password of frank")


def test_sasldb_that_cannot_be_used(world):
    path, kept = world.sasldb.path, world.sasldb.folder / "kept"
    shutil.move(path, kept)
    try:
        for content, code, sentence in [
                (None, 454, "saslpasswd2 -c NAME makes it"),
                (b"", 535, "is empty: nobody was added yet"),
                (b"alice:x:1000\n" * 500, 454, "is no Berkeley DB"),
                (b"\0" * 12 + (0x053162).to_bytes(4, "little") + b"\0" * 4096, 454, "is a Berkeley DB B-tree"),
                (kept.read_bytes()[:16] + b"\xff" * 4096, 454, "Cyrus SASL")]:
            if content is not None:
                path.write_bytes(content)
                os.chmod(path, 0o644)
            assert login(world.server, "dave", "password of dave") == code, sentence
            assert sentence in words(world.server, "dave", "password of dave")
        os.chmod(path, 0o600)  # root's, and the server is nobody
        if world.server.who:
            assert login(world.server, "dave", "password of dave") == 454
            told = words(world.server, "dave", "password of dave")
            assert "Permission denied" in told and str(path) in told and "chgrp sasl" in told, told
    finally:
        shutil.move(kept, path)
    assert login(world.server, "dave", "password of dave") == 235


def test_saslauthd_that_is_down_slow_or_lies(world):
    """Each is 454 for its own accounts only; one line in the log says so, and one that it is over."""
    socket, kept = world.saslauthd.socket, world.saslauthd.folder / "real"
    before = len(world.server.events("backend-down", backend="campus"))

    def all_others():
        assert login(world.server, "alice", PASSWORD) == 235
        assert login(world.server, "dave", "password of dave") == 235

    os.rename(socket, kept)
    try:
        for _ in range(3):
            assert login(world.server, "carol", "password of carol") == 454
        assert "saslauthd is not running" in words(world.server, "carol", "password of carol")
        all_others()
        (row,) = [r for r in status(world.server) if r.get("backend") == "campus"]
        assert row["state"] == "down" and "saslauthd is not running" in row["why"]
        for answer in [b"", b"\0", b"\0\2", b"\0\2O", b"\0\2ok", b"\xff\xff" + b"OK" * 40000, b"GARBAGE\r\n"]:
            with FakeSaslauthd(socket, answer) as fake:
                assert login(world.server, "carol", "password of carol") == 454, answer
                assert fake.questions[0] == ["carol", "password of carol", "smtp", ""]
        with FakeSaslauthd(socket, hang=True):
            assert login(world.server, "carol", "password of carol") == 454
            all_others()
    finally:
        socket.unlink(missing_ok=True)
        os.rename(kept, socket)
    wait_for(lambda: login(world.server, "carol", "password of carol") == 235, "saslauthd again")
    assert len(world.server.events("backend-down", backend="campus")) == before + 1
    assert len(world.server.events("backend-up", backend="campus")) == before + 1


def test_names_of_sasldb2_become_accounts_of_its_back_end(world):
    server = world.server
    world.sasldb.add("olga", "password of olga")
    listed = run(peers.inside(["/usr/sbin/sasldblistusers2", "-f", f"{world.sasldb.inner}/sasldb2"]), check=True).stdout
    names = server.folder / "names.txt"
    names.write_text(listed)
    server.own()
    assert "--backend NAME" in server.command("user", "import", "--sasldblistusers2", names).stderr
    rows = server.json("user", "import", "--sasldblistusers2", names, "--backend", "old")
    assert {"name": "olga", "result": "imported", "password": "old"}.items() <= \
        next(row for row in rows if row["name"] == "olga").items(), rows
    assert server.json("user", "show", "olga")["verifier"] == "none: old proves the password"
    assert [login(server, "olga", password) for password in ["password of olga", "wrong"]] == [235, 535]
