# SPDX-License-Identifier: Apache-2.0
"""A stolen password: used from where its owner never was, it freezes the account (C19)."""
import base64
import socket
import sqlite3
import time

import pytest
from support import mail
from support.behind import IN_CLEAR, Behind
from support.postern import PASSWORD

# Clients come through a balancer, so that they can come from anywhere; in clear, for shortness.
BEHIND = IN_CLEAR + "auth {{ iterations = 4096  freeze_recipients = 20 }}\n"
HOME = "192.0.2.7"
DAY = 86400000


@pytest.fixture(scope="module")
def server():
    with Behind(conf=BEHIND, accounts=("alice", "bob", "carol")) as s:
        # They have been at home for a week: as the store has it after a week.
        s.stop()
        store, now = sqlite3.connect(s.folder / "state/auth/accounts.db"), int(time.time() * 1000)
        home = b"\0" * 10 + b"\xff\xff" + socket.inet_pton(socket.AF_INET, HOME)
        store.execute("INSERT INTO seen (account, source, first, last) "
                      "SELECT id, ?, ?, ? FROM account WHERE name <> 'carol'", (home, now - 7 * DAY, now - 1000))
        store.commit()
        store.close()
        s.own()
        s.start()
        yield s


def connect(server, client, name):
    """A session of this client; the code of its login."""
    raw = server.come(client)
    assert raw.reply().startswith("220")
    raw.command("EHLO client.example", 250)
    token = base64.b64encode(f"\0{name}\0{PASSWORD}".encode()).decode()
    return raw, raw.command(f"AUTH PLAIN {token}")[:3]


def send(raw, sender, recipients):
    """The code of the reply to MAIL, or of the reply to the message."""
    reply = raw.command(f"MAIL FROM:<{sender}@example.org>")
    if not reply.startswith("250"):
        return reply[:3]
    for i in range(recipients):
        raw.command(f"RCPT TO:<r{i}@sink.example>", 250)
    raw.command("DATA", 354)
    raw.send(mail.message("Buy now", sender=f"{sender}@example.org"))
    return raw.command("\r\n.")[:3]


def login(server, client, name):
    raw, code = connect(server, client, name)
    with raw:
        return code


def test_c19_logins_from_many_new_networks(server):
    home, code = connect(server, HOME, "alice")
    assert code == "235"
    for i in range(5):
        assert login(server, f"203.0.{i}.1", "alice") == "235"
        assert login(server, f"203.0.{i}.9", "alice") == "235"  # the same network
    assert login(server, "2001:db8::1", "alice") == "235"
    frozen = server.wait_event("frozen", account="alice")
    assert frozen["level"] == "warning" and "6 networks" in frozen["reason"], frozen
    assert "203.0.0.0/24" in frozen["reason"] and "2001:db8::/48" in frozen["reason"], frozen
    # Nobody gets in any more, and who was in is out.
    assert login(server, HOME, "alice") == "535"
    server.wait_event("login-failed", account="alice", reason="frozen")
    assert send(home, "alice", 1) == "421"
    shown = server.json("user", "show", "alice")
    assert shown["frozen"] is True and "6 networks" in shown["frozen_because"], shown
    # Bob is where he always is, and others are not asked.
    assert login(server, HOME, "bob") == "235"
    server.command("user", "thaw", "alice", check=True)
    assert login(server, HOME, "alice") == "235"


def test_c19_much_mail_from_a_new_network(server):
    raw, code = connect(server, HOME, "bob")
    with raw:
        assert code == "235"
        assert [send(raw, "bob", 10) for _ in range(4)] == ["250"] * 4  # at home it is not counted
    raw, code = connect(server, "198.51.100.1", "bob")
    with raw:
        assert code == "235"
        assert [send(raw, "bob", 10) for _ in range(2)] == ["250"] * 2
        assert send(raw, "bob", 1) == "250"
        reason = server.wait_event("frozen", account="bob")["reason"]
        assert "mail to 21 recipients" in reason and "198.51.100.0/24" in reason, reason
        assert send(raw, "bob", 1) == "421"
    assert login(server, HOME, "bob") == "535"


def test_c19_a_new_account_has_no_habits_yet(server):
    for i in range(10):
        assert login(server, f"203.0.{i}.1", "carol") == "235"
    raw, code = connect(server, "198.51.100.1", "carol")
    with raw:
        assert code == "235" and send(raw, "carol", 50) == "250"
    assert server.json("user", "show", "carol")["frozen"] is False
