# SPDX-License-Identifier: Apache-2.0
"""What a sender asked for, at next hops that can do it and at others: sinks with each extension, and without."""
import random
import socket
import ssl
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.nsd import Nsd  # noqa: E402
from support.play_relay import (DEFERRED, DELIVERED, FAILED, HOST, MESSAGE, OURS, SMALL,  # noqa: E402,F401
                                certificate, folder, mx_conf, relay, smart)
from support.process import PATIENCE, free_ports  # noqa: E402
from support.sink import Sink  # noqa: E402

FINAL, DSN, PLAIN = "1", "2", "3"  # who took it
UTF8, REQUIRETLS, TLS_OPTIONAL = 2, 16, 32  # flags
RETURN, NOTIFY = 1, 2  # by_mode
NEVER, SUCCESS, FAILURE, DELAY = 1, 2, 4, 8
EVERYTHING = ("SMTPUTF8", "DSN", "DELIVERBY", "MT-PRIORITY MIXER", "REQUIRETLS", "AUTH PLAIN")


def said(sink, verb, session=-1):
    return [c for c in sink.sessions[session].commands if c.startswith(verb)]


# ---- DSN (RFC 3461), MT-PRIORITY (6710), AUTH= (4954) ----

def test_dsn_is_told(relay):
    with Sink(offers=("DSN",)) as sink:
        r = relay(smart(sink.port))
        row = r.result(r.deliver("bob+x@example.net", ret=2, envid="QQ+2B1", notify=SUCCESS | DELAY))[5]
        assert (row["outcome"], row["taken"]) == ("1", DSN)
        assert said(sink, "MAIL")[0].endswith(" RET=HDRS ENVID=QQ+2B1")
        # An address with + is xtext in ORCPT, and only there.
        assert said(sink, "RCPT")[0] == \
            "RCPT TO:<bob+x@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@example.net"
        r.result(r.deliver("bob@example.net", ret=1, notify=NEVER, orcpt="rfc822;first@example.com"))
        assert said(sink, "MAIL")[1].endswith(" RET=FULL")
        assert said(sink, "RCPT")[1] == "RCPT TO:<bob@example.net> NOTIFY=NEVER ORCPT=rfc822;first@example.com"
        r.result(r.deliver("bob@example.net"))
        assert said(sink, "RCPT")[2] == "RCPT TO:<bob@example.net>"  # nothing asked: nothing said


def test_without_dsn_it_is_relayed_plain(relay):
    with Sink() as sink:
        r = relay(smart(sink.port))
        row = r.result(r.deliver("bob@example.net", ret=2, envid="QQ1", notify=SUCCESS, orcpt="rfc822;b@c"))[5]
        assert (row["outcome"], row["taken"]) == ("1", PLAIN)
        assert not any(w in c for c in sink.sessions[0].commands for w in ("RET=", "ENVID=", "NOTIFY=", "ORCPT="))


def test_mailboxes_are_final(relay, folder):
    with Sink(lmtp=True, offers=("DSN",)) as sink:
        r = relay(f'route "box" {{ to = "*@box.example" via = "capture:{folder}/box" }}\n'
                  f'route "all" {{ via = "lmtp:127.0.0.1:{sink.port}" }}\n')
        assert r.result(r.deliver("bob@example.net", notify=SUCCESS))[5]["taken"] == FINAL
        assert r.result(r.deliver("bob@box.example", notify=SUCCESS))[5]["taken"] == FINAL
        assert said(sink, "RCPT") == ["RCPT TO:<bob@example.net>"]


def test_refused_recipients_are_taken_by_nobody(relay):
    with Sink({"RCPT": lambda a, s: "550 5.1.1 No" if a.startswith("no") else None}, offers=("DSN",)) as sink:
        r = relay(smart(sink.port))
        claim = r.deliver("no@example.net,yes@example.net", notify=SUCCESS)
        assert r.result(claim, 0)[5]["taken"] == "0" and r.result(claim, 1)[5]["taken"] == DSN


