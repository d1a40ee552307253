# SPDX-License-Identifier: Apache-2.0
"""Keys of accounts, groups, ends of accounts: with real clients."""
import json
import smtplib
import subprocess

import pytest
from support import mail
from support.postern import PASSWORD, Postern
from support.process import wait_for


@pytest.fixture(scope="module")
def server():
    # Each of the hashes costs the leak checker, at the end, more than it costs us.
    with Postern(settings="auth {{ iterations = 4096 }}") as running:
        yield running


def add_key(server, user, name, *options):
    """The secret of a new key."""
    row = server.json("key", "add", user, name, *options)
    assert row["login"] == f"{user}#{name}", row
    return row["password"]


def may_log_in(server, user, password):
    try:
        server.client(user=user, password=password).quit()
        return True
    except smtplib.SMTPAuthenticationError as error:
        assert error.smtp_code == 535 and b"5.7.8 Authentication credentials invalid" in error.smtp_error
        return False


def lost(client, sender):
    """The session was ended: 421 at once, or at MAIL."""
    try:
        return client.mail(sender)[0] == 421 or client.rset() is None
    except smtplib.SMTPServerDisconnected:
        return True


def test_a_key_logs_in_by_its_name_and_by_its_secret_alone(server):
    secret = add_key(server, "alice", "scanner")
    for user in ["alice#scanner", "alice", "Alice#Scanner@example.org", "alice@example.org#scanner"]:
        assert may_log_in(server, user, secret), user
    assert may_log_in(server, "alice", PASSWORD)
    assert not may_log_in(server, "alice#scanner", PASSWORD)
    assert not may_log_in(server, "alice#printer", secret)
    assert not may_log_in(server, "alice", secret[:-1] + ("a" if secret[-1] != "a" else "b"))
    server.add_account("bob")
    assert not may_log_in(server, "bob", secret)
    assert not may_log_in(server, "bob#scanner", secret)


def test_real_clients_send_with_a_key_and_its_name_is_told(server, tmp_path):
    secret = add_key(server, "alice", "laptop")
    file = tmp_path / "message"
    data = mail.message("By curl")
    file.write_bytes(data)
    before = len(server.captured())
    subprocess.run(["curl", "--silent", "--show-error", "--url", f"smtp://127.0.0.1:{server.submission}", "--ssl-reqd",
                    "--cacert", server.folder / "cert.pem", "--user", f"alice#laptop:{secret}", "--mail-from",
                    "alice@example.org", "--mail-rcpt", "bob@sink.example", "--upload-file", file], check=True)
    file.write_bytes(data[:-2])
    subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(server.submissions), "--tls-on-connect", "--auth",
                    "PLAIN", "--auth-user", "alice", "--auth-password", secret, "--from", "alice@example.org", "--to",
                    "bob@sink.example", "--data", f"@{file}", "--silent", "2"], check=True)
    arrived = server.wait_captured(before + 2)
    assert sum(b"(account alice, key laptop)" in path.read_bytes().replace(b"\n", b" ") for path in arrived) == 2
    assert len(server.events("accepted", account="alice", key="laptop")) == 2
    assert len(server.events("login", account="alice", key="laptop")) == 2

    def used():
        (row,) = [r for r in server.json("key", "list", "alice") if r["key"] == "laptop"]
        return row if row["messages"] == 2 else None
    row = wait_for(used, "the use of the key", 20, 0.3)
    assert row["last_from"] == "127.0.0.1" and row["last_login"] and row["logins"] == 2 and row["recipients"] == 2, row
    shown = server.json("user", "show", "alice")
    assert shown["messages"] >= 2 and shown["messages_today"] >= 2 and shown["last_from"] == "127.0.0.1", shown
    assert {r["key"] for r in shown["rows"]} == {"scanner", "laptop"}


def test_rights_of_a_key_are_its_own(server):
    secret = add_key(server, "alice", "copier", "--send-as", "copier@example.org", "--message-size", "20K")
    with server.client(user="alice", password=secret) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "20480"
        assert client.mail("alice@example.org")[0] == 553
        client.rset()
        client.sendmail("copier@example.org", ["bob@sink.example"], mail.message(sender="copier@example.org"))
    with server.client(user="alice") as client:
        assert client.mail("copier@example.org")[0] == 553


