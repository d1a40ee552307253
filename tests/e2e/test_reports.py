# SPDX-License-Identifier: Apache-2.0
"""
What senders ask for (RFC 3461, 2852, 4865, 6710) and the reports that come of it, read by two parsers: the
email package, and flufl.bounce where there are failures or delays (it knows no others).
"""
import time
from email import message_from_bytes, policy

import pytest
from flufl.bounce import all_failures
from support import mail
from support.postern import Postern, all_to
from support.process import free_ports, wait_for
from support.sink import Sink

ANSWERS = {"RCPT": lambda address, _: "550 5.1.1 No such user here" if address.startswith("nobody") else None}


@pytest.fixture(scope="module")
def world():
    (dead,) = free_ports(1)
    with Sink(answers=ANSWERS) as sink, Sink(answers=ANSWERS, offers=["DSN"]) as knows:
        routes = ('route "home" {{ to = "*@example.org"  via = "capture:{folder}/capture" }}\n'
                  'route "final" {{ to = "*@final.example"  via = "capture:{folder}/final" }}\n'
                  'route "dead" {{ to = "*@dead.example"  via = "relay:dead" }}\n'
                  'route "dsn" {{ to = "*@dsn.example"  via = "relay:dsn" }}\n'
                  f'relay "dead" {{{{ host = "127.0.0.1:{dead}"  tls = "none" }}}}\n'
                  f'relay "dsn" {{{{ host = "127.0.0.1:{knows.port}"  tls = "none" }}}}\n'
                  f'relay "next" {{{{ host = "127.0.0.1:{sink.port}"  tls = "none" }}}}\n'
                  'queue {{ delay_notice = 4s  delay_notice_again = 0 }}\n'
                  'route "all" {{ via = "relay:next" }}')
        server = Postern(routes=routes)
        with server:
            yield server, sink, knows


def submit(server, recipients, mail_options=(), rcpt_options=(), data=None):
    client = server.client()
    refused = client.sendmail("alice@example.org", recipients, data or mail.message(f"To {recipients[0]}"),
                              list(mail_options), list(rcpt_options))
    client.quit()
    assert not refused, refused


def reports(server, word):
    """All reports so far whose text has the word."""
    found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in server.captured()]
    return [report for report in found if report.get_content_type() == "multipart/report"
            and word in report.as_bytes().decode(errors="replace")]


def report(server, word):
    (one,) = wait_for(lambda: reports(server, word), lambda: f"no report of {word}; log:\n{server.tail()}")
    for part in one.walk():
        assert not part.defects, part.defects
    assert one["Auto-Submitted"] == "auto-replied" and one["From"].addresses[0].username == "MAILER-DAEMON"
    return one


def fields(one):
    """Of the whole message, and of each recipient."""
    whole, *recipients = list(one.iter_parts())[1].get_payload()
    return whole, recipients


