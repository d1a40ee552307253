# SPDX-License-Identifier: Apache-2.0
"""The relay process alone: play-queue plays master and queue, sinks play the servers."""
import ssl
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.nsd import Nsd  # noqa: E402
from support.play_relay import (DEFERRED, DELIVERED, FAILED, HOST, MESSAGE, OURS, RECIPIENT, SMALL, UNCERTAIN,  # noqa: E402,F401
                                big, certificate, folder, mx_conf, relay, smart)
from support.process import free_ports, wait_for  # noqa: E402
from support.sink import Sink  # noqa: E402


# ---- bytes, reuse, results ----

def test_delivers_and_tells(relay):
    with Sink() as sink:
        r = relay(smart(sink.port))
        claim = r.deliver("bob@example.net,carol@example.net")
        for n in (0, 1):
            outcome, _, code, status, text, row = r.result(claim, n)
            assert (outcome, code, status, text) == (DELIVERED, 250, "2.0.0", "Taken")
            assert row["host"] == f"127.0.0.1[127.0.0.1]:{sink.port}"
        assert sink.received[0].data == SMALL
        assert sink.received[0].recipients == ["bob@example.net", "carol@example.net"]
        at_dot = r.of("at_dot", claim=claim)
        assert at_dot[0]["numbers"] == "0,1," and r.lines.index(at_dot[0]) < r.lines.index(
            r.of("result", claim=claim)[0])


def test_large_bodies_are_fetched(relay):
    data = big(9_000_000)
    with Sink() as sink:
        r = relay(smart(sink.port))
        claims = [r.deliver("bob@example.net", data, "fetched") for _ in range(3)]
        claims += [r.deliver("bob@example.net", big(70000), "fetched"), r.deliver("b@example.net", b"", "fetched")]
        for claim in claims:
            assert r.result(claim, seconds=60)[0] == DELIVERED
        assert sorted(len(x.data) for x in sink.received)[-3:] == [len(data)] * 3
        assert all(x.data == data for x in sink.received if len(x.data) == len(data))


def test_connections_are_reused_and_bounded(relay):
    with Sink() as sink:
        r = relay(smart(sink.port) + "delivery { connections_per_host = 3 }\n")
        claims = [r.deliver(f"b{i}@example.net") for i in range(200)]
        for claim in claims:
            assert r.result(claim)[0] == DELIVERED
        assert len(sink.sessions) <= 3 and len(sink.received) == 200


def test_messages_per_connection(relay):
    with Sink() as sink:
        r = relay(smart(sink.port) + "delivery { connections_per_host = 1 messages_per_connection = 5 }\n")
        claims = [r.deliver(f"b{i}@example.net") for i in range(20)]
        for claim in claims:
            assert r.result(claim)[0] == DELIVERED
        wait_for(lambda: all(s.commands[-1] == "QUIT" for s in sink.sessions[:4]), "QUIT on each")
        assert [sum(c.startswith("MAIL") for c in s.commands) for s in sink.sessions] == [5, 5, 5, 5]


def test_idle_connections_say_goodbye(relay):
    with Sink() as sink:
        r = relay(smart(sink.port) + "timeouts { idle = 300ms }\n")
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        wait_for(lambda: sink.sessions[0].commands[-1] == "QUIT", "QUIT")


def test_stale_connection_is_not_a_failure(relay):
    with Sink() as sink:
        r = relay(smart(sink.port))
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        # The server forgets the connection without a word: seen only when MAIL is sent.
        sink.answers["MAIL"] = lambda _, session: None if session is not sink.sessions[0] else "drop"
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        assert len(sink.sessions) == 2


# ---- replies ----