def test_a_key_holds_for_its_networks_only(server):
    secret = add_key(server, "alice", "far", "--network", "192.0.2.0/24")
    assert not may_log_in(server, "alice", secret)
    assert server.wait_event("login-failed", reason="key-network")
    near = add_key(server, "alice", "near", "--network", "192.0.2.0/24", "--network", "127.0.0.0/8")
    assert may_log_in(server, "alice", near)
    done = server.command("key", "add", "alice", "odd", "--network", "192.0.2.7/24")
    assert done.returncode == 1 and "did you mean 192.0.2.0/24" in done.stderr


def test_c14_a_removed_key_ends_its_own_sessions_only(server):
    secret = add_key(server, "alice", "phone")
    assert may_log_in(server, "alice", secret)  # and is remembered
    by_key, by_password = server.client(user="alice", password=secret), server.client(user="alice")
    done = server.command("key", "remove", "alice", "phone", check=True)
    assert "1 session ended" in done.stdout
    wait_for(lambda: lost(by_key, "alice@example.org"), "the end of the session", 20, 0.2)
    assert by_password.mail("alice@example.org")[0] == 250
    assert not may_log_in(server, "alice", secret)
    assert not may_log_in(server, "alice#phone", secret)
    done = server.command("key", "remove", "alice", "phone")
    assert done.returncode == 1 and "postern key list" in done.stderr


def test_the_main_password_can_be_barred(server):
    server.add_account("erin")
    secret = add_key(server, "erin", "mailer")
    server.command("user", "set", "erin", "--main-password", "off", check=True)
    assert not may_log_in(server, "erin", PASSWORD)
    assert server.wait_event("login-failed", reason="main-password-barred")
    assert may_log_in(server, "erin", secret)
    done = server.command("user", "test", "erin", input=PASSWORD + "\n")
    assert done.returncode == 1 and "password correct" in done.stderr and "--main-password on" in done.stderr
    done = server.command("user", "test", "erin", input=secret + "\n", check=True)
    assert "erin (key mailer): password correct" in done.stdout
    server.command("user", "set", "erin", "--main-password", "on", check=True)
    assert may_log_in(server, "erin", PASSWORD)


def test_c14_an_account_that_ends_while_somebody_is_logged_in(server):
    server.add_account("frank")
    secret = add_key(server, "frank", "tool")
    client = server.client(user="frank", password=secret)
    server.command("user", "set", "frank", "--expires", "2099-01-31", check=True)
    assert server.json("user", "show", "frank")["expires"] == "2099-02-01T00:00:00Z"
    wait_for(lambda: lost(client, "frank@example.org"), "the end of the session", 20, 0.2)
    for wrong, words in [("2001-01-31", "over already"), ("2027-02-31", "expected a day"), ("soon", "expected a day")]:
        done = server.command("user", "set", "frank", "--expires", wrong)
        assert done.returncode == 1 and words in done.stderr, done
    assert may_log_in(server, "frank", PASSWORD)


def test_groups_from_either_side(server):
    server.add_account("grace")
    server.add_account("heidi")
    for user in ["grace", "heidi"]:
        server.command("group", "add", "Office@example.org", user, check=True)
    server.command("group", "add", "*@lists.example", "grace", check=True)
    assert [(r["address"], r["name"]) for r in server.json("group", "list")] == [
        ("*@lists.example", "grace"), ("office@example.org", "grace"), ("office@example.org", "heidi")]
    assert [r["name"] for r in server.json("group", "list", "office@example.org")] == ["grace", "heidi"]
    assert server.json("user", "show", "grace")["groups"] == "*@lists.example, office@example.org"
    for user, sender, code in [("grace", "office@example.org", 250), ("grace", "x@lists.example", 250),
                               ("grace", "grace@example.org", 250), ("heidi", "x@lists.example", 553)]:
        with server.client(user=user) as client:
            assert client.mail(sender)[0] == code, (user, sender)
    server.command("group", "remove", "office@example.org", "grace", check=True)
    with server.client(user="grace") as client:
        assert client.mail("office@example.org")[0] == 553
    assert server.command("group", "remove", "office@example.org", "grace").returncode == 1


def test_keys_without_a_server():
    server = Postern()
    try:
        secret = add_key(server, "alice", "scanner")
        done = server.command("user", "test", "alice#scanner", input=secret + "\n", check=True)
        assert "alice (key scanner): password correct" in done.stdout
        assert server.command("user", "test", "alice#none", input=secret + "\n").returncode == 1
        text = json.dumps(server.json("user", "show", "alice")) + json.dumps(server.json("key", "list", "alice"))
        assert secret not in text
    finally:
        server.discard()
