# SPDX-License-Identifier: Apache-2.0
"""Logins that Cyrus SASL decides: Debian's saslauthd with shadow and PAM, and sasldb2; and their usual troubles."""
import os
import shutil
import smtplib

import pytest
from support.cyrus import FakeSaslauthd, Saslauthd, Sasldb
from support.postern import CONF, PASSWORD, Postern
from support.process import wait_for

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
