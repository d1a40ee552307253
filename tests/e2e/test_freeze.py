# SPDX-License-Identifier: Apache-2.0
"""postern user freeze and thaw: a stolen password sends no more, and nobody's mail is lost."""
import smtplib

import pytest
from support import mail
from support.postern import PASSWORD, Postern, all_to
from support.process import wait_for
from support.sink import Sink

BUSY = {"RCPT": lambda *_: "450 4.2.1 Come back later"}


@pytest.fixture
def world():
    with Sink(answers=dict(BUSY)) as sink:
        with Postern(routes=all_to(sink.port)) as server:
            server.add_account("carol")
            yield server, sink


def fill(server, user, names):
    """A message for each that waits; their ids by recipient."""
    for name in names:
        server.send(mail.message(name, sender=f"{user}@example.org"), [f"{name}@sink.example"],
                    sender=f"{user}@example.org", user=user)
    wait_for(lambda: {f"{n}@sink.example" for n in names} <= {e["recipient"] for e in server.events("deferred")},
             lambda: server.tail())
    return {e["recipient"].split("@")[0]: e["id"] for e in server.events("deferred")}


def held(server):
    return sorted(row["id"] for row in server.json("queue", "list", "--held"))


def lost(client):
    try:
        return client.noop()[0] == 421
    except smtplib.SMTPServerDisconnected:
        return True


def test_c19_a_frozen_account_is_cut_off_and_its_mail_held(world):
    server, sink = world
    ids = fill(server, "alice", ["one", "two", "three"]) | fill(server, "carol", ["other"])
    server.command("queue", "hold", ids["one"], check=True)
    client = server.client()
    done = server.command("user", "freeze", "alice", "--reason", "5000 messages at night", check=True)
    assert "2 recipients in the queue held" in done.stdout and "1 session ended" in done.stdout, done
    wait_for(lambda: lost(client), "the end of the session", 20, 0.2)
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        server.client()
    assert refused.value.smtp_code == 535
    assert server.wait_event("login-failed", reason="frozen")
    row = server.json("user", "show", "alice")
    assert row["frozen"] and row["frozen_because"] == "5000 messages at night" and row["frozen_since"], row
    done = server.command("user", "test", "alice", input=PASSWORD + "\n")
    assert done.returncode == 1 and "5000 messages at night" in done.stderr
    assert server.command("user", "delete", "alice").returncode == 1
    assert held(server) == sorted([ids["one"], ids["two"], ids["three"]])
    assert "account is frozen" in server.command("queue", "list", "--user", "alice", check=True).stdout
    sink.answers.clear()
    server.command("queue", "retry", "--all", check=True)
    assert [m.recipients for m in sink.wait(1)] == [["other@sink.example"]]
    done = server.command("user", "thaw", "alice", check=True)
    assert "2 recipients in the queue released" in done.stdout, done
    assert {m.recipients[0] for m in sink.wait(3)} == {f"{n}@sink.example" for n in ["other", "two", "three"]}
    assert held(server) == [ids["one"]]  # the operator held it himself
    server.client().quit()


def test_c19_frozen_mail_stays_held_over_a_restart(world):
    server, sink = world
    ids = fill(server, "alice", ["one", "two", "three"])
    server.stop()
    done = server.command("user", "freeze", "alice", check=True)
    assert "learns of it" in done.stdout, done
    server.start()
    wait_for(lambda: held(server) == sorted(ids.values()), "the mail to be held", 20, 0.3)
    server.stop()
    server.start()
    assert held(server) == sorted(ids.values())
    sink.answers.clear()
    done = server.command("queue", "release", "--all", check=True)
    assert "0 recipients released" in done.stdout and "user thaw" in done.stdout, done
    server.command("queue", "hold", ids["two"], check=True)
    server.command("queue", "drop", ids["one"], check=True)
    server.stop()
    server.command("user", "thaw", "alice", check=True)
    server.start()
    assert [m.recipients[0] for m in sink.wait(1)] == ["three@sink.example"]
    assert held(server) == [ids["two"]]
