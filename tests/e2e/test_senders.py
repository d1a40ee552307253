# SPDX-License-Identifier: Apache-2.0
"""Whose a message is, and what is done to it on its way in: bytes at a sink, lines in the log."""
import re
import smtplib
import subprocess

import pytest
from support import mail
from support.postern import PASSWORD, Postern, server_context
from support.process import wait_for
from support.raw import Raw
from support.sink import Sink

REST = b"To: <bob@sink.example>\r\nSubject: x\r\nDate: Thu, 01 Jan 2026 12:00:00 +0100\r\nMessage-ID: <1@c>\r\n\r\nHello\r\n"


def world(settings=""):
    """alice with some addresses, eve with her own, and a smart host that they send through with a login."""
    sink = Sink(offers=["SMTPUTF8"], login=("dept", "smart secret"))
    routes = (f'relay "next" {{{{ host = "localhost:{sink.port}"  user = "dept"  ca_file = "{{folder}}/cert.pem"\n'
              '  password_file = "{folder}/isp.password" }}\nroute "all" {{ via = "relay:next" }}')
    server = Postern(routes=routes, settings='accept_for = {{ "ours.example" }}\n' + settings, accounts=())
    (server.folder / "isp.password").write_text("smart secret\n")
    (server.folder / "isp.password").chmod(0o600)
    server.own()
    sink.tls = server_context(server.folder)
    server.add_account("alice", PASSWORD, "--send-as", "alice@example.org", "--send-as", "sales@example.org",
                       "--send-as", "*@xn--bcher-kva.example")
    server.add_account("eve")
    return server, sink.start()


@pytest.fixture(scope="module")
def pair():
    server, sink = world()
    with server:
        yield server, sink
    sink.stop()


def raw_session(server, user="alice"):
    raw = Raw(server.submission)
    raw.starttls()
    raw.login(user, PASSWORD)
    return raw


def give(raw, data, sender="alice@example.org", parameters=""):
    raw.command(f"MAIL FROM:<{sender}>{parameters}", 250)
    raw.command("RCPT TO:<bob@sink.example>", 250)
    raw.command("DATA", 354)
    raw.send(data + (b"" if data.endswith(b"\r\n") else b"\r\n") + b".\r\n")
    return raw.reply()


def delivered(pair, data, user="alice", **how):
    """What the sink gets of it, and what the log says of it."""
    server, sink = pair
    known = len(sink.received)
    with raw_session(server, user) as raw:
        reply = give(raw, data, **how)
        assert reply.startswith("250"), reply
    name = reply.rsplit(" ", 1)[1]
    return sink.wait(known + 1)[known], server.wait_event("accepted", id=name)


def head_of(received):
    """The header without the Received field of ours, which must come first."""
    match = re.match(rb"Received: .*\r\n(?:[ \t].*\r\n)*", received.data)
    assert match, received.data[:200]
    return received.data[match.end():].partition(b"\r\n\r\n")[0] + b"\r\n"


# ---- others' names --------------------------------------------------------------------------

