# SPDX-License-Identifier: Apache-2.0
"""Logins that a file of hashes decides, as Dovecot's doveadm pw makes them."""
import os
import smtplib

import pytest
from support import dovecot
from support.postern import CONF, PASSWORD, PROGRAM, Postern
from support.process import run, wait_for

BACKEND = 'backend "file" {{ type = "passwd-file"  file = "{folder}/users"  timeout = 5s }}\n'


def login(server, user, password):
    try:
        server.client(user=user, password=password).quit()
        return 235
    except smtplib.SMTPAuthenticationError as error:
        return error.smtp_code


def write(server, text):
    new = server.folder / "users.new"
    new.write_text(text)
    server.own()
    os.rename(new, server.folder / "users")


@pytest.fixture(scope="module")
def server(unpacked):
    made = Postern(conf=CONF + BACKEND)
    write(made, "carol:" + dovecot.hashed("SHA512-CRYPT", "password of carol") + "::::::\n")
    with made:
        yield made


def test_who_is_in_the_file(server):
    assert login(server, "carol", "password of carol") == 235
    assert login(server, "Carol@example.org", "password of carol") == 235
    assert login(server, "carol", "wrong password") == 535
    assert login(server, "nobody-has-this", "wrong password") == 535
    assert login(server, "alice", PASSWORD) == 235
    assert server.json("user", "show", "carol")["verifier"] == "none: file proves the password"


def test_a_change_counts_at_once_and_broken_lines_are_told(server):
    write(server, "dave:" + dovecot.hashed("BLF-CRYPT", "password of dave") + "\ncarol:!\n"
                  "erin:" + dovecot.hashed("MD5-CRYPT", "password of erin") + "\nno colon\n")
    assert login(server, "dave", "password of dave") == 235
    assert login(server, "carol", "password of carol") == 535
    assert login(server, "erin", "password of erin") == 535
    wait_for(lambda: "2 lines are of no use: line 3: {MD5-CRYPT} is too weak" in server.log(), lambda: "broken lines in " + server.log())
    done = server.command("user", "test", "erin", input="password of erin\n")
    assert "users:3: {MD5-CRYPT} is too weak: set a new password" in done.stdout, done
    assert "password of" not in server.log()


def test_a_file_that_is_gone_is_no_answer(server):
    os.unlink(server.folder / "users")
    assert login(server, "dave", "password of dave") == 454
    assert login(server, "alice", PASSWORD) == 235
    done = server.command("user", "test", "dave", input="any\n")
    assert "cannot be asked: there is no" in done.stdout, done
    assert len(server.events("backend-down")) == 1
    write(server, "dave:" + dovecot.hashed("SSHA256", "password of dave") + "\n")
    assert login(server, "dave", "password of dave") == 235
    assert len(server.events("backend-up")) == 1


def test_settings_that_do_not_fit(server):
    file = server.folder / "bad.conf"
    text = server.conf.read_text()
    for old, new, words in [(f'file = "{server.folder}/users"', "", "set file ="),
                            ('type = "passwd-file"', 'type = "sasldb"  scheme = "ssha"', "scheme is of no use")]:
        assert old in text
        file.write_text(text.replace(old, new))
        server.own()
        done = run([PROGRAM, "-c", file, "check"], **server.who)
        assert done.returncode == 1 and words in done.stderr, done
