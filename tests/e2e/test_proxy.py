# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol (D14): whom a load balancer speaks for, and that nobody else may say so."""
import smtplib
import socket
import struct
import time

import pytest
from support import mail
from support.behind import Behind
from support.haproxy import HAProxy
from support.postern import CONF, PASSWORD, Postern
from support.process import PATIENCE, free_ports, wait_for
from support.raw import Raw

# Listeners: as ever (nobody is a balancer there), and two that 127.0.0.1 is the balancer of.
BEHIND = CONF + """\
listen "behind"     {{ address = {{ "127.0.0.1:{behind}", "[::1]:{behind}" }}  auth = "optional"
                       proxy_from = {{ "127.0.0.0/8", "::1" }} }}
listen "behind-tls" {{ address = "127.0.0.1:{behind_tls}"  tls = "implicit"  proxy_from = "127.0.0.1" }}
listen "elsewhere"  {{ address = "127.0.0.1:{elsewhere}"  proxy_from = {{ "192.0.2.0/24", "127.0.0.2" }} }}
timeouts {{ handshake = 5s }}
"""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(client, command=0x21, tlvs=b"", length=None):
    """A version 2 header for a client's address."""
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    there = "2001:db8::25" if ":" in client else "192.0.2.25"
    block = socket.inet_pton(family, client) + socket.inet_pton(family, there) + struct.pack(">HH", 40000, 587) + tlvs
    kind = 0x21 if ":" in client else 0x11
    return SIGNATURE + struct.pack(">BBH", command, kind, len(block) if length is None else length) + block


class Balanced(Behind):
    extra = ("behind", "behind_tls", "elsewhere")

    def __init__(self, conf=BEHIND, **options):
        super().__init__(conf=conf, **options)


@pytest.fixture(scope="module")
def server():
    with Balanced() as s:
        yield s


def ends_silently(raw):
    """The server closes (with a reset, if it left bytes unread), and has said nothing before."""
    try:
        assert raw.socket.recv(100) == b""
    except ConnectionResetError:
        pass


def refused_relay(raw, server, client):
    """The session is a stranger's of that address: it may not relay, and the log says who it was."""
    raw.command("EHLO client.example", 250)
    raw.command("MAIL FROM:<x@elsewhere.example>", 250)
    raw.command("RCPT TO:<y@elsewhere.example>", 550)
    raw.command("QUIT", 221)
    server.wait_event("refused", client=client, recipient="y@elsewhere.example")