# eve's own address is eve@example.org; each form names alice to somebody who reads it.
FORGED = [
    b"From: alice@example.org",
    b"From: Alice <alice@example.org>",
    b"From: eve@example.org\r\nSender: alice@example.org",
    b"From: eve@example.org\r\nResent-From: alice@example.org",
    b"From: eve@example.org\r\nResent-Sender: alice@example.org",
    b"From: eve@example.org, alice@example.org",
    b"From: eve@example.org\r\nFrom: alice@example.org",
    b"From: alice@example.org\r\nFrom: eve@example.org",
    b" From: alice@example.org\r\nFrom: eve@example.org",
    b"\tx\r\nFrom: eve@example.org",
    b"From : alice@example.org",
    b"From\t: alice@example.org\r\nFrom: eve@example.org",
    b"From\r\n : alice@example.org\r\nFrom: eve@example.org",
    b"From: eve@example.org\r\nFrom : alice@example.org",
    b"From: =?utf-8?q?alice=40example.org?= <eve@example.org> alice@example.org",
    b"From: =?utf-8?q?=3Calice=40example.org=3E?=",
    b"From: <@alice.example,@example.org:eve@example.org>",
    b"From: <alice@example.org>, <eve@example.org>",
    b"From: <eve@example.org><alice@example.org>",
    b"From: <eve@example.org> <alice@example.org>",
    b"From: eve@example.org <alice@example.org>",
    b"From: alice@example.org <eve@example.org>",
    b"From: \"eve\\\" <eve@example.org>\\\"\" <alice@example.org>",
    b"From: eve(<alice@example.org>)@example.org",
    b"From: eve@example.org(\r\nFrom: alice@example.org",
    b"From: friends: alice@example.org;",
    b"From: eve@example.org;alice@example.org",
    b"From: eve@example.org@alice.example",
    b"From: eve\\@example.org@alice.example",
    b"From:",
    b"From: alice",
    b"From: <>",
    b"Sender: alice@example.org",
    b"Resent-From: alice@example.org",
    b"Resent-Sender: alice@example.org\r\nResent-From: eve@example.org",
    b"From: eve@example.org\r\nSender: eve@example.org\r\nSender: alice@example.org",
    b"From: eve@example.org\r\nFrom\0: alice@example.org",
    b"From: eve\xff@example.org",
    "From: eve\uff20alice.example@example.org".encode(),
    b"From alice@example.org Mon Jan  1 00:00:00 2026\r\nFrom: eve@example.org",
]


def test_e1_e2_no_form_passes(pair):
    """Each sent by somebody who is logged in as another: none arrives, and the session goes on."""
    server, sink = pair
    known = len(sink.received)
    for form in FORGED:
        with raw_session(server, "eve") as raw:
            reply = give(raw, form + b"\r\n" + REST, sender="eve@example.org")
            assert re.match(r"550 5\.(6\.0|7\.1) |521 5\.5\.2 ", reply), (form, reply)
            if reply.startswith("550"):
                raw.command("NOOP", 250)
    delivered(pair, b"From: eve@example.org\r\n" + REST, user="eve", sender="eve@example.org")
    assert len(sink.received) == known + 1, "one of them was passed on"


def test_e1_envelope(pair):
    server, _ = pair
    with raw_session(server, "eve") as raw:
        for sender in ["alice@example.org", "eve@example.net", "eve@sub.example.org", "sales@example.org", "",
                       "eve%example.org@alice.example", "\"eve@example.org\"@alice.example"]:
            reply = raw.command(f"MAIL FROM:<{sender}>")
            assert reply.startswith("553 5.7.1 eve may not send as"), (sender, reply)
            assert "allowed: eve@example.org" in reply
    refused = server.wait_event("refused", account="eve", sender="alice@example.org")
    assert "553 5.7.1" in refused["reply"]


def test_e1_own_names_are_accepted(pair):
    for form in [b"From: ALICE@example.ORG", b"From: Alice <alice+tag@example.org>",
                 b"From: sales@example.org\r\nSender: alice@example.org",
                 "From: Alice <news@b\u00fccher.example>".encode(), b"From: news@xn--bcher-kva.example",
                 b"From: \"bob@evil.test\" <alice@example.org>"]:
        received, accepted = delivered(pair, form + b"\r\n" + REST)
        assert received.data.endswith(form + b"\r\n" + REST)
        assert "added" not in accepted and "rewritten" not in accepted, accepted


def test_several_authors_get_their_sender(pair):
    received, accepted = delivered(pair, b"From: alice@example.org, sales@example.org\r\n" + REST)
    assert b"\r\nSender: <alice@example.org>\r\n" in received.data
    assert accepted["added"] == "sender"


# ---- what else is done ----------------------------------------------------------------------

def test_missing_fields_are_added_and_said(pair):
    received, accepted = delivered(pair, b"Subject: x\r\n\r\nHello\r\n")
    head = head_of(received)
    assert re.search(rb"^Date: \w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r$", head, re.M)
    assert b"From: <alice@example.org>\r\n" in head
    assert re.search(rb"^Message-ID: <[0-9a-z.]+@mail\.example\.org>\r$", head, re.M)
    assert accepted["added"] == "date,message-id,from"


