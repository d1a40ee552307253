# SPDX-License-Identifier: Apache-2.0
"""postern user: accounts, with the server up and down; what an account may send as."""
import smtplib
from pathlib import Path

import pytest
from support import mail
from support.postern import PASSWORD, Postern
from support.process import wait_for

OTHER = "another good password"


@pytest.fixture(scope="module")
def server():
    with Postern() as running:
        yield running


def may_log_in(server, user, password):
    try:
        server.client(user=user, password=password).quit()
        return True
    except smtplib.SMTPAuthenticationError:
        return False


def names(server):
    return [row["name"] for row in server.json("user", "list")]


def life_of_an_account(server, check):
    """check(user, password, works): the server agrees, if there is one."""
    server.add_account("bob")
    check("bob", PASSWORD, True)
    assert server.command("user", "add", "bob", input=PASSWORD + "\n").returncode == 1
    assert "bob" in names(server)
    (row,) = [r for r in server.json("user", "list") if r["name"] == "bob"]
    assert row["enabled"] is True and row["send_as"] == "bob@example.org", row
    assert "bob" in server.command("user", "show", "bob", check=True).stdout
    server.command("user", "test", "bob", input=PASSWORD + "\n", check=True)
    assert server.command("user", "test", "bob", input=OTHER + "\n").returncode == 1
    server.command("user", "password", "bob", input=OTHER + "\n", check=True)
    check("bob", PASSWORD, False)
    check("bob", OTHER, True)
    server.command("user", "disable", "bob", check=True)
    check("bob", OTHER, False)
    server.command("user", "enable", "bob", check=True)
    check("bob", OTHER, True)
    server.command("user", "delete", "bob", check=True)
    check("bob", OTHER, False)
    assert "bob" not in names(server)
    done = server.command("user", "delete", "bob")
    assert done.returncode == 1 and "bob" in done.stderr


def test_accounts_of_a_running_server(server):
    def check(user, password, works):
        assert may_log_in(server, user, password) == works
    life_of_an_account(server, check)


def test_accounts_without_a_server():
    server = Postern()
    try:
        life_of_an_account(server, lambda *_: None)
    finally:
        server.discard()


def test_weak_and_empty_passwords(server):
    for password in ["", "short", "carol"]:
        done = server.command("user", "add", "carol", input=password + "\n")
        assert done.returncode == 1 and done.stderr, (password, done)
    assert "carol" not in names(server)


def test_generated_password(server):
    row = server.json("user", "add", "dave", "--generate")
    row = row[0] if isinstance(row, list) else row
    assert may_log_in(server, "dave", row["password"])


def test_no_clear_password_anywhere_on_disk(server):
    server.add_account("erin", "the words of erin 4711")
    assert may_log_in(server, "erin", "the words of erin 4711")
    for path in Path(server.folder).rglob("*"):
        if path.is_file():
            assert b"the words of erin 4711" not in path.read_bytes(), path


def accepted(server, user, sender, header=None):
    with server.client(user=user) as client:
        try:
            client.sendmail(sender, ["bob@sink.example"], mail.message(sender=header or sender))
            return True
        except (smtplib.SMTPSenderRefused, smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            code = getattr(error, "smtp_code", 550)
            assert 500 <= code < 600
            return False


def test_send_as(server):
    server.add_account("frank", PASSWORD, "--send-as", "frank@example.org", "--send-as", "*@lists.example")
    assert accepted(server, "frank", "frank@example.org")
    assert accepted(server, "frank", "frank+shop@example.org")
    assert accepted(server, "frank", "news@lists.example")
    assert not accepted(server, "frank", "alice@example.org")
    assert not accepted(server, "frank", "x@sub.lists.example")
    assert not accepted(server, "frank", "frank@example.org", header="alice@example.org")
    server.command("user", "set", "frank", "--send-as", "*", check=True)
    wait_for(lambda: accepted(server, "frank", "anybody@anywhere.example"), "the new right", 5, 0.3)


def test_c14_disabling_ends_a_session(server):
    server.add_account("grace")
    client = server.client(user="grace")
    server.command("user", "disable", "grace", check=True)
    assert client.getreply()[0] == 421  # unasked


def test_a_changed_password_ends_a_session_and_the_cached_proof(server):
    server.add_account("heidi")
    for _ in range(3):
        assert may_log_in(server, "heidi", PASSWORD)
    server.command("user", "password", "heidi", input=OTHER + "\n", check=True)
    assert not may_log_in(server, "heidi", PASSWORD)
    assert may_log_in(server, "heidi", OTHER)