@pytest.mark.parametrize("header, client", [
    (b"PROXY TCP4 203.0.113.1 192.0.2.25 40000 587\r\n", "203.0.113.1"),
    (b"PROXY TCP6 2001:DB8:0:0::1 2001:db8::25 40000 587\r\n", "2001:db8::1"),
    (b"PROXY TCP6 ::ffff:203.0.113.2 ::1 40000 587\r\n", "203.0.113.2"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (v2("203.0.113.3"), "203.0.113.3"),
    (v2("2001:db8::3"), "2001:db8::3"),
    (v2("203.0.113.4", tlvs=b"\x04\0\x02ab\x20\0\x05\1\0\0\0\0"), "203.0.113.4"),
    (v2("203.0.113.5", tlvs=b"\xe0" + struct.pack(">H", 16000) + b"t" * 16000), "203.0.113.5"),
    (v2("203.0.113.6", command=0x20), "127.0.0.1"),
], ids=["v1-4", "v1-6", "v1-mapped", "v1-unknown", "v2-4", "v2-6", "v2-tlv", "v2-16K", "v2-local"])
def test_d14_proxy_header_says_who_the_client_is(server, header, client):
    with Raw(server.values["behind"], greet=False) as raw:
        raw.send(header)
        assert raw.reply().startswith("220 ")
        refused_relay(raw, server, client)


def test_d14_proxy_header_in_single_bytes_and_with_what_follows(server):
    for host in ["127.0.0.1", "::1"]:
        with Raw(server.values["behind"], host=host, greet=False) as raw:
            raw.dribble(v2("203.0.113.11", tlvs=b"\x04\0\x02ab"))
            assert raw.reply().startswith("220 ")
            refused_relay(raw, server, "203.0.113.11")
    # What came in the same segment belongs to the session; talking early is the session's business.
    with Raw(server.values["behind"], greet=False) as raw:
        raw.send(b"PROXY TCP4 203.0.113.12 192.0.2.25 40000 587\r\nEHLO client.example\r\n")
        assert raw.reply().startswith("220 ") and raw.reply().startswith("250")


@pytest.mark.parametrize("header, reason", [
    (b"PROXY TCP4 203.0.113.21 192.0.2.25 40000 587\n", "CRLF"),
    (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "107 bytes"),
    (b"PROXY " + b"x" * 200, "107 bytes"),
    (b"PROXY TCP4 203.0.113.21 192.0.2.25\r\n", "two ports"),
    (b"PROXY TCP4 localhost 192.0.2.25 1 2\r\n", "address"),
    (v2("203.0.113.21", tlvs=b"\x04\0"), "cut short"),
    (v2("203.0.113.21", tlvs=b"\x20\xff\xff\0"), "longer than the header"),
    (v2("203.0.113.21", length=11), "no room"),
    (v2("203.0.113.21", length=65535), "16 KiB"),
    (v2("203.0.113.21", command=0x2f), "command"),
    (v2("203.0.113.21", command=0x31), "version"),
], ids=["lf", "v1-108", "v1-endless", "v1-short", "v1-name", "tlv-head", "tlv-value", "no-room", "huge", "command",
        "version"])
def test_d14_proxy_header_that_is_wrong_ends_the_connection(server, header, reason):
    known = len(server.events("connect-refused"))
    with Raw(server.values["behind"], greet=False) as raw:
        raw.send(header)
        ends_silently(raw)
    event = wait_for(lambda: server.events("connect-refused")[known:], lambda: server.tail())[0]
    assert event["client"] == "127.0.0.1" and event["listener"] == "behind" and reason in event["reason"], event


@pytest.mark.parametrize("bytes_, got", [
    (b"EHLO client.example\r\n", '"EHLO"'), (b"\x16\x03\x01\x02\x00\x01", "a TLS hello"), (b"\r\n\r\nx", "other bytes"),
    (b"GET / HTTP/1.1\r\n\r\n", '"GET"')])
def test_d14_proxy_header_is_mandatory_for_who_is_listed(server, bytes_, got):
    known = len(server.events("connect-refused"))
    with Raw(server.values["behind"], greet=False) as raw:
        raw.send(bytes_)
        ends_silently(raw)
    event = wait_for(lambda: server.events("connect-refused")[known:], lambda: server.tail())[0]
    assert "expected a PROXY header" in event["reason"] and event["got"] == got


def test_d14_proxy_header_has_a_deadline_and_a_silent_check_is_no_news(server):
    known = len(server.events("connect-refused"))
    with Raw(server.values["behind"], greet=False):
        pass  # what a balancer does that only looks whether somebody listens
    with Raw(server.values["behind"], greet=False) as silent, Raw(server.values["behind"], greet=False) as slow:
        slow.send(b"PROXY TCP4 ")
        ends_silently(silent)
        ends_silently(slow)
    # The log is written at the end of a turn of the loop: after the connections are closed.
    wait_for(lambda: len(server.events("connect-refused")) >= known + 2, lambda: server.tail())
    reasons = sorted(e["reason"] for e in server.events("connect-refused")[known:])
    assert len(reasons) == 2 and "got nothing" in reasons[0] and "did not come within" in reasons[1], reasons


@pytest.mark.parametrize("name", ["mta", "submission", "elsewhere"])
@pytest.mark.parametrize("header", [b"PROXY TCP4 203.0.113.31 192.0.2.25 40000 587\r\n", v2("203.0.113.31")],
                         ids=["v1", "v2"])
def test_d14_proxy_header_from_who_is_not_listed_says_nothing(server, name, header):
    with Raw(server.values[name]) as raw:  # the banner comes unasked
        raw.send(header)
        lines = []
        try:
            while len(lines) < 8:
                lines.append(raw.reply())
                if lines[-1].startswith("421"):
                    break
                raw.socket.settimeout(1)
        except (TimeoutError, EOFError):
            pass
        assert lines and all(line[0] in "45" for line in lines), lines
        assert not any("203.0.113.31" in line for line in lines)
    assert "203.0.113.31" not in server.log()


def test_d14_proxy_address_is_what_auth_and_the_trace_see(server):
    before = len(server.captured())
    raw = socket.create_connection(("127.0.0.1", server.values["behind_tls"]), PATIENCE)
    raw.sendall(v2("198.51.100.7"))  # the TLS hello follows the header at once
    client = smtplib.SMTP_SSL.__new__(smtplib.SMTP_SSL)
    smtplib.SMTP.__init__(client, timeout=PATIENCE)
    client.sock = server.context().wrap_socket(raw, server_hostname="localhost")
    client.file = None
    assert client.getreply()[0] == 220
    client.login("alice", PASSWORD)
    client.sendmail("alice@example.org", ["bob@sink.example"], mail.message("Through a balancer"))
    client.quit()
    assert server.wait_event("login", client="198.51.100.7")["listener"] == "behind-tls"
    server.wait_captured(before + 1)


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2", "send-proxy-v2 check inter 200ms",
                                     "send-proxy-v2 proxy-v2-options unique-id,crc32c"])