def test_replies_are_sorted(relay):
    answers = {
        "nobody@example.net": "550 5.1.1 No such user\nhere".replace("\n", " "),
        "full@example.net": "452 4.2.2 Mailbox full",
        "many@example.net": "552 5.5.3 Too many",
    }
    with Sink({"RCPT": lambda a, s: answers.get(a)}) as sink:
        r = relay(smart(sink.port))
        claim = r.deliver("nobody@example.net,good@example.net,full@example.net,many@example.net")
        assert r.result(claim, 0)[:4] == (FAILED, RECIPIENT, 550, "5.1.1")
        assert r.result(claim, 1)[0] == DELIVERED
        assert r.result(claim, 2)[:4] == (DEFERRED, RECIPIENT, 452, "4.2.2")
        assert r.result(claim, 3)[:3] == (DEFERRED, RECIPIENT, 552)
        claim = r.deliver("nobody@example.net,nobody@example.net")
        assert r.result(claim, 1)[:4] == (FAILED, RECIPIENT, 550, "5.1.1")
        sink.answers["dot"] = "554 5.7.1 Spam\n".strip()
        assert r.result(r.deliver("good@example.net"))[:4] == (FAILED, MESSAGE, 554, "5.7.1")
        sink.answers["dot"] = "451 4.3.0 Later"
        assert r.result(r.deliver("good@example.net"))[:4] == (DEFERRED, MESSAGE, 451, "4.3.0")
        sink.answers["MAIL"] = "553 5.1.8 Bad sender"
        assert r.result(r.deliver("good@example.net"))[:4] == (FAILED, MESSAGE, 553, "5.1.8")
        assert len(sink.sessions) == 1  # a refusal is no reason for a new connection
        sink.answers["MAIL"] = "550 5.7.30 Not logged in"
        assert r.result(r.deliver("good@example.net"))[:2] == (DEFERRED, OURS)
        sink.answers.pop("MAIL")
        sink.answers["RCPT"] = "550 5.7.1 Relaying denied"
        assert r.result(r.deliver("good@example.net"))[:2] == (DEFERRED, OURS)


def test_remote_words_are_bounded(relay):
    with Sink({"dot": "\n".join(f"550-5.0.0 {'x' * 900}" for _ in range(30)) + "\n550 5.0.0 end"}) as sink:
        r = relay(smart(sink.port))
        outcome, _, code, _, text, _ = r.result(r.deliver("b@example.net"))
        assert (outcome, code) == (FAILED, 550) and 500 < len(text) < 2048


def test_body_that_must_not_leave(relay):
    with Sink() as sink:
        r = relay(smart(sink.port))
        for data in (b"Subject: x\r\n\r\na\n.\r\nMAIL FROM:<x@y>\r\n", b"a\rb\r\n", b"a\0b\r\n"):
            assert r.result(r.deliver("b@example.net", data))[:4] == (FAILED, MESSAGE, 554, "5.6.0")
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        assert len(sink.received) == 1


def test_lost_after_dot_is_uncertain(relay):
    with Sink({"dot": "drop"}) as sink:
        r = relay(smart(sink.port))
        assert r.result(r.deliver("b@example.net"))[:2] == (UNCERTAIN, HOST)


def test_final_timeout_is_uncertain(relay):
    with Sink(delay=5) as sink:
        r = relay(smart(sink.port) + "timeouts { data_final = 1s }\n")
        assert r.result(r.deliver("b@example.net"))[:2] == (UNCERTAIN, HOST)


@pytest.mark.parametrize("command", ["connect", "EHLO", "MAIL", "RCPT", "DATA"])
def test_silent_server_times_out(relay, command):
    with Sink({command: lambda a, s: time.sleep(30) or None}) as sink:
        r = relay(smart(sink.port) + "timeouts { greeting = 1s mail = 1s recipient = 1s data_init = 1s }\n")
        outcome, scope, _, status, _, row = r.result(r.deliver("b@example.net"))
        assert (outcome, scope, status) == (DEFERRED, HOST, "4.4.2")
        assert row["down"] == ("1" if command in ("connect", "EHLO") else "0")


# ---- hosts that are down ----