def test_priority(relay):
    with Sink(offers=("MT-PRIORITY",)) as sink, Sink() as plain:
        r = relay(f'relay "plain" {{ host = "127.0.0.1:{plain.port}" }}\n'
                  'route "plain" { to = "*@plain.example" via = "relay:plain" }\n' + smart(sink.port))
        for value in (-9, 0, 9):
            assert r.result(r.deliver("bob@example.net", priority=10 + value))[0] == DELIVERED
            assert said(sink, "MAIL")[-1].endswith(f" MT-PRIORITY={value}")
        assert r.result(r.deliver("bob@example.net"))[0] == DELIVERED
        assert "PRIORITY" not in said(sink, "MAIL")[-1]
        # Nothing need be done where it is not known (RFC 6710 4): the mail goes.
        assert r.result(r.deliver("bob@plain.example", priority=19))[0] == DELIVERED
        assert "PRIORITY" not in said(plain, "MAIL")[0]


def test_auth_only_where_we_are_logged_in(relay, folder):
    (folder / "pw").write_text("s3cret\n")
    user = f'tls = "none" user = "dept" password_file = "{folder}/pw"'
    with Sink(login=("dept", "s3cret")) as trusted, Sink(offers=("AUTH PLAIN",)) as stranger:
        r = relay(f'relay "s" {{ host = "127.0.0.1:{stranger.port}" }}\n'
                  'route "s" { to = "*@stranger.example" via = "relay:s" }\n' + smart(trusted.port, user),
                  "hub=s3cret")
        assert r.result(r.deliver("bob@example.net", auth="ann+2Bx@example.org"))[0] == DELIVERED
        assert said(trusted, "MAIL")[0].endswith(" AUTH=ann+2Bx@example.org")
        assert r.result(r.deliver("bob@example.net", auth="<>"))[0] == DELIVERED
        assert said(trusted, "MAIL")[1].endswith(" AUTH=<>")
        assert r.result(r.deliver("bob@stranger.example", auth="ann@example.org"))[0] == DELIVERED
        assert "AUTH=" not in said(stranger, "MAIL")[0]


@pytest.mark.parametrize("terms", [{"envid": "a=b"}, {"envid": "a+0D+0Ab"}, {"envid": "x" * 101},
                                   {"orcpt": "rfc822"}, {"orcpt": "rfc822;a\tNOTIFY=NEVER"},
                                   {"orcpt": "rfc822;a+0Ab"}, {"orcpt": "rfc822;\u00e4@b"}, {"auth": "a\tb"}])
def test_j3_parameters_that_must_not_leave(relay, terms):
    with Sink(offers=EVERYTHING) as sink:
        r = relay(smart(sink.port))
        assert r.result(r.deliver("bob@example.net", **terms))[:4] == (FAILED, MESSAGE, 0, "5.1.3")
        assert r.result(r.deliver("bob@example.net"))[0] == DELIVERED
        assert len(sink.received) == 1 and len(said(sink, "MAIL", 0)) == 1


@pytest.mark.parametrize("missing", EVERYTHING[:-1] + ("PIPELINING", "SIZE 104857600", "8BITMIME"))
def test_j3_a_hop_without_one_extension(relay, certificate, missing):
    """Said to those who offer it, to no other; what it is for is refused with words, or not needed."""
    parameter = {"SMTPUTF8": "SMTPUTF8", "DSN": "ENVID=", "DELIVERBY": "BY=", "MT-PRIORITY MIXER": "MT-PRIORITY=",
                 "REQUIRETLS": "REQUIRETLS", "SIZE 104857600": "SIZE=", "8BITMIME": "BODY="}.get(missing)
    status = {"SMTPUTF8": "5.6.7", "DELIVERBY": "5.3.3", "REQUIRETLS": "5.7.30", "8BITMIME": "5.6.3"}.get(missing)
    terms = {"flags": REQUIRETLS, "envid": "Q1", "notify": FAILURE, "by_mode": RETURN, "by_seconds": 90,
             "priority": 12}
    with Sink(tls=certificate[1], offers=EVERYTHING) as full, \
            Sink(tls=certificate[1], offers=EVERYTHING, without=(missing,)) as lacking:
        ca = f'tls = "required" ca_file = "{certificate[0]}"'
        r = relay(f'relay "lacking" {{ host = "127.0.0.1:{lacking.port}" {ca} }}\n'
                  'route "l" { to = "*@lacking.example" via = "relay:lacking" }\n' + smart(full.port, ca))
        row = r.result(r.deliver("b\u00e4r@example.net", **terms))[5]
        assert row["outcome"] == "1", row
        mail = said(full, "MAIL")[0]
        assert all(f" {w}" in mail for w in ("SIZE=", "BODY=8BITMIME", "SMTPUTF8", "REQUIRETLS", "ENVID=Q1",
                                            "BY=90;R", "MT-PRIORITY=2")), mail
        outcome, _, code, got, text, _ = r.result(r.deliver("b\u00e4r@lacking.example", **terms))
        if status:
            assert (outcome, got) == (FAILED, status) and text
            assert not lacking.received
        else:
            assert (outcome, code) == (DELIVERED, 250)
        assert not parameter or not any(parameter in c for c in said(lacking, "MAIL"))


