# SPDX-License-Identifier: Apache-2.0
"""The log: one self-contained line per event, as text and as JSON, whatever strangers send."""
import json
import re
import shlex
import smtplib

import pytest
from support import mail
from support.postern import CONF, PASSWORD, Postern
from support.process import wait_for
from support.raw import Raw
from support.sink import Sink

TEXT = CONF.replace('log {{ format = "json" }}\n', "")


def work(server):
    """One of everything: a login, a failed one, a refusal, a message to two, one of them refused."""
    server.send(mail.message("For the log"), ["bob@sink.example", "nobody@sink.example"])
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.client(password="not the password")
    with Raw(server.mta) as raw:
        raw.command("EHLO client.example", 250)
        raw.command("MAIL FROM:<x@elsewhere.example>", 250)
        raw.command("RCPT TO:<y@elsewhere.example>", 550)
    wait_for(lambda: "event=bounced" in server.log() or server.events("bounced"), lambda: server.tail())


@pytest.fixture
def sink():
    with Sink(answers={"RCPT": lambda a, _: "550 5.1.1 No such user" if a.startswith("nobody") else None}) as s:
        yield s


def routes(sink):
    return ('route "home" {{ to = "*@example.org"  via = "capture:{folder}/capture" }}\n'
            f'relay "next" {{{{ host = "127.0.0.1:{sink.port}"  tls = "none" }}}}\nroute "all" {{{{ via = "relay:next" }}}}')


def check(events):
    by_name = {}
    for event in events:
        by_name.setdefault(event["event"], []).append(event)
    for name in ["start", "login", "login-failed", "refused", "accepted", "delivered", "failed", "bounced"]:
        assert name in by_name, f"no event {name} among {sorted(by_name)}"
    login = by_name["login"][0]
    assert login["account"] == "alice@example.org" or login["account"] == "alice"
    accepted = [e for e in by_name["accepted"] if e.get("account")][0]
    assert accepted["session"] == login["session"] and accepted["listener"] == "submission"
    assert accepted["sender"] == "alice@example.org" and str(accepted["recipients"]) == "2"
    delivered = [e for e in by_name["delivered"] if e["recipient"] == "bob@sink.example"][0]
    failed = [e for e in by_name["failed"] if e["recipient"] == "nobody@sink.example"][0]
    assert delivered["id"] == failed["id"] == accepted["id"]
    assert "No such user" in str(failed)
    refused = by_name["refused"][0]
    assert refused["listener"] == "mta" and refused["recipient"] == "y@elsewhere.example"
    assert refused["reply"].startswith("550") and refused["client"].startswith("127.0.0.1")


def test_json(sink):
    with Postern(routes=routes(sink)) as server:
        work(server)
        lines = [line for line in server.log().splitlines() if line]
        events = [json.loads(line) for line in lines]  # every line is one object
        check(events)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["time"]) for e in events)
        assert PASSWORD not in server.log() and "not the password" not in server.log()


def test_text(sink):
    with Postern(routes=routes(sink), conf=TEXT) as server:
        work(server)
        events = []
        for line in server.log().splitlines():
            time, process, rest = line.split(" ", 2)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time), line
            assert re.fullmatch(r"[a-z]+(-\d+)?", process), line
            events.append(dict(pair.split("=", 1) for pair in shlex.split(rest)))
        check(events)
        assert PASSWORD not in server.log()


@pytest.mark.parametrize("conf", [CONF, TEXT], ids=["json", "text"])
def test_what_strangers_send_forges_no_line(conf):
    with Postern(conf=conf, settings='accept_for = {{ "ours.example" }}') as server:
        before = len(server.log().splitlines())
        with Raw(server.mta) as raw:
            raw.command("EHLO client.example", 250)
            for evil in [b"MAIL FROM:<a@b.example>\x00 event=login\r\n",
                         b"MAIL FROM:<\"a b\\\" event=login account=root\"@c.example>\r\n",
                         b"RCPT TO:<\x1b[2J\xe2\x80\xae@ours.example>\r\n", b"\xff\xfe\x80 \x07\r\n"]:
                raw.send(evil)
                raw.reply()
        wait_for(lambda: len(server.log().splitlines()) > before, lambda: server.tail())
        for line in server.log().splitlines()[before:]:
            assert all(32 <= ord(c) for c in line) and "\u202e" not in line, ascii(line)
            if conf is CONF:
                assert json.loads(line)["event"] != "login"
            else:
                assert not re.search(r"^\S+ \S+ event=login ", line)