def test_dead_host_is_remembered_and_holds_up_nobody(relay):
    dead = free_ports(1)[0]
    with Sink() as sink:
        r = relay(f'relay "dead" {{ host = "127.0.0.1:{dead}" }}\nrelay "hub" {{ host = "127.0.0.1:{sink.port}" }}\n'
                  'route "dead" { to = "*@dead.example" via = "relay:dead" }\nroute "all" { via = "relay:hub" }\n')
        claims = [r.deliver("b@dead.example") for _ in range(300)]
        good = r.deliver("b@example.net")
        assert r.result(good, seconds=3)[0] == DELIVERED
        for claim in claims:
            outcome, scope, _, status, text, row = r.result(claim)
            assert (outcome, scope, status, row["down"]) == (DEFERRED, HOST, "4.4.1", "1")
            assert "Connection refused" in text
        assert r.process.log().count("cannot connect to") < 20  # a probe, not 300


def test_asked_again_for_some_destinations(relay):
    """Who asks for one domain gets its server tried, and nobody else's; who asks for all gets all."""
    ports = free_ports(2)
    r = relay("".join(f'relay "{name}" {{ host = "127.0.0.1:{port}" }}\n'
                      f'route "{name}" {{ to = "*@{name}.example" via = "relay:{name}" }}\n'
                      for name, port in zip("ab", ports)) + "queue { retry_first = 5m }\n")
    for name in "ab":
        assert r.result(r.deliver(f"x@{name}.example"))[:2] == (DEFERRED, HOST)
    with Sink(port=ports[0]) as a, Sink(port=ports[1]) as b:
        assert r.result(r.deliver("x@a.example"))[0] == DEFERRED and not a.sessions
        r.say("again a.example")
        assert r.result(r.deliver("x@b.example"))[0] == DEFERRED and not b.sessions
        assert r.result(r.deliver("x@a.example"))[0] == DELIVERED
        r.say("again ")
        assert r.result(r.deliver("x@b.example"))[0] == DELIVERED


def test_host_that_accepts_and_says_nothing_holds_up_nobody(relay):
    with Sink({"connect": lambda a, s: time.sleep(60) or None}) as hole, Sink() as sink:
        r = relay(f'relay "hole" {{ host = "127.0.0.1:{hole.port}" }}\nrelay "hub" {{ host = "127.0.0.1:{sink.port}" }}\n'
                  'route "hole" { to = "*@hole.example" via = "relay:hole" }\nroute "all" { via = "relay:hub" }\n'
                  "delivery { connections = 4 }\ntimeouts { greeting = 3s }\n")
        for _ in range(50):
            r.deliver("b@hole.example")
        for i in range(20):
            assert r.result(r.deliver(f"b{i}@example.net"), seconds=3)[0] == DELIVERED


# ---- TLS and login ----

def test_opportunistic_tls_and_its_fall_back(relay, certificate):
    with Sink(tls=certificate[1]) as sink:
        r = relay(smart(sink.port))
        row = r.result(r.deliver("b@example.net"))[5]
        assert row["outcome"] == "1" and row["tls"].startswith("TLSv1.3 ") and "verified" not in row["tls"]
        assert sink.received[0].session.encrypted
    r.stop()
    broken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broken.load_cert_chain(certificate[0], certificate[0].parent / "key.pem")
    broken.maximum_version = ssl.TLSVersion.TLSv1_1
    broken.minimum_version = ssl.TLSVersion.TLSv1
    broken.set_ciphers("ALL:@SECLEVEL=0")
    with Sink(tls=broken) as sink:
        r = relay(smart(sink.port))
        row = r.result(r.deliver("b@example.net"))[5]
        assert row["outcome"] == "1" and row["tls"] == ""
        assert "goes in clear" in r.process.log()


def test_required_tls(relay, certificate):
    with Sink(tls=certificate[1]) as sink, Sink() as plain:
        ca = f'ca_file = "{certificate[0]}"'
        r = relay(smart(sink.port, f'tls = "required" {ca}'))
        row = r.result(r.deliver("b@example.net"))[5]
        assert row["outcome"] == "1" and row["tls"].endswith(" verified")
        r.stop()
        r = relay(smart(sink.port, 'tls = "required"'))  # an issuer that nobody knows
        assert r.result(r.deliver("b@example.net"))[:2] == (DEFERRED, OURS)
        r.stop()
        r = relay(smart(plain.port, f'tls = "required" {ca}'))
        outcome, scope, _, _, text, _ = r.result(r.deliver("b@example.net"))
        assert (outcome, scope) == (DEFERRED, OURS) and "STARTTLS" in text
        assert not plain.received