# ---- SMTPUTF8 (RFC 6531) ----

def test_utf8_is_said_only_for_addresses(relay):
    with Sink(offers=("SMTPUTF8",)) as sink, Sink() as old:
        r = relay(f'relay "old" {{ host = "127.0.0.1:{old.port}" }}\n'
                  'route "old" { to = "*@old.example" via = "relay:old" }\n' + smart(sink.port))
        header = b"Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n"
        assert r.result(r.deliver("bob@example.net", header, flags=UTF8))[0] == DELIVERED
        assert "SMTPUTF8" not in said(sink, "MAIL")[0]
        # Its client said SMTPUTF8 and its header is raw: any hop that takes 8 bits will do.
        assert r.result(r.deliver("bob@old.example", header, flags=UTF8))[0] == DELIVERED
        assert old.received[0].data == header
        assert r.result(r.deliver("b\u00f6b@example.net", flags=UTF8))[0] == DELIVERED
        assert "SMTPUTF8" in said(sink, "MAIL")[1] and sink.received[1].recipients == ["b\u00f6b@example.net"]
        assert r.result(r.deliver("bob@example.net", sender="\u00e4nn@example.org", flags=UTF8))[0] == DELIVERED
        assert "SMTPUTF8" in said(sink, "MAIL")[2]


def test_utf8_address_at_a_hop_without(relay):
    with Sink() as sink:
        r = relay(smart(sink.port))
        claim = r.deliver("b\u00f6b@example.net,bob@example.net", flags=UTF8)
        outcome, _, code, status, text, _ = r.result(claim, 0)
        assert (outcome, code, status) == (FAILED, 0, "5.6.7") and "SMTPUTF8" in text
        assert r.result(claim, 1)[0] == DELIVERED and sink.received[0].recipients == ["bob@example.net"]
        assert r.result(r.deliver("bob@example.net", sender="\u00e4nn@example.org"))[:4:3] == (FAILED, "5.6.7")
        assert r.result(r.deliver("bob@example.net"))[0] == DELIVERED
        assert len(sink.sessions) == 1 and len(sink.received) == 2


@pytest.fixture(scope="module")
def zones():
    with Nsd({"example.net": "two IN MX 10 a\ntwo IN MX 20 b\na IN A 127.0.0.1\nb IN A 127.0.0.2\n"
                             "down IN MX 10 c\ndown IN MX 20 a\nc IN A 127.0.0.3\none IN MX 10 a\n"}) as nsd:
        yield nsd


