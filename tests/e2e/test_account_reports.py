# SPDX-License-Identifier: Apache-2.0
"""What accounts do that a stricter setting would forbid: report senders and report mechs."""
import shlex
import smtplib

import pytest
from support.postern import CONF, PASSWORD, Postern
from support.raw import Raw

SETTINGS = 'submission {{ sender_check = "{check}" }}'
CLEAR = CONF.replace('listen "submission" ', 'listen "submission"  ').replace(
    'auth = "required" }}\nlisten "submissions"',
    'auth = "required" clear_auth_from = "127.0.0.1" }}\nlisten "submissions"')


@pytest.fixture(scope="module")
def server():
    with Postern(conf=CLEAR, settings=SETTINGS.replace("{check}", "log"), accounts=("alice", "bob", "carol")) as s:
        yield s


def mail(header_from):
    return f"From: {header_from}\r\nSubject: x\r\n\r\nx\r\n"


def senders(server):
    return {(row["name"], row["sent_as"]): row for row in server.json("report", "senders")}


def test_report_senders_tells_what_reject_would_refuse(server):
    assert "No account has used" in server.command("report", "senders", check=True).stdout
    with server.client("alice") as alice, server.client("bob") as bob:
        alice.sendmail("alice@example.org", ["x@sink.example"], mail("alice@example.org"))
        for _ in range(3):
            alice.sendmail("Office@Example.org", ["x@sink.example"], mail("office@example.org"))
        alice.sendmail("alice@example.org", ["x@sink.example"], mail("boss@example.org"))
        bob.sendmail("o'neill&reboot@far.example", ["x@sink.example"], mail("bob@example.org"))
        bob.sendmail("", ["x@sink.example"], mail("bob@example.org"))
        found = senders(server)
        assert set(found) == {("alice", "office@example.org"), ("alice", "boss@example.org"), ("bob", "<>"),
                              ("bob", "o'neill&reboot@far.example")}, found
    office, boss = found["alice", "office@example.org"], found["alice", "boss@example.org"]
    assert (office["envelope"], office["from"]) == (3, 3) and (boss["envelope"], boss["from"]) == (0, 1), found
    assert office["first"] <= office["last"] and office["allow"] == "postern group add office@example.org alice"
    for sent_as in ["<>", "o'neill&reboot@far.example"]:
        assert found["bob", sent_as]["allow"] == "(none: look at it first)"
    server.command(*shlex.split(office["allow"])[1:], check=True)
    assert ("alice", "office@example.org") not in senders(server)  # it is allowed by now
    server.stop()
    before = senders(server)  # the server is down
    assert len(before) == 3
    server.start()
    with server.client("alice") as alice:
        alice.sendmail("boss@example.org", ["x@sink.example"], mail("alice@example.org"))
        row = senders(server)["alice", "boss@example.org"]
    assert (row["envelope"], row["from"], row["first"]) == (1, 1, before["alice", "boss@example.org"]["first"]), row
    # What the list was for: nobody is refused who is not in it.
    server.configure(settings=SETTINGS.replace("{check}", "reject"))
    server.command("reload", check=True)
    with server.client("alice") as alice:
        alice.sendmail("office@example.org", ["x@sink.example"], mail("office@example.org"))
        with pytest.raises(smtplib.SMTPSenderRefused):
            alice.sendmail("boss@example.org", ["x@sink.example"], mail("alice@example.org"))
        assert senders(server)["alice", "boss@example.org"]["envelope"] == 1  # the refused do not count
    server.command("user", "delete", "bob", check=True)
    assert {name for name, _ in senders(server)} == {"alice"}
    server.add_account("bob")


def test_report_mechs_tells_how_accounts_log_in(server):
    def mechs(name):
        return {row["mechanism"]: row for row in server.json("report", "mechs") if row["name"] == name}
    before = mechs("carol")
    server.client("carol").quit()
    with Raw(server.submission) as raw:
        raw.command("EHLO x", 250)
        raw.command("AUTH LOGIN Y2Fyb2w=", 334)
        raw.send("Y29ycmVjdCBob3JzZSBiYXR0ZXJ5\r\n")
        assert raw.reply().startswith("235"), PASSWORD
        raw.command("QUIT", 221)
    with Raw(server.submission) as raw:
        raw.starttls()
        raw.command("AUTH LOGIN Y2Fyb2w=", 334)
        raw.send("d3Jvbmc=\r\n")
        assert raw.reply().startswith("535")
    after = mechs("carol")
    assert not before and (after["LOGIN"]["with_tls"], after["LOGIN"]["in_clear"]) == (0, 1), after
    others = [row for name, row in after.items() if name != "LOGIN"]
    assert len(others) == 1 and (others[0]["with_tls"], others[0]["in_clear"]) == (1, 0), after