def test_implicit_tls_with_login(relay, certificate, folder):
    (folder / "pw").write_text("s3cret\n")
    conf = f'tls = "implicit" ca_file = "{certificate[0]}" user = "dept" password_file = "{folder}/pw"'
    with Sink(tls=certificate[1], implicit=True, login=("dept", "s3cret")) as sink:
        r = relay(smart(sink.port, conf), "hub=s3cret")
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        assert sink.received[0].session.user == "dept"
        r.stop()
        r = relay(smart(sink.port, conf), "hub=wrong")
        outcome, scope, code, status, _, _ = r.result(r.deliver("b@example.net"))
        assert (outcome, scope, code, status) == (DEFERRED, OURS, 535, "5.7.8")
        r.stop()
        r = relay(smart(sink.port, conf))  # the password could not be read
        outcome, scope, _, _, text, _ = r.result(r.deliver("b@example.net"))
        assert (outcome, scope) == (DEFERRED, OURS) and "password" in text
        assert "s3cret" not in r.process.log()


def test_login_mechanism_login_and_never_in_clear(relay, certificate, folder):
    (folder / "pw").write_text("s3cret\n")
    user = f'user = "dept" password_file = "{folder}/pw"'

    def features(_, session):
        return f"250-sink\n250-{'8BITMIME' if session.encrypted else 'STARTTLS'}\n250 AUTH LOGIN"
    with Sink({"EHLO": features}, tls=certificate[1], login=("dept", "s3cret")) as sink, \
            Sink(login=("dept", "s3cret")) as plain:
        r = relay(smart(sink.port, f'{user} ca_file = "{certificate[0]}"'), "hub=s3cret")
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        assert sink.received[0].session.user == "dept"
        r.stop()
        r = relay(smart(plain.port, f'{user} tls = "opportunistic"'), "hub=s3cret")
        assert r.result(r.deliver("b@example.net"))[:2] == (DEFERRED, OURS)
        assert not any(c.startswith("AUTH") for s in plain.sessions for c in s.commands)
        r.stop()
        r = relay(smart(plain.port, f'{user} tls = "none"'), "hub=s3cret")
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED


# ---- other routes ----

def test_lmtp_answers_for_each(relay):
    replies = {"a@example.net": "250 2.0.0 Stored", "b@example.net": "452 4.2.2 Full"}

    class Lmtp(Sink):
        pass
    with Lmtp(lmtp=True) as sink:
        order = []
        sink.answers["RCPT"] = lambda a, s: order.append(a)
        sink.answers[""] = lambda a, s: replies[order.pop(0)]
        r = relay(f'route "all" {{ via = "lmtp:127.0.0.1:{sink.port}" }}\n')
        claim = r.deliver("a@example.net,b@example.net")
        assert sink.wait(1) and r.result(claim, 0)[0] == DELIVERED
        assert sink.sessions[0].commands[0].startswith("LHLO ")


def test_capture(relay, folder):
    r = relay(f'route "all" {{ via = "capture:{folder}/mail" }}\n')
    data = big(5_000_000)
    claims = [r.deliver("b@example.net"), r.deliver("b@example.net", data, "fetched"),
              r.deliver("b@example.net", b"", "whole")]
    for claim in claims:
        assert r.result(claim)[0] == DELIVERED
    found = sorted((p.read_bytes() for p in (folder / "mail/new").iterdir()), key=len)
    assert found == [b"", SMALL, data] and not list((folder / "mail/tmp").iterdir())


def test_recipients_are_split_by_route(relay, folder):
    with Sink() as sink:
        r = relay(f'route "boss" {{ to = "boss@example.net" via = "capture:{folder}/boss" }}\n' + smart(sink.port))
        for how in ("whole", "fetched"):
            claim = r.deliver("a@example.net,boss@example.net,b@example.net", big(200000) if how == "fetched" else SMALL,
                              how)
            assert [r.result(claim, n)[0] for n in range(3)] == [DELIVERED] * 3
        assert [x.recipients for x in sink.received] == [["a@example.net", "b@example.net"]] * 2
        assert len(list((folder / "boss/new").iterdir())) == 2
        r.say("explain boss@example.net")
        row = r.wait(lambda: r.of("row"))[0]
        assert row["via"] == f"capture:{folder}/boss" and row["route"] == "boss"
        r.say("status")
        r.wait(lambda: len(r.of("end")) == 2)
        assert any(x.get("host") == "hub" and x["state"] == "works" for x in r.of("row"))


