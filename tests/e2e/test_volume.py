# SPDX-License-Identifier: Apache-2.0
"""How much an account may send: each limit, its words, and that neither a restart nor a lie gets round it."""
import contextlib
import datetime
import os
import re
import signal
import smtplib
import sqlite3

from support.postern import PASSWORD, Postern
from support.process import wait_for

FROM = "alice@example.org"
NEXT = r"next at (\d{4}-\d\d-\d\d \d\d:\d\d) UTC"


def text(number=0):
    return f"From: {FROM}\r\nSubject: {number}\r\n\r\nx\r\n"


def send(client, recipients):
    """{recipient: (code, text)} of those that were refused; the message goes to the others."""
    try:
        return client.sendmail(FROM, recipients, text())
    except smtplib.SMTPRecipientsRefused as refused:
        return refused.recipients


def people(count, first=0):
    return [f"u{n}@sink.example" for n in range(first, first + count)]


def limits_of(server):
    return {row["limit"]: row for row in server.json("status") if "limit" in row}


def test_c19_recipients_per_hour_over_all_sessions():
    with Postern(limits="recipients_per_hour = 10", settings="smtpd_processes = 3", accounts=("alice", "bob")) as server:
        clients = [server.client() for _ in range(4)]
        for n, client in enumerate(clients[:3]):
            assert not send(client, people(3, 3 * n))
        refused = send(clients[3], people(3, 9))
        assert len(refused) == 2, refused
        code, words = refused["u10@sink.example"]
        words = words.decode()
        assert code == 450
        assert words.startswith("4.7.1 Sending limit of alice reached: 10 recipients per hour; next at "), words
        when = datetime.datetime.strptime(re.search(NEXT, words).group(1), "%Y-%m-%d %H:%M")
        ahead = when - datetime.datetime.utcnow()
        assert datetime.timedelta(minutes=50) < ahead < datetime.timedelta(minutes=61), words
        # What was taken is kept, and others are not touched.
        server.wait_captured(4)
        with server.client("bob") as bob:
            bob.sendmail("bob@example.org", people(5), "From: bob@example.org\r\n\r\nx\r\n")
        refusal = server.wait_event("refused", reason="limits.recipients_per_hour is reached")
        assert refusal["account"] == "alice" and refusal["recipient"] == "u10@sink.example", refusal
        row = limits_of(server)["recipients_per_hour"]
        assert (row["value"], row["struck"]) == ("10", 2), row
        # At each end of the day it is the later limit that counts for "next".
        server.configure(limits="recipients_per_hour = 10 recipients_per_day = 10")
        server.command("reload", check=True)
        words = send(clients[0], people(1))["u0@sink.example"][1].decode()
        assert "10 recipients per day; next at" in words
        for client in clients:
            client.quit()


def test_c19_what_is_given_up_does_not_count():
    with Postern(limits="recipients_per_hour = 4  message_size = 20K") as server:
        client = server.client()
        for _ in range(5):
            assert client.mail(FROM)[0] == 250
            for person in people(4):
                assert client.rcpt(person)[0] == 250
            assert client.rset()[0] == 250
        # Refused in its body, and cut off in its body.
        assert client.mail(FROM)[0] == 250
        for person in people(4):
            assert client.rcpt(person)[0] == 250
        assert client.data(text() + 400 * ("y" * 70 + "\r\n"))[0] == 552
        client.close()
        client = server.client()
        client.mail(FROM)
        client.rcpt(people(1)[0])
        client.docmd("DATA")
        client.send(b"From: alice@example.org\r\n\r\nhalf a message")
        client.close()

        def all_are_back():
            with server.client() as other:
                other.mail(FROM)
                return all(other.rcpt(p)[0] == 250 for p in people(4))
        wait_for(all_are_back, "the four recipients to be given back")


def test_c19_new_recipients_per_day():
    with Postern(limits="new_recipients_per_day = 3") as server:
        client = server.client()
        assert not send(client, people(3))
        refused = send(client, ["U1@SINK.EXAMPLE", *people(2, 7)])
        assert set(refused) == set(people(2, 7)), refused
        assert b"3 recipients per day that it never wrote to before; next at" in refused["u7@sink.example"][1]
        # Whom it knows it may go on writing to.
        assert not send(client, people(3))
        client.quit()
        # A new process has not forgotten: neither who is known nor how many were new.
        server.stop()
        server.start()
        client = server.client()
        assert set(send(client, people(4))) == {"u3@sink.example"}
        client.quit()


def test_recipients_per_message():
    with Postern(limits="recipients_per_message = 2") as server:
        client = server.client()
        refused = send(client, people(3))
        assert refused["u2@sink.example"][0] == 452
        assert refused["u2@sink.example"][1].startswith(
            b"4.5.3 Sending limit of alice reached: 2 recipients of one message; send the others in a second one")
        assert not send(client, people(1, 2))
        client.quit()


def test_c19_a_killed_auth_forgets_at_most_seconds():
    with Postern(limits="recipients_per_day = 6") as server:
        client = server.client()
        assert not send(client, people(4))
        client.quit()
        database = server.folder / "state/auth/accounts.db"

        def written():
            with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
                return store.execute("SELECT sum(recipients) FROM volume").fetchone()[0] == 4
        wait_for(written, "what was sent to be written", 40)
        server.expect_deaths = True
        os.kill(server.pid("auth"), signal.SIGKILL)

        def again():
            try:
                return server.client()
            except (OSError, smtplib.SMTPException):
                return None
        client = wait_for(again, "auth to be back", 40)
        assert len(send(client, people(4))) == 2
        client.quit()


def test_limits_of_an_account_and_a_key():
    with Postern(limits="recipients_per_hour = 2", accounts=("bob",)) as server:
        server.add_account("alice", PASSWORD, "--sending-limit", "hour=5 day=none")
        shown = server.json("user", "show", "alice")
        assert shown["sending_limits"] == "message default, hour 5, day none, new default", shown
        client = server.client()
        assert len(send(client, people(7))) == 2
        # A key with a limit of its own is counted by itself, below and above the account's.
        made = server.json("key", "add", "alice", "scanner", "--sending-limit", "hour=1")
        scanner = server.client(password=made["password"])
        assert len(send(scanner, people(3))) == 2
        assert b"1 recipients per hour" in send(scanner, people(1))["u0@sink.example"][1]
        done = server.command("user", "set", "alice", "--sending-limit", "hour=none", check=True)
        assert "sending limits: message default, hour none, day none, new default" in done.stdout, done
        assert server.json("user", "show", "bob")["sending_limits"] == "default"
        client = server.client()
        assert not send(client, people(7))
        server.command("user", "set", "alice", "--sending-limit=hour=default", check=True)
        client = server.client()
        assert len(send(client, people(1))) == 1
        for wrong in ["hour", "hour=", "hour=-1", "hour=0", "week=5", "hour=many", "hour=99999999999"]:
            done = server.command("user", "set", "alice", f"--sending-limit={wrong}")
            assert done.returncode != 0 and "hour=5000" in done.stdout + done.stderr, done