def test_e7_blind_copies_are_not_seen(pair):
    data = (b"Bcc: secret@hidden.example,\r\n\tmore@hidden.example\r\nFrom: alice@example.org\r\nbcc: x@hidden.example\r\n"
            b"Resent-Bcc: y@hidden.example\r\n z@hidden.example\r\nBcc :\r\n q@hidden.example\r\n" + REST)
    received, accepted = delivered(pair, data)
    assert b"hidden.example" not in received.data and b"bcc" not in received.data.lower()
    assert received.data.endswith(b"From: alice@example.org\r\n" + REST)
    assert accepted["removed"] == "bcc,resent-bcc"


def test_e6_forged_results_are_removed(pair):
    data = (b"Authentication-Results: mail.example.org; dkim=pass\r\nAuthentication-Results:\r\n (c) \"MAIL.example.org\" 1\r\n"
            b" ; spf=pass\r\nAuthentication-Results: other.example; dkim=pass\r\nFrom: alice@example.org\r\n" + REST)
    received, accepted = delivered(pair, data)
    assert received.data.count(b"Authentication-Results") == 1
    assert b"Authentication-Results: other.example; dkim=pass\r\n" in received.data
    assert accepted["removed"] == "authentication-results"


def test_e6_mail_that_goes_in_circles(pair):
    server, sink = pair
    known = len(sink.received)
    with raw_session(server) as raw:
        assert give(raw, b"Received: x\r\n" * 51 + b"From: alice@example.org\r\n" + REST).startswith("554 5.4.6")
        assert give(raw, b"Received: x\r\n" * 50 + b"From: alice@example.org\r\n" + REST).startswith("250")
    sink.wait(known + 1)
    with Raw(server.mta) as raw:
        raw.command("EHLO relay.example", 250)
        raw.command("MAIL FROM:<x@elsewhere.example>", 250)
        raw.command("RCPT TO:<bob@ours.example>", 250)
        raw.command("DATA", 354)
        raw.send(b"Received: x\r\n" * 51 + REST + b".\r\n")
        assert raw.reply().startswith("554 5.4.6")


def test_a11_a_header_ends_once(pair):
    """What a lone CR hides from some is seen by us, or is body for all."""
    received, accepted = delivered(pair, b"Subject: x\r\r\nFrom: boss@example.org\r\n\r\nHello\r\n")
    head, _, body = received.data.partition(b"\r\n\r\n")
    assert b"boss" not in head and b"From: <alice@example.org>" in head
    assert b"From: boss@example.org\r\n" in body
    assert accepted["repaired"] == "line-ends"
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", received.data)


def test_d6_an_encoded_word_is_no_address(pair):
    server, sink = pair
    word = "=?utf-8?q?sales=40example.org=3e?="
    with raw_session(server) as raw:
        # "=" may stand in a local part; it is compared as it is, so it is nobody's.
        assert raw.command(f"MAIL FROM:<{word}@example.org>").startswith("553 5.7.1")
        assert raw.command("MAIL FROM:<\"a\\").startswith("501 5.1.7")
    received, _ = delivered(pair, f"From: {word} <alice@example.org>\r\n".encode() + REST)
    assert f"From: {word} <alice@example.org>\r\n".encode() in received.data
    known = len(sink.received)
    with raw_session(server) as raw:
        assert give(raw, f"From: {word}@example.org\r\n".encode() + REST).startswith("550 5.7.1")
    assert len(sink.received) == known


def mail_line(received):
    return [c for c in received.session.commands if c.upper().startswith("MAIL FROM")][-1]


def test_eight_bits_are_declared(pair):
    """The next hop is told of 8-bit text that the client did not declare, late in a long message, too."""
    received, _ = delivered(pair, b"From: alice@example.org\r\n" + REST)
    assert "8BITMIME" not in mail_line(received)
    received, _ = delivered(pair, b"From: alice@example.org\r\n" + REST + "Gr\u00fc\u00dfe\r\n".encode())
    assert "BODY=8BITMIME" in mail_line(received)
    received, _ = delivered(pair, mail.large(300000) + b"\xe9\r\n")
    assert "BODY=8BITMIME" in mail_line(received)