# ---- MX ----

@pytest.fixture(scope="module")
def zones():
    with Nsd({
        "example.net": "@ IN MX 10 dead\n@ IN MX 20 mx\ndead IN A 127.0.0.2\nmx IN A 127.0.0.1\n"
                       "null IN MX 0 .\nimplicit IN A 127.0.0.1\nnoaddress IN MX 10 nowhere\n"
                       "nothing IN TXT x\nlocal IN MX 10 localhost.\nself IN MX 10 mail.example.org.\n",
        "example.org": "mail IN A 127.0.0.1\nbackup IN MX 10 mail\nbackup IN MX 5 mx\nmx IN A 127.0.0.1\n",
    }) as nsd:
        yield nsd


def test_mx_order_and_dead_one(relay, zones):
    with Sink() as sink:  # nobody listens on 127.0.0.2
        r = relay(mx_conf(zones, sink.port))
        row = r.result(r.deliver("b@example.net"))[5]
        assert row["outcome"] == "1" and row["host"].startswith("mx.example.net[127.0.0.1]")
        assert r.result(r.deliver("b@implicit.example.net"))[5]["host"].startswith("implicit.example.net[")


def test_mx_refusals(relay, zones):
    with Sink() as sink:
        r = relay(mx_conf(zones, sink.port))
        for domain, expected in {
            "null.example.net": (FAILED, HOST, 556, "5.1.10"),
            "local.example.net": (FAILED, HOST, 556, "5.1.10"),
            "nosuch.example.net": (FAILED, HOST, 0, "5.1.2"),
            "noaddress.example.net": (FAILED, HOST, 0, "5.4.4"),
            "self.example.net": (FAILED, HOST, 0, "5.4.6"),
        }.items():
            assert r.result(r.deliver(f"b@{domain}"))[:4] == expected, domain
        assert r.result(r.deliver("b@backup.example.org"))[5]["host"].startswith("mx.example.org[")
        assert len(sink.received) == 1


def test_private_addresses_are_refused(relay, zones):
    with Sink() as sink:
        r = relay(mx_conf(zones, sink.port).replace("allow_private = yes", ""))
        assert r.result(r.deliver("b@implicit.example.net"))[:4] == (FAILED, HOST, 0, "5.4.6")
        assert not sink.sessions


def test_dead_name_server_defers(relay):
    r = relay(f'delivery {{ resolvers = "127.0.0.1@{free_ports(1)[0]}" }}\n')
    outcome, scope, _, status, _, row = r.result(r.deliver("b@example.net"), seconds=40)
    assert (outcome, scope, status, row["down"]) == (DEFERRED, HOST, "4.4.3", "1")


# ---- queue dies ----

def test_results_outlive_queue(relay):
    with Sink() as sink:
        r = relay(smart(sink.port))
        r.say("acks no")
        claim = r.deliver("b@example.net")
        r.result(claim)
        r.say("queue")
        r.wait(lambda: len(r.of("in_flight_end")) == 2)
        assert r.of("in_flight", claim=claim)
        r.wait(lambda: len(r.of("result", claim=claim)) == 2, "the result again")
        r.say("acks yes")
        r.say("queue")
        r.wait(lambda: len(r.of("result", claim=claim)) == 3)
        r.say("queue")
        r.wait(lambda: len(r.of("in_flight_end")) == 4)
        assert r.of("in_flight_end")[-1]["count"] == "0" and len(sink.received) == 1