def test_utf8_other_hosts_are_tried(relay, zones):
    port = free_ports(1)[0]
    with Sink(port=port) as without, Sink(port=port, host="127.0.0.2", offers=("SMTPUTF8",)) as able:
        r = relay(mx_conf(zones, port))
        claim = r.deliver("b\u00f6b@two.example.net,bob@two.example.net", flags=UTF8)
        assert [r.result(claim, n)[0] for n in (0, 1)] == [DELIVERED] * 2
        assert len(able.received) == 1 and not without.received and not said(without, "MAIL")
        # The better host is down, and it may be the one that can: later. The rest goes now.
        claim = r.deliver("b\u00f6b@down.example.net,bob@down.example.net", flags=UTF8)
        assert r.result(claim, 0)[0] == DEFERRED and r.result(claim, 1)[0] == DELIVERED
        claim = r.deliver("b\u00f6b@one.example.net,bob@one.example.net", flags=UTF8)
        assert r.result(claim, 0)[:4:3] == (FAILED, "5.6.7") and r.result(claim, 1)[0] == DELIVERED


def test_8bit_other_hosts_are_tried(relay, zones):
    """RFC 6152 3: a host without 8BITMIME does not get it, the next one may."""
    port = free_ports(1)[0]
    with Sink(port=port, without=("8BITMIME",)) as without, Sink(port=port, host="127.0.0.2") as able:
        r = relay(mx_conf(zones, port))
        assert r.result(r.deliver("b@two.example.net"))[0] == DELIVERED
        assert said(without, "DATA") and not without.received and len(able.received) == 1
        outcome, _, _, status, text, row = r.result(r.deliver("b@one.example.net"))
        assert (outcome, status, row["down"]) == (FAILED, "5.6.3", "0") and "8-bit" in text


def test_utf8_orcpt_in_ascii_where_the_hop_knows_no_other(relay):
    orcpt = "utf-8;b\u00f6b@example.com"
    with Sink(offers=("DSN", "SMTPUTF8")) as sink:
        r = relay(smart(sink.port))
        r.result(r.deliver("bob@example.net", orcpt=orcpt))
        assert said(sink, "RCPT")[0].endswith(r" ORCPT=utf-8;b\x{F6}b@example.com")
        r.result(r.deliver("b\u00f6b@example.net", orcpt=orcpt))
        assert said(sink, "RCPT")[1].endswith(f" ORCPT={orcpt}")


# ---- DELIVERBY (RFC 2852) ----

def test_deliver_by(relay):
    with Sink(offers=("DELIVERBY 30",)) as sink, Sink() as old:
        r = relay(f'relay "old" {{ host = "127.0.0.1:{old.port}" }}\n'
                  'route "old" { to = "*@old.example" via = "relay:old" }\n' + smart(sink.port))
        assert r.result(r.deliver("b@example.net", by_mode=RETURN, by_seconds=100, by_trace=1))[0] == DELIVERED
        word = said(sink, "MAIL")[0].split()[-1]
        assert word.endswith(";RT") and 90 <= int(word[3:-3]) <= 100
        assert r.result(r.deliver("b@example.net", by_mode=NOTIFY, by_seconds=-5))[0] == DELIVERED
        assert said(sink, "MAIL")[1].split()[-1] in ("BY=-5;N", "BY=-6;N")
        # Too late, and shorter than the server takes: returned, not sent.
        for seconds in (0, -5, 20):
            outcome, _, _, status, text, _ = r.result(r.deliver("b@example.net", by_mode=RETURN, by_seconds=seconds))
            assert (outcome, status) == (FAILED, "5.4.7") and "time" in text
        # Without the extension: R is returned, N goes as ever.
        outcome, _, _, status, text, _ = r.result(r.deliver("b@old.example", by_mode=RETURN, by_seconds=100))
        assert (outcome, status) == (FAILED, "5.3.3") and "DELIVERBY" in text
        assert r.result(r.deliver("b@old.example", by_mode=NOTIFY, by_seconds=100))[0] == DELIVERED
        assert len(sink.received) == 2 and len(old.received) == 1 and "BY=" not in said(old, "MAIL")[0]


def test_deliver_by_into_a_mailbox(relay, folder):
    r = relay(f'route "all" {{ via = "capture:{folder}/box" }}\n')
    assert r.result(r.deliver("b@example.net", by_mode=RETURN, by_seconds=100))[0] == DELIVERED
    assert r.result(r.deliver("b@example.net", by_mode=RETURN, by_seconds=-1))[:4:3] == (FAILED, "5.4.7")
    assert len(list((folder / "box/new").iterdir())) == 1


