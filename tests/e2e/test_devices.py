# SPDX-License-Identifier: Apache-2.0
"""Devices that cannot log in: who is one by his address, what it may do, and that nobody beside it may."""
import email
import smtplib

import pytest
from support.behind import Behind
from support.netns import Cable, Unavailable
from support.postern import CONF, PASSWORD, Postern
from support.process import wait_for
from support.raw import Raw

DEVICES = CONF + """\
listen "behind"  {{ address = "127.0.0.1:{behind}"  proxy_from = "127.0.0.1"
                    clear_auth_from = "203.0.113.0/24" }}
listen "another" {{ address = "127.0.0.1:{another}"  proxy_from = "127.0.0.1" }}
device "scanner-3f" {{ from = {{ "203.0.113.7", "2001:db8::7" }}  listeners = "behind"  recipients_per_hour = {hourly}
                       send_as = {{ "scan@example.org", "*@scan.example.org" }}
                       to = {{ "*@example.org", "boss@sink.example" }} }}
device "ups"        {{ from = "127.0.0.2"  send_as = "ups@example.org"  i_know_this_is_open = yes }}
"""
NAME = "device:scanner-3f"


class Office(Behind):
    extra = ("behind", "another")

    def __init__(self, **options):
        self.hourly = 1000
        super().__init__(conf=DEVICES, settings='accept_for = {{ "ours.example" }}', **options)

    def configure(self, **parts):
        self.values["hourly"] = self.hourly
        super().configure(**parts)

    def printer(self, client="203.0.113.7", port=None):
        """As old printers do: HELO, no TLS."""
        if port is not None:
            raw = Raw(port, greet=False)
            raw.send(f"PROXY TCP4 {client} 192.0.2.25 40000 587\r\n")
        else:
            raw = self.come(client)
        raw.reply()
        raw.command("HELO printer", 250)
        return raw

    def device(self, name="scanner-3f"):
        return next(row for row in self.json("status") if row.get("device") == name)


def send(raw, sender="scan@example.org", recipient="bob@example.org", data="Subject: scan\r\n\r\npage 1\r\n"):
    raw.envelope(sender, recipient)
    raw.send(data + ".\r\n")
    reply = raw.reply()
    assert reply.startswith("250"), reply


@pytest.fixture(scope="module")
def office():
    with Office() as server:
        yield server


def newest(server, before):
    return email.message_from_bytes(server.wait_captured(before + 1)[-1].read_bytes())


@pytest.mark.parametrize("client", ["203.0.113.7", "2001:db8::7"])
def test_i1_device_sends_without_login_as_an_account(office, client):
    before, logins = len(office.captured()), office.device()["logins"]
    with office.printer(client) as raw:
        send(raw)
        send(raw, "x@scan.example.org", "boss@sink.example")  # the same login
    message = newest(office, before + 1)
    assert message["From"] == "<scan@example.org>"
    assert message["Date"] and message["Message-ID"]
    received = " ".join(message["Received"].split())
    assert NAME in received and "SMTPA" not in received and client not in received, received
    entry = office.wait_event("accepted", account=NAME, client=client, sender="scan@example.org")
    assert "from" in entry["added"] and entry["listener"] == "behind", entry
    row = office.device()
    assert row["logins"] == logins + 1 and row["client"] == client, row
    assert NAME in [row["name"] for row in office.json("user", "list")]
    shown = office.json("user", "show", NAME)
    assert shown["verifier"] == "none: it is known by its address" and shown["send_as"] == "as its device section says"
    assert shown["last_from"] == client and shown["logins"] >= 1, shown
    auth = next(row for row in office.json("status") if row.get("process") == "auth")
    assert "SCRAM-SHA-256" in auth["mechanisms"], "an account without password is in the way of others"


@pytest.mark.parametrize("client, port", [
    ("203.0.113.6", "behind"), ("203.0.113.8", "behind"), ("203.0.113.70", "behind"), ("203.0.112.7", "behind"),
    ("203.0.113.7", "another")])
def test_i1_device_neighbours_are_nobody(office, client, port):
    with office.printer(client, office.values[port]) as raw:
        raw.command("MAIL FROM:<scan@example.org>", 530)
        raw.command("RCPT TO:<bob@example.org>", 530)
    assert office.wait_event("refused", client=client)["listener"] == port


def test_i1_device_by_its_own_connection(office):
    """Without a balancer: the address of the connection counts, and a header that nobody asked for does not."""
    for source, code in [("127.0.0.2", 250), ("127.0.0.3", 530), ("127.0.0.1", 530)]:
        with Raw(office.submission, source=source) as raw:
            raw.command("EHLO ups", 250)
            raw.command("MAIL FROM:<ups@example.org>", code)
    with Raw(office.submission, source="127.0.0.3") as raw:
        raw.command("PROXY TCP4 127.0.0.2 127.0.0.1 1 2", 421)
    with Raw(office.mta, source="127.0.0.2") as raw:  # not to accept_for either: to is what it may
        raw.command("EHLO ups", 250)
        raw.command("MAIL FROM:<ups@example.org>", 250)
        raw.command("RCPT TO:<bob@ours.example>", 550)
        raw.command("RCPT TO:<bob@example.org>", 250)