def test_c16_who_is_said_to_have_sent_it(pair):
    """AUTH= goes on for one's own addresses only (RFC 4954 5)."""
    data = b"From: alice@example.org\r\n" + REST
    server, _ = pair
    for given, passed in [("alice@example.org", "alice@example.org"), ("sales@example.org", "sales@example.org"),
                          ("eve@example.org", "<>"), ("<>", "<>"), ("alice+40example.org", "alice+40example.org"), ("eve+40example.org", "<>"),
                          ("alice", "<>")]:
        received, _ = delivered(pair, data, parameters=" AUTH=" + given)
        assert f"AUTH={passed}" in mail_line(received).split(), (given, mail_line(received))
    received, _ = delivered(pair, data)
    assert "AUTH=" not in mail_line(received)
    with raw_session(server) as raw:
        for bad in ["a+0Ab@example.org", "+0D+0ARCPT", "x" * 4096, "a=b", "+4"]:
            assert raw.command(f"MAIL FROM:<alice@example.org> AUTH={bad}")[:3] in ("500", "501"), bad


def received_field(received):
    return re.sub(rb"\r\n[ \t]+", b" ", re.match(rb"(?:.*\r\n)(?:[ \t].*\r\n)*", received.data).group(0))


def test_received_hides_the_client(pair):
    server, _ = pair
    received, _ = delivered(pair, b"From: alice@example.org\r\n" + REST)
    field = received_field(received)
    assert field.startswith(b"Received: from authenticated-user (account alice) by mail.example.org with ESMTPSA id ")
    assert b"127.0.0.1" not in field and b"client.example" not in field
    received, _ = delivered(pair, b"From: alice@example.org\r\n" + REST, parameters=" SMTPUTF8")
    assert b" with UTF8SMTPSA id " in received_field(received)


def test_e3_names_in_the_trace(pair):
    server, sink = pair
    for name in ["a)b(c", "x" * 900, "a;b", "\u00e4", "<a>"]:
        known = len(sink.received)
        with Raw(server.mta) as raw:
            if not raw.command(f"EHLO {name}").startswith("250"):
                continue  # refused is as good
            raw.envelope("someone@elsewhere.example", "bob@ours.example")
            raw.send(REST + b".\r\n")
            assert raw.reply().startswith("250")
        data = sink.wait(known + 1)[known].data
        assert data.endswith(REST)
        trace = mail.trace_of(data, REST)
        assert [n for n, _ in trace] == ["Received"], trace
        assert trace[0][1].isascii() and trace[0][1].count("(") == trace[0][1].count(")")


# ---- the other policies ---------------------------------------------------------------------

@pytest.fixture(scope="module")
def rewriting():
    server, sink = world('submission {{ sender_check = "rewrite"  received = "full"  qualify = "cron.example" }}')
    with server:
        yield server, sink
    sink.stop()


def test_e1_e2_rewriting_leaves_no_other_name(rewriting):
    server, sink = rewriting
    for form in FORGED:
        known = len(sink.received)
        with raw_session(server, "eve") as raw:
            reply = give(raw, form + b"\r\n" + REST, sender="alice@example.org")
        if not reply.startswith("250"):
            assert re.match(r"550 5\.6\.0 |521 5\.5\.2 ", reply), (form, reply)
            continue
        received = sink.wait(known + 1)[known]
        assert received.sender == "eve@example.org"
        froms = re.findall(rb"^(?:From|Sender|Resent-From|Resent-Sender)[ \t]*:(.*(?:\r\n[ \t].*)*)\r\n", head_of(received),
                           re.M | re.I)
        assert froms and all(re.search(rb"<eve@example\.org>$|^ ?eve@example\.org$", f) for f in froms), (form, froms)