def test_deliver_by_other_hosts_are_tried(relay, zones):
    port = free_ports(1)[0]
    with Sink(port=port) as without, Sink(port=port, host="127.0.0.2", offers=("DELIVERBY",)) as able:
        r = relay(mx_conf(zones, port))
        assert r.result(r.deliver("b@two.example.net", by_mode=RETURN, by_seconds=100))[0] == DELIVERED
        assert len(able.received) == 1 and not said(without, "MAIL")


# ---- REQUIRETLS and TLS-Required: No (RFC 8689) ----

def test_l4_require_tls_at_a_smart_host(relay, certificate):
    ca = f'ca_file = "{certificate[0]}"'
    with Sink(tls=certificate[1], offers=("REQUIRETLS",)) as sink, Sink(tls=certificate[1]) as lacking:
        r = relay(f'relay "l" {{ host = "127.0.0.1:{lacking.port}" tls = "required" {ca} }}\n'
                  f'relay "any" {{ host = "127.0.0.1:{sink.port}" tls = "opportunistic" }}\n'
                  f'relay "none" {{ host = "127.0.0.1:{sink.port}" tls = "none" }}\n'
                  'route "l" { to = "*@lacking.example" via = "relay:l" }\n'
                  'route "a" { to = "*@any.example" via = "relay:any" }\n'
                  'route "n" { to = "*@none.example" via = "relay:none" }\n'
                  + smart(sink.port, f'tls = "required" {ca}'))
        assert r.result(r.deliver("b@example.net", flags=REQUIRETLS))[0] == DELIVERED
        assert said(sink, "MAIL")[0].endswith(" REQUIRETLS") and sink.received[0].session.encrypted
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        assert "REQUIRETLS" not in said(sink, "MAIL")[1]
        for domain, status in {"lacking": "5.7.30", "any": "5.7.10", "none": "5.7.10"}.items():
            outcome, _, _, got, text, _ = r.result(r.deliver(f"b@{domain}.example", flags=REQUIRETLS | TLS_OPTIONAL))
            assert (outcome, got) == (FAILED, status) and "REQUIRETLS" in text, domain
            assert r.result(r.deliver(f"b@{domain}.example"))[0] == DELIVERED
        # The last word of the next hop about it, not a fault of ours.
        sink.answers["MAIL"] = "550 5.7.30 REQUIRETLS support required"
        assert r.result(r.deliver("b@example.net", flags=REQUIRETLS))[:4] == (FAILED, MESSAGE, 550, "5.7.30")


def test_l4_require_tls_where_tls_fails(relay, certificate):
    """A smart host without TLS that could be trusted: the last word to such mail, our set-up to all else."""
    def hang_up(_, __):
        return "drop"
    dead = free_ports(1)[0]
    with Sink(tls=certificate[1], offers=("REQUIRETLS",)) as unknown, Sink() as clear, \
            Sink({"STARTTLS": "501 5.5.1 not today"}, tls=certificate[1]) as refusing, \
            Sink({"STARTTLS": "454 4.7.0 not now"}, tls=certificate[1]) as later, \
            Sink({"STARTTLS": hang_up}, tls=certificate[1]) as broken:
        ports = {"unknown": unknown.port, "clear": clear.port, "refusing": refusing.port, "later": later.port,
                 "broken": broken.port, "dead": dead}
        r = relay("".join(f'relay "{name}" {{ host = "127.0.0.1:{port}" tls = "required" }}\n'
                          f'route "{name}" {{ to = "*@{name}.example" via = "relay:{name}" }}\n'
                          for name, port in ports.items()))
        for name in ports:
            outcome, scope, _, status, text, row = r.result(r.deliver(f"b@{name}.example", flags=REQUIRETLS))
            if name in ("unknown", "clear", "refusing"):
                assert (outcome, status, row["down"]) == (FAILED, "5.7.10", "0"), (name, row)
                assert "REQUIRETLS" in text and "127.0.0.1" in text, text
                assert r.result(r.deliver(f"b@{name}.example"))[:2] == (DEFERRED, OURS), name
            else:
                assert (outcome, scope) == (DEFERRED, HOST), (name, row)
        assert not any(sink.received for sink in (unknown, clear, refusing, later, broken))