def test_i1_device_stays_within_its_section(office):
    with office.printer() as raw:
        assert "allowed: scan@example.org" in raw.command("MAIL FROM:<alice@example.org>", 553)
        raw.command("MAIL FROM:<scan@example.org>", 250)
        for recipient in ["bob@far.example", "chief@sink.example", "bob%far.example@example.org",
                          "far.example!bob@example.org", "bob@sub.example.org"]:
            assert "may not send to this recipient" in raw.command(f"RCPT TO:<{recipient}>", 550)
        raw.command("RCPT TO:<bob@example.org>", 250)
        raw.command("DATA", 354)
        raw.send("From: alice@example.org\r\n\r\nx\r\n.\r\n")
        assert raw.reply().startswith("550 5.7.1")
    refused = office.wait_event("refused", recipient="bob@far.example", client="203.0.113.7")
    assert refused["account"] == NAME and refused["reason"] == "to of its device section", refused


def test_device_may_log_in_and_is_none_then(office):
    with office.come("203.0.113.7") as raw:
        raw.reply()
        raw.command("EHLO printer", 250)
        send(raw)
        raw.login("alice", PASSWORD)
        raw.command("MAIL FROM:<scan@example.org>", 553)
        send(raw, "alice@example.org", "u@far.example")
    assert office.wait_event("accepted", sender="alice@example.org")["account"] == "alice"
    with office.come("203.0.113.7") as raw:
        raw.reply()
        raw.command("EHLO printer", 250)
        raw.command("AUTH PLAIN AGFsaWNlAHdyb25n", 535)
        send(raw)
        raw.starttls()
        send(raw)  # asked anew, as TLS has ended all that was said before
    assert office.wait_event("accepted", account=NAME, tls="TLSv1.3 with cipher TLS_AES_256_GCM_SHA384")


def test_device_is_frozen_and_thawed(office):
    with office.printer() as raw:
        send(raw)
        done = office.command("user", "freeze", NAME, "--reason", "it sends at night", check=True)
        assert "1 session ended" in done.stdout, done.stdout
        assert raw.reply().startswith("421")
    with office.printer() as raw:
        raw.command("MAIL FROM:<scan@example.org>", 550)
    assert office.wait_event("refused", client="203.0.113.7", reason="frozen")
    assert office.json("user", "show", NAME)["messages"] >= 1
    office.command("user", "thaw", NAME, check=True)
    with office.printer() as raw:
        send(raw)
    for command in [("user", "password", NAME, "--generate"), ("user", "set", NAME, "--send-as", "*"),
                    ("key", "add", NAME, "more")]:
        done = office.command(*command)
        assert done.returncode != 0 and "known by its address" in done.stderr, done


def test_device_limit_holds_over_restarts_and_follows_its_section():
    with Office() as office:
        office.hourly = 2
        office.configure()
        office.command("reload", check=True)
        with office.printer() as raw:
            send(raw)
            raw.command("MAIL FROM:<scan@example.org>", 250)
            raw.command("RCPT TO:<a@example.org>", 250)
            assert f"Sending limit of {NAME} reached: 2 recipients per hour" in raw.command("RCPT TO:<b@example.org>", 450)
            raw.send("DATA\r\n")
            raw.reply()
            raw.send("\r\nx\r\n.\r\n")
            assert raw.reply().startswith("250")
        office.stop()
        office.start()
        with office.printer() as raw:
            raw.command("MAIL FROM:<scan@example.org>", 250)
            raw.command("RCPT TO:<b@example.org>", 450)
            raw.command("RSET", 250)
            office.hourly = 50
            office.configure()
            office.command("reload", check=True)
            assert raw.reply().startswith("421")
        with office.printer() as raw:
            send(raw)


def test_i1_device_that_others_could_be_is_an_error():
    """Who comes through the gateway, or is on this machine, may bear the device's address."""
    try:
        with Cable(["192.0.2.1/24"], ["192.0.2.2/24"]) as cable:
            cable.add_route("near", "default", "192.0.2.254")
            for network, words in [("192.0.2.254", "default gateway 192.0.2.254"), ("192.0.2.192/26", "default gateway"),
                                   ("192.0.2.1", "an address of this machine"), ("192.0.2.9", None),
                                   ("192.0.2.16/28", None)]:
                stopped = Postern(routes=f'device "d" {{{{ from = "{network}"  send_as = "d@example.org" }}}}', accounts=())
                with cable.in_near():
                    done = stopped.command("check")
                stopped.discard()
                assert (done.returncode == 0) == (words is None), done.stderr
                assert words is None or (words in done.stderr and "i_know_this_is_open" in done.stderr), done.stderr
    except Unavailable as why:
        pytest.skip(str(why))


def test_device_speaks_to_smtplib(office):
    with smtplib.SMTP("127.0.0.1", office.submission, source_address=("127.0.0.2", 0)) as client:
        client.sendmail("ups@example.org", ["admin@example.org"], "Subject: on battery\r\n\r\n.\r\n")
    wait_for(lambda: office.device("ups")["logins"] >= 1, "the login of the ups")