def test_rewritten_mail_says_so(rewriting):
    server, _ = rewriting
    received, accepted = delivered(rewriting, b"From: root (Cron Daemon)\r\nTo: root\r\nSubject: x\r\n\r\nHello\r\n",
                                   user="eve", sender="root")
    head = head_of(received)
    assert received.sender == "eve@example.org"
    assert b"From: <eve@example.org>\r\nX-Original-From: root (Cron Daemon)\r\nTo: root@cron.example\r\n" in head
    assert b"Reply-To: root@cron.example (Cron Daemon)\r\n" in head
    assert accepted["rewritten"] == "envelope,from" and accepted["sender"] == "eve@example.org"
    assert accepted["qualified"] == "reply-to,to"
    line = server.wait_event("sender-mismatch", id=accepted["id"])
    assert (line["account"], line["action"], line["sender"], line["from"], line["fields"]) == \
        ("eve", "rewritten", "root@cron.example", "root@cron.example", "from")


def test_full_received_names_the_client(rewriting):
    received, _ = delivered(rewriting, b"From: alice@example.org\r\n" + REST)
    field = received_field(received)
    assert re.match(rb"Received: from client\.example \((\S+ )?\[127\.0\.0\.1\]\) \(account alice\) by mail\.", field), field


def test_the_null_sender_is_not_rewritten(rewriting):
    server, _ = rewriting
    with raw_session(server, "eve") as raw:
        assert raw.command("MAIL FROM:<>").startswith("553 5.7.1")


@pytest.fixture(scope="module")
def logging():
    server, sink = world('submission {{ sender_check = "log"  received = "minimal" }}')
    with server:
        yield server, sink
    sink.stop()


def test_logging_lets_pass_and_tells(logging):
    server, _ = logging
    data = b"From: Alice <alice@example.org>\r\n" + REST
    received, accepted = delivered(logging, data, user="eve", sender="bob@elsewhere.example")
    assert received.sender == "bob@elsewhere.example" and received.data.endswith(data)
    line = server.wait_event("sender-mismatch", id=accepted["id"])
    assert (line["account"], line["action"], line["sender"], line["from"], line["fields"]) == \
        ("eve", "accepted", "bob@elsewhere.example", "alice@example.org", "from")
    assert len(server.events("sender-mismatch", id=accepted["id"])) == 1
    assert "every account may send as anyone" in server.log()
    field = received_field(received)
    assert field.startswith(b"Received: from authenticated-user by mail.example.org with ESMTPSA id "), field
    _, accepted = delivered(logging, b"From: eve@example.org\r\n" + REST, user="eve", sender="eve@example.org")
    assert not server.events("sender-mismatch", id=accepted["id"])


def test_the_policy_changes_with_a_reload():
    """Also for those who are logged in: queue is told what they may do."""
    server, sink = world()
    try:
        with server:
            foreign = b"From: alice@example.org\r\n" + REST
            with raw_session(server, "eve") as raw:
                raw.command("MAIL FROM:<alice@example.org>", 553)
                server.configure(settings='submission {{ sender_check = "log" }}')
                server.command("reload", check=True)
                wait_for(lambda: give(raw, foreign, sender="alice@example.org").startswith("250"), "log is in force", 20)
                server.configure(settings="")
                server.command("reload", check=True)
                wait_for(lambda: raw.command("MAIL FROM:<alice@example.org>").startswith("553"), "reject is in force", 20)
            assert len(sink.wait(1)) == 1
    finally:
        sink.stop()


def test_swaks_and_smtplib_hear_why(pair):
    server, _ = pair
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{server.submission}", "-tls", "--auth", "PLAIN", "--auth-user",
                           "eve", "--auth-password", PASSWORD, "--from", "eve@example.org", "--to", "bob@sink.example",
                           "--header", "From: alice@example.org"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "550 5.7.1 eve may not send as alice@example.org" in done.stdout, done.stdout
    with server.client("eve") as client:
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.sendmail("eve@example.org", ["bob@sink.example"], mail.message(sender="alice@example.org"))
    assert b"allowed: eve@example.org; ask postmaster@example.org" in error.value.smtp_error