def test_l4_require_tls_over_mx_fails_at_once(relay, zones, certificate):
    port = free_ports(1)[0]
    with Sink(port=port, tls=certificate[1], offers=("REQUIRETLS",)) as sink:
        r = relay(mx_conf(zones, port))
        for flags in (REQUIRETLS, REQUIRETLS | TLS_OPTIONAL):
            outcome, scope, _, status, text, row = r.result(r.deliver("b@one.example.net", flags=flags))
            assert (outcome, scope, status, row["down"]) == (FAILED, MESSAGE, "5.7.30", "0")
            assert "one.example.net" in text and "REQUIRETLS" in text
        assert not sink.sessions


def test_l4_require_tls_into_a_mailbox(relay, folder):
    with Sink(lmtp=True) as sink:
        r = relay(f'route "box" {{ to = "*@box.example" via = "capture:{folder}/box" }}\n'
                  f'route "all" {{ via = "lmtp:127.0.0.1:{sink.port}" }}\n')
        assert r.result(r.deliver("b@box.example", flags=REQUIRETLS))[0] == DELIVERED
        assert r.result(r.deliver("b@example.net", flags=REQUIRETLS))[0] == DELIVERED


def broken_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[0], certificate[0].parent / "key.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def test_tls_required_no_goes_in_clear_by_mx(relay, zones, certificate, folder):
    """Its TLS is broken: such mail goes at once, in the same attempt, and never with a password."""
    port = free_ports(1)[0]
    (folder / "pw").write_text("s3cret\n")
    with Sink(port=port, tls=broken_tls(certificate)) as sink:
        r = relay(mx_conf(zones, port)
                  + f'relay "l" {{ host = "127.0.0.1:{port}" user = "u" password_file = "{folder}/pw" }}\n'
                  'route "l" { to = "*@login.example" via = "relay:l" }\n', "l=s3cret")
        row = r.result(r.deliver("b@one.example.net", flags=TLS_OPTIONAL))[5]
        assert (row["outcome"], row["tls"]) == ("1", "") and not sink.received[0].session.encrypted
        assert r.result(r.deliver("b@login.example", flags=TLS_OPTIONAL))[:2] == (DEFERRED, OURS)
        assert len(sink.received) == 1 and not said(sink, "AUTH")


@pytest.mark.parametrize("where", ["STARTTLS", "EHLO"])
def test_tls_required_no_where_the_server_breaks_off(relay, zones, certificate, where):
    """No failed handshake: it hangs up on the way into TLS. To other mail that is a host that is down."""
    port = free_ports(1)[0]

    def hang_up(_, session):
        return "drop" if where == "STARTTLS" or session.encrypted else None
    with Sink({where: hang_up}, port=port, tls=certificate[1]) as sink:
        r = relay(mx_conf(zones, port))
        assert r.result(r.deliver("b@one.example.net"))[:2] == (DEFERRED, HOST)
        assert not sink.received
    with Sink({where: hang_up}, port=port, tls=certificate[1]) as sink:
        r.stop()
        r = relay(mx_conf(zones, port))
        claims = [r.deliver("b@one.example.net", flags=f) for f in (0, TLS_OPTIONAL, 0)]
        assert [r.result(c)[0] for c in claims] == [DEFERRED, DELIVERED, DEFERRED]
        assert len(sink.received) == 1 and not sink.received[0].session.encrypted


# ---- LIMITS (RFC 9422) ----

