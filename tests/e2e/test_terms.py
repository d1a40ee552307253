# SPDX-License-Identifier: Apache-2.0
"""What a client asks for, all the way to the next hop: Postfix, and sinks that offer this and that."""
import email
import hashlib
import random

import pytest
from support import mail, postern
from support.nsd import Nsd
from support.postern import PASSWORD, Postern, all_to
from support.postfix import Postfix
from support.process import free_ports, wait_for
from support.raw import Raw
from support.sink import Sink

OFFERS = ("SMTPUTF8", "DSN", "DELIVERBY", "MT-PRIORITY")


def logged_in(server):
    raw = Raw(server.submission)
    raw.starttls()
    raw.login("alice", PASSWORD)
    return raw


def submit(server, mail_terms="", rcpt_terms="", recipient="bob@sink.example", data=None):
    with logged_in(server) as raw:
        raw.command(f"MAIL FROM:<alice@example.org> {mail_terms}".rstrip(), 250)
        raw.command(f"RCPT TO:<{recipient}> {rcpt_terms}".rstrip(), 250)
        raw.command("DATA", 354)
        raw.send((data or mail.message()) + b".\r\n")
        assert raw.reply().startswith("250")


@pytest.fixture(scope="module")
def pair():
    with Sink(offers=OFFERS) as sink:
        with Postern(routes=all_to(sink.port)) as server:
            yield server, sink


def said(sink, verb):
    return [c for s in sink.sessions for c in s.commands if c.startswith(verb)]


def test_terms_reach_the_next_hop(pair):
    server, sink = pair
    known = len(sink.received)
    submit(server, "RET=HDRS ENVID=<QQ+2B1> BY=600;RT MT-PRIORITY=3",
           "NOTIFY=FAILURE,DELAY ORCPT=rfc822;Bob+2Bx@elsewhere.example")
    sink.wait(known + 2)  # the trace brings a report
    words = said(sink, "MAIL FROM:<alice@")[-1].split()
    assert {"RET=HDRS", "ENVID=<QQ+2B1>", "MT-PRIORITY=3"} <= set(words), words
    by = next(w for w in words if w.startswith("BY="))
    assert by.endswith(";RT") and 500 < int(by[3:-3]) <= 600
    assert said(sink, "RCPT TO:<bob@")[-1] == ("RCPT TO:<bob@sink.example> NOTIFY=FAILURE,DELAY "
                                               "ORCPT=rfc822;Bob+2Bx@elsewhere.example")


def test_utf8_address_and_header(pair):
    server, sink = pair
    known = len(sink.received)
    # A client that always says SMTPUTF8: nothing is asked of the next hop.
    submit(server, "SMTPUTF8", data=mail.message("Grüße"))
    assert "SMTPUTF8" not in said(sink, "MAIL")[-1] if sink.wait(known + 1) else False
    submit(server, "SMTPUTF8", recipient="böb@sink.example")
    assert sink.wait(known + 2)[-1].recipients == ["böb@sink.example"]
    assert " SMTPUTF8" in said(sink, "MAIL")[-1]


def test_a_hop_without_any_of_it():
    """Refused with words where it must be, left out where it may be; never in silence."""
    with Sink() as sink:
        with Postern(routes=all_to(sink.port)) as server:
            submit(server, "RET=HDRS ENVID=Q1 MT-PRIORITY=3", "NOTIFY=FAILURE")
            sink.wait(1)
            assert said(sink, "MAIL")[0].split(" SIZE")[0] == "MAIL FROM:<alice@example.org>"
            submit(server, "SMTPUTF8", recipient="böb@sink.example")
            assert "SMTPUTF8" in str(server.wait_event("failed", status="5.6.7"))
            submit(server, "BY=600;R", recipient="carol@sink.example")
            assert "DELIVERBY" in str(server.wait_event("failed", status="5.3.3"))
            submit(server, "REQUIRETLS", recipient="dave@sink.example")
            assert "REQUIRETLS" in str(server.wait_event("failed", status="5.7.10"))
            assert not [m for m in sink.received if m.recipients != ["bob@sink.example"] and m.sender]


def test_require_tls_reaches_a_hop_that_keeps_it(tmp_path):
    folder = postern.certificate(tmp_path / "tls", "localhost")
    with Sink(tls=postern.server_context(folder), offers=("REQUIRETLS",)) as sink:
        options = 'tls = "required"  ca_file = "{folder}/ca.pem"'
        server = Postern(routes=all_to(sink.port, options, host="localhost"))
        (server.folder / "ca.pem").write_bytes((folder / "cert.pem").read_bytes())
        server.own()
        with server:
            submit(server, "REQUIRETLS")
            assert sink.wait(1)[0].session.encrypted
            assert said(sink, "MAIL")[0].endswith(" REQUIRETLS")