def test_delivered(world):
    server, _, _ = world
    submit(server, ["carol@final.example"], ["ENVID=QQ+2B1"],
           ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Carol+2Bx@elsewhere.example"])
    one = report(server, "carol@final.example")
    whole, (recipient,) = fields(one)
    assert one["Subject"] == "Your message was delivered"
    assert whole["Original-Envelope-Id"] == "QQ+1" and whole["Arrival-Date"]
    assert recipient["Action"] == "delivered" and recipient["Status"] == "2.0.0"
    assert recipient["Original-Recipient"].replace(" ", "") == "rfc822;Carol+x@elsewhere.example"
    assert list(one.iter_parts())[2].get_content_type() == "text/rfc822-headers"


def test_relayed_or_left_to_the_next(world):
    """RFC 3461 5.2: a server that knows reports is told; of another we say that it was passed on."""
    server, sink, knows = world
    submit(server, ["dora@plain.example"], [], ["NOTIFY=SUCCESS"])
    _, (recipient,) = fields(report(server, "dora@plain.example"))
    assert recipient["Action"] == "relayed" and recipient["Status"].startswith("2.")
    assert recipient["Remote-MTA"]
    submit(server, ["erik@dsn.example"], ["ENVID=E1", "RET=HDRS"], ["NOTIFY=SUCCESS"])
    knows.wait(1)
    submit(server, ["fred@plain.example"], [], ["NOTIFY=NEVER"])
    wait_for(lambda: server.events("delivered", recipient="fred@plain.example"), lambda: server.tail())
    assert not reports(server, "erik@dsn.example") and not reports(server, "fred@plain.example")


def test_failed_in_full(world):
    server, _, _ = world
    submit(server, ["nobody.full@plain.example"], ["RET=FULL"], [], mail.message("Whole", body=b"All of it.\r\n"))
    one = report(server, "nobody.full@plain.example")
    _, (recipient,) = fields(one)
    assert recipient["Action"] == "failed" and recipient["Status"] == "5.1.1"
    original = list(one.iter_parts())[2]
    assert original.get_content_type() == "message/rfc822"
    assert original.get_payload()[0].get_content().strip() == "All of it."
    temporary, permanent = all_failures(one)
    assert permanent == {b"nobody.full@plain.example"} and not temporary


def test_h3_what_cannot_go_on_comes_back_by_the_same_way():
    """The one server that all mail goes through takes no 8-bit text: the report must not have any either."""
    with Sink(without=("8BITMIME",)) as sink, Postern(routes=all_to(sink.port)) as server:
        submit(server, ["carol@seven.example"], ["RET=FULL", "BODY=8BITMIME"], [],
               mail.message("Umlaut", body="Grüße und mehr\r\n".encode()))
        wait_for(lambda: sink.received, lambda: f"a report; log:\n{server.tail()}")
        (got,) = sink.received
        assert got.sender == "" and got.recipients == ["alice@example.org"] and got.data.isascii(), got.data
        assert b"would not get back to you" in got.data and b"Subject: Umlaut" in got.data


def test_h3_full_is_bounded(world):
    server, _, _ = world
    submit(server, ["nobody.large@plain.example"], ["RET=FULL"], [], mail.large(200000))
    one = report(server, "nobody.large@plain.example")
    words, _, original = one.iter_parts()
    assert original.get_content_type() == "text/rfc822-headers"
    assert "too much for a report" in words.get_content()
    assert len(one.as_bytes()) < 65536


def test_never(world):
    server, _, _ = world
    submit(server, ["nobody.never@plain.example"], [], ["NOTIFY=NEVER"])
    failed = server.wait_event("failed", recipient="nobody.never@plain.example")
    assert failed["bounce"] == "no"


def test_h4_delayed(world):
    """Of what waits behind a dead host; read by both parsers."""
    server, _, _ = world
    submit(server, ["gina@dead.example"])
    submit(server, ["hugo@dead.example"], [], ["NOTIFY=FAILURE"])
    one = report(server, "gina@dead.example")
    _, (recipient,) = fields(one)
    assert one["Subject"] == "Your message is delayed"
    assert recipient["Action"] == "delayed" and recipient["Status"] == "4.4.7" and recipient["Will-Retry-Until"]
    temporary, permanent = all_failures(one)
    assert temporary == {b"gina@dead.example"} and not permanent
    assert not reports(server, "hugo@dead.example")


def test_deliver_by_returns(world):
    """RFC 2852: back at its time, though its host is down."""
    server, _, _ = world
    start = time.time()
    submit(server, ["ines@dead.example"], ["BY=2;R"])
    one = report(server, "ines@dead.example")
    assert time.time() - start >= 2
    _, (recipient,) = fields(one)
    assert recipient["Action"] == "failed" and recipient["Status"] == "5.4.7"
    assert all_failures(one)[1] == {b"ines@dead.example"}


def test_deliver_by_notifies(world):
    server, _, _ = world
    submit(server, ["jana@dead.example"], ["BY=1;N"])
    _, (recipient,) = fields(report(server, "jana@dead.example"))
    assert recipient["Action"] == "delayed" and recipient["Status"] == "4.4.7"
    assert server.json("queue", "list", "--to", "jana@dead.example")


def test_held_for_later(world):
    """RFC 4865: listed as scheduled, kept over a restart, sent at its time or when the operator says so."""
    server, sink, _ = world
    before = len(sink.received)
    start = time.time()
    submit(server, ["kurt@plain.example"], ["HOLDFOR=4"])
    submit(server, ["lena@plain.example"], ["HOLDFOR=3600"])
    rows = server.json("queue", "list", "--to", "lena@plain.example")
    row = rows[0] if isinstance(rows, list) else rows
    assert row["state"] == "scheduled" and "time that its sender set" in row["reason"], row
    wait_for(lambda: server.events("delivered", recipient="kurt@plain.example"), lambda: server.tail())
    assert time.time() - start >= 4
    assert len(sink.received) == before + 1
    done = server.command("queue", "release", "--to", "lena@plain.example", check=True)
    assert "1 recipient released" in done.stdout
    wait_for(lambda: server.events("delivered", recipient="lena@plain.example"), lambda: server.tail())


def test_utf8_report(world):
    """RFC 6533: an address that is UTF-8 (its server cannot take it, RFC 6531 3.7.4) is told
    in ASCII where the mailbox that hears of it is ASCII: its server may know nothing else."""
    server, _, _ = world
    client = server.client()
    client.command_encoding = "utf-8"
    assert client.mail("alice@example.org", ["SMTPUTF8", "BODY=8BITMIME"])[0] == 250
    code, words = client.rcpt("m\u00fcller@plain.example")
    assert code == 250, words
    client.data(mail.message("To somebody with an umlaut"))
    client.quit()
    (one,) = wait_for(lambda: reports(server, "m\\x{FC}ller@plain.example"), lambda: server.tail())
    assert one.get_param("report-type") == "delivery-status"
    types = [part.get_content_type() for part in one.iter_parts()]
    assert types == ["text/plain", "message/delivery-status", "message/global-headers"], types
    assert "Final-Recipient: utf-8; m\\x{FC}ller@plain.example" in one.as_bytes().decode("ascii")
    assert "<m\u00fcller@plain.example>" in next(one.iter_parts()).get_content()


def test_status_tells_of_limits(world):
    server, _, _ = world
    rows = server.json("status")
    (queue,) = [row for row in rows if row.get("process") == "queue" and "disk_reserve" in row]
    for name in ["disk", "inode", "memory", "queue_load"]:
        assert queue[f"{name}_strikes"] == 0, queue
    assert queue["free_memory"] > queue["memory_reserve"] and queue["queue_load"] == "off"