@pytest.mark.parametrize("how", ["whole", "fetched"])
def test_limits_of_the_hop_are_kept(relay, how):
    """No recipient is refused for now only because there were too many of them."""
    with Sink({"RCPT": lambda a, s: "550 5.1.1 No" if a.startswith("b3@") else None},
              offers=("LIMITS MAILMAX=3 RCPTMAX=2 RCPTDOMAINMAX=1",)) as sink:
        r = relay(smart(sink.port) + "delivery { connections_per_host = 1 }\n")
        claim = r.deliver(",".join(f"b{i}@example.net" for i in range(9)), SMALL, how)
        assert [r.result(claim, i)[0] for i in range(9)] == [FAILED if i == 3 else DELIVERED for i in range(9)]
        got = [m.recipients for m in sink.received]
        assert sorted(sum(got, [])) == [f"b{i}@example.net" for i in range(9) if i != 3]
        assert all(m.data == SMALL for m in sink.received)
        transactions = [[len(part.split("RCPT TO")) - 1 for part in "\n".join(s.commands).split("MAIL FROM")[1:]]
                        for s in sink.sessions]
        assert max(len(t) for t in transactions) <= 3 and max(sum(transactions, [])) <= 2, transactions
        assert len(sum(transactions, [])) == 5


@pytest.mark.parametrize("words", ["RCPTMAX=0", "RCPTMAX=x", "RCPTMAX", "RCPTMAX=1000000", "XRCPTMAX=1"])
def test_limits_that_make_no_sense_are_none(relay, words):
    with Sink(offers=(f"LIMITS {words}",)) as sink:
        r = relay(smart(sink.port))
        claim = r.deliver("a@example.net,b@example.net")
        assert [r.result(claim, i)[0] for i in (0, 1)] == [DELIVERED] * 2 and len(sink.received) == 1


# ---- the bytes of a message ----