def test_d14_proxy_haproxy_before_starttls_and_implicit_tls(unpacked, server, version):
    targets = [(server.values["behind"], version), (server.values["behind_tls"], version)]
    with HAProxy(targets) as balancer:
        for number, implicit in enumerate([False, True]):
            # From an address of its own, to be told from the balancer's.
            source = (f"127.0.0.{77 + number}", 0)
            if implicit:
                client = smtplib.SMTP_SSL("127.0.0.1", balancer.ports[1], timeout=PATIENCE, context=server.context(),
                                          source_address=source)
            else:
                client = smtplib.SMTP("127.0.0.1", balancer.ports[0], timeout=PATIENCE, source_address=source)
                client.starttls(context=server.context())
            known = len(server.events("login", client=source[0]))
            client.login("alice", PASSWORD)
            client.sendmail("alice@example.org", ["bob@sink.example"], mail.message(f"By {version}"))
            client.quit()
            wait_for(lambda: len(server.events("login", client=source[0])) > known, lambda: server.tail())


def test_d14_proxy_health_checks_are_no_news(unpacked, server):
    known = len(server.log().splitlines())
    with HAProxy([(server.values["behind"], "send-proxy-v2 check inter 50ms"),
                  (server.values["behind"], "check inter 50ms check-send-proxy send-proxy")]) as balancer:
        with smtplib.SMTP("127.0.0.1", balancer.ports[0], timeout=PATIENCE) as client:
            for _ in range(20):
                client.noop()
                time.sleep(0.05)  # while the checks go on
    fresh = [line for line in server.log().splitlines()[known:] if "connect-refused" in line]
    assert not fresh, fresh


def test_m8_a_crowd_behind_one_private_address_is_told_once():
    with Balanced(settings="smtpd_processes = 1") as server:
        def visit(client, count):
            for _ in range(count):
                with Raw(server.values["behind"], greet=False) as raw:
                    raw.send(f"PROXY TCP4 {client} 192.0.2.25 40000 587\r\n")
                    assert raw.reply().startswith("220")
        visit("203.0.113.77", 600)  # a public address may well be one busy client
        assert not server.events("note", client="203.0.113.77")
        visit("172.17.0.1", 1100)
        (note,) = wait_for(lambda: server.events("note", client="172.17.0.1"), lambda: server.tail())
        assert "PROXY" in note["text"] and "per source" in note["text"]


@pytest.mark.parametrize("network, words", [
    ("10.42.0.1", None), ("10.0.0.0/8", "is a wide network"), ("0.0.0.0/0", "is EVERYBODY"), ("::/0", "is EVERYBODY")])
def test_d14_proxy_check_warns_of_wide_networks(network, words):
    listener = f'listen "wide" {{{{ address = "127.0.0.1:{free_ports(1)[0]}"  proxy_from = "{network}" }}}}'
    stopped = Postern(routes=listener, accounts=())
    checked = stopped.command("check")
    stopped.discard()
    assert checked.returncode == 0, checked.stderr
    assert (f'note: listen "wide": proxy_from = {network}' in checked.stderr) == (words is not None), checked.stderr
    assert words is None or words in checked.stderr, checked.stderr


def test_m1_headers_that_never_come_are_bounded_and_counted():
    patient = BEHIND.replace("handshake = 5s", "handshake = 5m")
    with Balanced(conf=patient, limits="sessions = 3", settings="smtpd_processes = 1") as server:
        held = [Raw(server.values["behind"], greet=False) for _ in range(3)]
        with Raw(server.values["behind"]) as late:
            assert late.greeting.startswith("421 4.3.2 Too many connections")
        row, = wait_for(lambda: [r for r in server.json("status") if r.get("limit") == "PROXY headers awaited" and r["struck"]],
                        "the count")
        assert row["value"] == "3 in each smtpd"
        for raw in held:
            raw.close()


def test_d14_proxy_limits_go_by_the_clients_address():
    with Balanced(limits="sessions_per_source = 2") as server:
        def connect(client):
            raw = Raw(server.values["behind"], greet=False)
            raw.send(f"PROXY TCP4 {client} 192.0.2.25 40000 587\r\n")
            return raw, raw.reply()[:3]
        held = [connect(client) for client in ["203.0.113.1", "203.0.113.2", "203.0.113.1", "203.0.113.2", "203.0.113.3"]]
        assert [code for _, code in held] == ["220"] * 5  # five from the balancer's one address
        raw, code = connect("203.0.113.1")
        assert code == "421" and server.wait_event("connect-refused", client="203.0.113.1")["listener"] == "behind"
        for r in [raw, *(r for r, _ in held)]:
            r.close()