def test_in_flight_outlives_queue(relay):
    with Sink(delay=1) as sink:
        r = relay(smart(sink.port))
        claim = r.deliver("a@example.net,b@example.net")
        r.wait(lambda: r.of("at_dot"))
        r.say("gone")
        r.say("queue")
        r.wait(lambda: r.of("in_flight", claim=claim))
        assert r.of("in_flight")[0]["numbers"] == "0,1,"
        assert r.result(claim, 1)[0] == DELIVERED


def test_what_is_in_flight_is_told_once_for_each_claim(relay, folder):
    """One recipient is done but not confirmed, the other at the dot: queue takes the claim over as a whole."""
    with Sink(delay=2) as sink:
        r = relay(f'route "boss" {{ to = "boss@example.net" via = "capture:{folder}/boss" }}\n' + smart(sink.port))
        r.say("acks no")
        claim = r.deliver("boss@example.net,b@example.net")
        r.result(claim, 0)
        r.wait(lambda: r.of("at_dot"))
        r.say("gone")
        r.say("queue")
        r.wait(lambda: len(r.of("in_flight_end")) == 2)
        assert [sorted(x["numbers"]) for x in r.of("in_flight", claim=claim)] == [sorted("0,1,")], r.log()
        assert r.of("in_flight_end")[-1]["count"] == "1"
        r.result(claim, 1)


def test_queue_gone_in_mid_body_means_no_dot(relay):
    with Sink() as sink:
        r = relay(smart(sink.port))
        r.say("bodies no")
        claim = r.deliver("b@example.net", big(3_000_000), "fetched")
        wait_for(lambda: sink.sessions and "DATA" in sink.sessions[0].commands, "DATA")
        r.say("gone")
        r.say("queue")
        r.wait(lambda: len(r.of("in_flight_end")) == 2)
        assert r.of("in_flight_end")[1]["count"] == "0"
        r.say("bodies yes")
        assert r.result(r.deliver("c@example.net"))[0] == DELIVERED
        assert [x.recipients for x in sink.received] == [["c@example.net"]]
        assert not r.of("result", claim=claim)


def test_unreadable_body_defers(relay):
    with Sink() as sink:
        r = relay(smart(sink.port))
        assert r.result(r.deliver("b@example.net", big(100000), "unreadable"))[:2] == (DEFERRED, OURS)
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        assert len(sink.received) == 1


def test_cancel(relay):
    with Sink({"connect": lambda a, s: time.sleep(1) and None}) as sink:
        r = relay(smart(sink.port))
        claim = r.deliver("b@example.net")
        r.say(f"cancel {claim}")
        assert r.result(claim)[:2] == (DEFERRED, OURS)
        assert r.result(r.deliver("c@example.net"))[0] == DELIVERED
        assert len(sink.received) == 1


# ---- reload, stop ----

def test_reload_changes_the_way(relay):
    with Sink() as one, Sink() as two:
        r = relay(smart(one.port))
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        r.say(f"reload {r.write(smart(two.port), 'second.conf')}")
        r.wait(lambda: len(r.of("prepared", ok=1)) == 2)
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED
        assert len(one.received) == 1 and len(two.received) == 1
        third = r.write('delivery { resolvers = "127.0.0.9" }', "third.conf")
        r.say(f"reload {third}")
        refused = r.wait(lambda: r.of("prepared", ok=0))
        assert "restart" in refused[0]["text"]
        assert r.result(r.deliver("b@example.net"))[0] == DELIVERED


def test_stop_finishes_what_is_under_way(relay):
    with Sink(delay=1) as sink:
        r = relay(smart(sink.port) + "delivery { connections_per_host = 1 }\n")
        claims = [r.deliver("b@example.net") for _ in range(5)]
        r.wait(lambda: r.of("at_dot"))
        assert r.stop(5000) == 0
        assert len(sink.received) == 1 and r.of("result", claim=claims[0]) and not r.of("result", claim=claims[1])


def test_stop_does_not_wait_for_ever(relay):
    with Sink(delay=30):
        pass
    with Sink(delay=30) as sink:
        r = relay(smart(sink.port))
        r.deliver("b@example.net")
        r.wait(lambda: r.of("at_dot"))
        begun = time.monotonic()
        assert r.stop(800) == 0 and time.monotonic() - begun < 5