class RawSink:
    """Takes one message by DATA and keeps what came over the wire, dots and all."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.wire, self.rest = self.listener.getsockname()[1], [], b""
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection):
        connection.settimeout(PATIENCE)
        data = b""

        def line():
            nonlocal data
            while b"\r\n" not in data:
                more = connection.recv(65536)
                if not more:
                    raise OSError
                data += more
            first, _, data = data.partition(b"\r\n")
            return first

        try:
            connection.sendall(b"220 raw\r\n")
            while True:
                command = line()
                if command == b"DATA":
                    connection.sendall(b"354 go\r\n")
                    body = b""
                    while not (body + data).endswith(b"\r\n.\r\n") and data != b".\r\n":
                        more = connection.recv(65536)
                        if not more:
                            raise OSError
                        data += more
                    self.wire.append(data)
                    data = b""
                connection.sendall(b"250-raw\r\n250 8BITMIME\r\n" if command.startswith(b"EHLO") else b"250 ok\r\n")
        except OSError:
            connection.close()


def unstuffed(wire):
    """By the letter of RFC 5321 4.5.2, from the wire alone."""
    assert wire.endswith(b"\r\n.\r\n") or wire == b".\r\n"
    lines = wire[:-3].split(b"\r\n")[:-1]
    assert not any(b"\r" in x or b"\n" in x for x in lines) and b"." not in lines
    return b"".join((x[1:] if x.startswith(b".") else x) + b"\r\n" for x in lines)


def test_a5_random_bodies_of_dots(relay):
    dice = random.Random(5321)
    with RawSink() as sink:
        r = relay(smart(sink.port) + "delivery { connections_per_host = 1 }\n")
        for turn in range(60):
            lines = ["".join(dice.choice("..x") for _ in range(dice.choice((0, 1, 1, 2, 3, 200))))
                     for _ in range(dice.choice((1, 3, 400)))]
            body = ("\r\n".join(lines) + "\r\n").encode()
            claim = r.deliver("b@example.net", body, dice.choice(("whole", "fetched")))
            assert r.result(claim)[0] == DELIVERED
            assert unstuffed(sink.wire[turn]) == body, turn


@pytest.mark.parametrize("how", ["whole", "fetched"])
def test_a6_end_of_data_inside_a_message(relay, how):
    """Legal in BDAT, stored as it came; at a server without CHUNKING it is one message, whole."""
    inside = b"Subject: x\r\n\r\none\r\n.\r\nMAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\n.\r\n..\r\nlast"
    with RawSink() as raw, Sink() as sink:
        r = relay(f'relay "raw" {{ host = "127.0.0.1:{raw.port}" }}\n'
                  'route "raw" { to = "*@raw.example" via = "relay:raw" }\n' + smart(sink.port))
        assert r.result(r.deliver("b@example.net", inside, how))[0] == DELIVERED
        assert [x.data for x in sink.received] == [inside + b"\r\n"]
        assert len(said(sink, "MAIL")) == 1
        assert r.result(r.deliver("b@raw.example", inside, how))[0] == DELIVERED
        assert unstuffed(raw.wire[0]) == inside + b"\r\n"


@pytest.mark.parametrize("data", [b"Subject: x\r\n\r\na\n.\r\nMAIL FROM:<x@y>\r\n", b"a\r\n.\nMAIL FROM:<x@y>\r\n",
                                  b"a\n.\nMAIL FROM:<x@y>\r\n", b"a\r.\r\nb\r\n", b"a\r\n.\rb\r\n", b"a\0b\r\n", b"a\r",
                                  b"x" * 60000 + b"\n.\r\nb\r\n"],
                         ids=range(8))
def test_a4_a_planted_message_does_not_leave(relay, data):
    with RawSink() as raw, Sink() as sink:
        r = relay(f'relay "raw" {{ host = "127.0.0.1:{raw.port}" }}\n'
                  'route "raw" { to = "*@raw.example" via = "relay:raw" }\n' + smart(sink.port))
        for domain in ("example.net", "raw.example"):
            for how in ("whole", "fetched"):
                assert r.result(r.deliver(f"b@{domain}", data, how))[:4] == (FAILED, MESSAGE, 554, "5.6.0")
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        assert r.result(r.deliver("b@raw.example"))[0] == DELIVERED
        assert [x.data for x in sink.received] == [SMALL] and unstuffed(raw.wire[0]) == SMALL and len(raw.wire) == 1


# ---- credentials ----

def test_i3_relays_with_other_credentials_share_no_connection(relay, certificate, folder):
    for name in ("one", "two"):
        (folder / name).write_text(f"pw-{name}\n")
    accounts = {"one": "pw-one", "two": "pw-two"}

    class Tenants(tuple):
        """The login of a sink is compared as a whole: equal to each of the two."""
        def __eq__(self, other):
            return accounts.get(other[0]) == other[1]
        __hash__ = tuple.__hash__

    with Sink(tls=certificate[1], login=Tenants(("", ""))) as sink:
        conf = "".join(
            f'relay "{n}" {{ host = "127.0.0.1:{sink.port}" tls = "required" ca_file = "{certificate[0]}" user = "{n}" '
            f'password_file = "{folder}/{n}" }}\nroute "{n}" {{ to = "*@{n}.example" via = "relay:{n}" }}\n'
            for n in accounts)
        r = relay(conf + f'relay "none" {{ host = "127.0.0.1:{sink.port}" tls = "required" '
                  f'ca_file = "{certificate[0]}" }}\nroute "none" {{ via = "relay:none" }}\n',
                  *(f"{n}={p}" for n, p in accounts.items()))
        claims = [r.deliver(f"b{i}@{n}.example") for i in range(20) for n in ("one", "two", "none")]
        for claim in claims:
            assert r.result(claim)[0] == DELIVERED
        assert len(sink.received) == 60
        for message in sink.received:
            assert message.session.encrypted
            assert f"@{message.session.user or 'none'}.example" in message.recipients[0]
        assert {s.user for s in sink.sessions if said_mail(s)} == {"one", "two", None}


def said_mail(session):
    return any(c.startswith("MAIL") for c in session.commands)


def test_i3_no_password_for_an_unverified_peer(relay, certificate, folder):
    (folder / "pw").write_text("s3cret\n")
    with Sink(tls=certificate[1], login=("u", "s3cret")) as sink:
        for tls in ("opportunistic", "required"):  # an issuer that nobody knows
            r = relay(smart(sink.port, f'tls = "{tls}" user = "u" password_file = "{folder}/pw"'), "hub=s3cret")
            assert r.result(r.deliver("b@example.net"))[:2] == (DEFERRED, OURS)
            assert r.stop() == 0
        assert not any(c.startswith("AUTH") for s in sink.sessions for c in s.commands) and not sink.received
