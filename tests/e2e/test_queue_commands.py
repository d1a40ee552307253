# SPDX-License-Identifier: Apache-2.0
"""postern queue: what waits, and what the operator does with it, with the server up and down."""
import pytest
from support import mail
from support.postern import Postern, all_to
from support.process import wait_for
from support.sink import Sink

BUSY = {"RCPT": lambda *_: "450 4.2.1 Come back later"}


@pytest.fixture
def world():
    with Sink(answers=dict(BUSY)) as sink:
        with Postern(routes=all_to(sink.port)) as server:
            yield server, sink


def fill(server, count=3):
    """So many messages that wait, each for bobN@sink.example; their ids by recipient."""
    for n in range(count):
        server.send(mail.message(f"Number {n}"), [f"bob{n}@sink.example"])
    wait_for(lambda: len({e["recipient"] for e in server.events("deferred")}) == count, lambda: server.tail())
    return {e["recipient"]: e["id"] for e in server.events("deferred")}


def listed(server, *options):
    return sorted(row["id"] for row in server.json("queue", "list", *options))


def test_list_and_show(world):
    server, _ = world
    ids = fill(server)
    assert listed(server) == sorted(ids.values())
    assert listed(server, "--to", "bob1@sink.example") == [ids["bob1@sink.example"]]
    assert listed(server, "--from", "*@example.org") == sorted(ids.values())
    assert listed(server, "--from", "carol@example.org") == []
    assert len(listed(server, "--limit", "2")) == 2
    people = server.command("queue", "list", check=True).stdout
    assert all(i in people for i in ids.values())
    shown = server.command("queue", "show", ids["bob2@sink.example"], check=True).stdout
    assert "bob2@sink.example" in shown and "alice@example.org" in shown and "Come back later" in shown, shown
    assert "Come back later" in str(server.json("queue", "show", ids["bob2@sink.example"]))
    summary = server.command("queue", check=True).stdout
    assert "3" in summary and "sink.example" in summary, summary
    assert "sink.example" in str(server.json("queue"))


def test_retry(world):
    server, sink = world
    ids = fill(server)
    sink.answers.clear()
    server.command("queue", "retry", ids["bob1@sink.example"], check=True)
    assert sink.wait(1)[0].recipients == ["bob1@sink.example"]
    server.command("queue", "retry", "--all", check=True)
    sink.wait(3)
    wait_for(lambda: listed(server) == [], lambda: str(listed(server)))


def test_hold_and_release(world):
    server, sink = world
    ids = fill(server)
    server.command("queue", "hold", "--all", check=True)
    assert listed(server, "--held") == sorted(ids.values())
    sink.answers.clear()
    server.command("queue", "release", ids["bob0@sink.example"], check=True)
    assert sink.wait(1)[0].recipients == ["bob0@sink.example"]
    server.command("queue", "release", "--all", check=True)
    sink.wait(3)


def test_drop(world):
    server, _ = world
    ids = fill(server)
    server.command("queue", "drop", "--to", "bob1@sink.example", check=True)
    assert listed(server) == sorted(i for r, i in ids.items() if r != "bob1@sink.example")
    server.command("queue", "drop", "--all", check=True)
    assert listed(server) == []


def test_nothing_without_saying_which(world):
    server, _ = world
    fill(server, 1)
    assert server.command("queue", "drop").returncode == 2
    assert len(listed(server)) == 1


def test_unknown_id(world):
    server, _ = world
    fill(server, 1)
    for verb in ["show", "retry", "hold", "release", "drop"]:
        done = server.command("queue", verb, "NOSUCHID")
        assert done.returncode == 1 and "NOSUCHID" in done.stderr + done.stdout, done


def test_with_the_server_down(world):
    """The same code, under the lock, without a server."""
    server, sink = world
    ids = fill(server)
    server.stop()
    assert listed(server) == sorted(ids.values())
    server.command("queue", "drop", ids["bob0@sink.example"], check=True)
    server.command("queue", "hold", ids["bob1@sink.example"], check=True)
    assert "bob2@sink.example" in server.command("queue", "show", ids["bob2@sink.example"], check=True).stdout
    server.command("queue", "retry", ids["bob2@sink.example"], check=True)
    sink.answers.clear()
    server.start()
    assert sink.wait(1)[0].recipients == ["bob2@sink.example"]
    assert listed(server, "--held") == [ids["bob1@sink.example"]] == listed(server)


def test_the_queue_survives_a_restart(world):
    server, sink = world
    fill(server)
    server.stop()
    server.start()
    sink.answers.clear()
    server.command("queue", "retry", "--all", check=True)
    received = sink.wait(3)
    assert sorted(r.recipients[0] for r in received) == [f"bob{n}@sink.example" for n in range(3)]