def test_l4_what_the_sender_says_of_tls_by_mx(unpacked, tmp_path):
    """A mail server that hangs up on the way into TLS: the header TLS-Required: No lets mail past, REQUIRETLS none."""
    folder, port = postern.certificate(tmp_path / "tls", "mx.sink.example"), free_ports(1)[0]
    with Nsd({"sink.example": "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"}) as nsd, \
            Sink(port=port, tls=postern.server_context(folder), answers={"STARTTLS": "drop"},
                 offers=("REQUIRETLS",)) as sink:
        routes = (f'delivery {{{{ port = {port}  resolvers = "{nsd.resolver}"  allow_private = yes }}}}\n'
                  'route "bounces" {{ to = "*@example.org"  via = "capture:{folder}/capture" }}\n'
                  'route "world" {{ via = "mx" }}')
        with Postern(routes=routes) as server:
            submit(server, "REQUIRETLS", data=mail.message("Secret", extra="TLS-Required: No\r\n"))
            assert "REQUIRETLS" in str(server.wait_event("failed", status="5.7.30"))
            submit(server, data=mail.message("Open", extra="TLS-Required: No\r\n"))
            (received,) = sink.wait(1)
            assert b"Subject: Open\r\n" in received.data and not received.session.encrypted
            assert b"5.7.30" in server.wait_captured(1)[0].read_bytes()
            submit(server, data=mail.message("Ordinary"))
            server.wait_event("deferred")
            assert len(sink.received) == 1


def test_postfix_reports_what_was_asked(unpacked):
    """Its DSN names what only the parameters told it."""
    with Postfix(mailboxes=("sink.example", "example.org")) as postfix:
        with Postern(routes=all_to(postfix.port)) as server:
            submit(server, "RET=HDRS ENVID=QQ+2B77", "NOTIFY=SUCCESS ORCPT=rfc822;first@elsewhere.example")
            files = postfix.wait_messages(2)
            reports = [m for m in (email.message_from_bytes(f.read_bytes()) for f in files)
                       if m.get_content_type() == "multipart/report"]
            assert len(reports) == 1, postfix.log()[-3000:]
            status = reports[0].get_payload(1).as_string()
            assert "Original-Envelope-Id: QQ+77" in status and "Action: delivered" in status, status
            assert "Original-Recipient: rfc822;first@elsewhere.example" in status, status
            # RET=HDRS: the header alone came back.
            assert reports[0].get_payload(2).get_content_type() in ("text/rfc822-headers", "message/rfc822-headers")


# ---- bytes ----

def test_a6_end_of_data_inside_bdat(pair):
    """To a server without CHUNKING it is one message, dots doubled on the way and the last line ended."""
    server, sink = pair
    data = mail.message("Inside", body=b"one\r\n.\r\nMAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\n.\r\n..\r\nlast")
    for cut in (len(data), data.index(b"\r\n.\r\n") + 3, 1):
        known, transactions = len(sink.received), len(said(sink, "MAIL"))
        with logged_in(server) as raw:
            raw.command("MAIL FROM:<alice@example.org>", 250)
            raw.command("RCPT TO:<bob@sink.example>", 250)
            raw.send(b"BDAT %d\r\n" % cut + data[:cut])
            assert raw.reply().startswith("250")
            raw.send(b"BDAT %d LAST\r\n" % (len(data) - cut) + data[cut:])
            assert raw.reply().startswith("250")
        mail.trace_of(sink.wait(known + 1)[-1].data, data + b"\r\n")
        assert len(sink.received) == known + 1 and len(said(sink, "MAIL")) == transactions + 1


def test_a5_bodies_of_dots_and_line_ends(pair):
    server, sink = pair
    dice, known, sent = random.Random(321), len(sink.received), []
    with logged_in(server) as raw:
        for turn in range(40):
            lines = [dice.choice((b"", b".", b"..", b"...", b".x", b"x.")) for _ in range(dice.randrange(1, 60))]
            data = mail.message(f"Dots {turn}", body=b"\r\n".join(lines) + b"\r\n")
            raw.envelope()
            raw.send((b"." + data if data.startswith(b".") else data).replace(b"\r\n.", b"\r\n..") + b".\r\n")
            assert raw.reply().startswith("250")
            sent.append(data)
    arrived = sink.wait(known + len(sent))[known:]
    def digest(data):
        return hashlib.sha256(data[data.index(b"From: Alice"):]).hexdigest()
    assert sorted(digest(m.data) for m in arrived) == sorted(digest(d) for d in sent)
    wait_for(lambda: len(sink.received) == known + len(sent), "each once")
