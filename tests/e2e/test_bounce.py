# SPDX-License-Identifier: Apache-2.0
"""Mail that cannot be delivered comes back as a report that programs and people can read (RFC 3464)."""
from email import message_from_bytes, policy

import pytest
from support import mail
from support.postern import Postern
from support.process import wait_for
from support.sink import Sink

ANSWERS = {"RCPT": lambda address, _: "550 5.1.1 No such user here" if address.startswith("nobody") else None}


@pytest.fixture(scope="module")
def world():
    with Sink(answers=ANSWERS) as sink:
        routes = ('route "home" {{ to = "*@example.org"  via = "capture:{folder}/capture" }}\n'
                  f'relay "next" {{{{ host = "127.0.0.1:{sink.port}"  tls = "none" }}}}\n'
                  'route "all" {{ via = "relay:next" }}')
        with Postern(routes=routes) as server:
            yield server, sink


def bounce(server, send):
    known = set(server.captured())
    send()
    (path,) = wait_for(lambda: set(server.captured()) - known, lambda: server.tail())
    return message_from_bytes(path.read_bytes(), policy=policy.default)


def test_bounce(world):
    server, sink = world
    data = mail.message("Will come back", body=b"the words of the message\r\n" * 3)
    report = bounce(server, lambda: server.send(data, ["nobody@sink.example", "bob@sink.example"]))
    sink.wait(1)
    assert report["To"].addresses[0].addr_spec == "alice@example.org"
    assert "mailer-daemon" in report["From"].lower()
    assert report["Auto-Submitted"] == "auto-replied"
    assert report["Date"] and report["Message-ID"]
    assert report["Return-Path"] in (None, "<>")
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    text, status, original = report.iter_parts()
    words = text.get_content()
    assert "nobody@sink.example" in words and "No such user here" in words, words
    assert "bob@sink.example" not in words
    assert status.get_content_type() == "message/delivery-status"
    whole, recipient = status.get_payload()
    assert whole["Reporting-MTA"] == "dns; mail.example.org" and whole["Arrival-Date"]
    assert recipient["Final-Recipient"].replace(" ", "") == "rfc822;nobody@sink.example"
    assert recipient["Action"] == "failed" and recipient["Status"] == "5.1.1"
    assert "550 5.1.1 No such user here" in " ".join(recipient["Diagnostic-Code"].split())
    assert original.get_content_type() in ("message/rfc822", "text/rfc822-headers")
    assert "Will come back" in original.as_string()
    assert server.events("bounced") and server.events("failed", recipient="nobody@sink.example")


def test_no_defects(world):
    server, _ = world
    report = bounce(server, lambda: server.send(mail.awkward(), ["nobody@sink.example"]))
    for part in report.walk():
        assert not part.defects, part.defects
    assert all(len(line) <= 998 for line in report.as_bytes(policy=policy.SMTP).split(b"\r\n"))


def test_a_bounce_that_bounces_ends(world):
    """Mail with the null sender makes no bounce: no loops (RFC 5321 section 6.1)."""
    server, _ = world
    known = len(server.events("bounced"))
    with server.client() as client:
        code, _ = client.mail("")
        if code != 250:
            return  # accounts may not use the null sender: nothing to loop
        client.rcpt("nobody@sink.example")
        client.data(mail.message("From nobody"))
    wait_for(lambda: server.events("failed", sender=""), lambda: server.tail())
    assert len(server.events("bounced")) == known


def test_rejected_after_the_dot(world):
    server, sink = world
    sink.answers["dot"] = lambda *_: "554 5.6.0 We do not like the words"
    try:
        report = bounce(server, lambda: server.send(mail.message("Bad words")))
    finally:
        del sink.answers["dot"]
    text, status, _ = report.iter_parts()
    assert "We do not like the words" in text.get_content()
    assert status.get_payload()[1]["Status"] == "5.6.0"
