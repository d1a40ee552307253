# SPDX-License-Identifier: Apache-2.0
"""No open relay (I1, I2): the old tricks, from every kind of address, at every kind of listener."""
import base64

import pytest
from support import mail
from support.netns import Cable, Unavailable
from support.postern import CONF, PASSWORD, Postern, all_to
from support.process import wait_for
from support.raw import Raw
from support.sink import Sink

OURS, FAR = "ours.example", "third.example"
BOTH = CONF.replace('"127.0.0.1:{mta}"', '{{ "127.0.0.1:{mta}", "[::1]:{mta}" }}') \
    .replace('"127.0.0.1:{submission}"', '{{ "127.0.0.1:{submission}", "[::1]:{submission}" }}') \
    .replace('"127.0.0.1:{submissions}"', '{{ "127.0.0.1:{submissions}", "[::1]:{submissions}" }}')

# Whom a relay tester claims to be ...
SENDERS = ["<spam@third.example>", "<>", "<root@ours.example>", "<alice@example.org>", "<spam@localhost>",
           "<spam@mail.example.org>", "<spam@[127.0.0.1]>", "<spam@[IPv6:::1]>", "<spam>"]
# ... and how it writes a recipient elsewhere: plain, percent, bang, quoted, source route, localhost, literal.
RECIPIENTS = [
    "<u@third.example>", "<u@third.example.>", "u@third.example", '<"u"@third.example>',
    "<u%third.example@ours.example>", "<u%third.example@mail.example.org>", "<u%third.example@localhost>",
    "<u%third.example@[127.0.0.1]>", "<u%third.example@[IPv6:::1]>", "<u%third.example>",
    '<"u@third.example">', '<"u%third.example">', '<"u@third.example"@ours.example>', "<u@third.example@ours.example>",
    "<@ours.example:u@third.example>", "<@[127.0.0.1]:u@third.example>", "<@localhost:u@third.example>",
    "<third.example!u>", "<third.example!u@ours.example>", "<third.example!u@[127.0.0.1]>",
    "<ours.example!third.example!u@ours.example>", "<u@ours.example,u@third.example>", "<u@ours.example> <u@third.example>",
    "<u@[198.51.100.1]>", "<u@[IPv6:2001:db8::25]>", "<u@[::ffff:10.0.0.1]>", "<u@[0x7f.1]>", "<u@[IPv6:fe80::1%eth0]>",
    "<u@3325256705>", "<u@ours.example\x00@third.example>", "<u@third.example\\@ours.example>", "<>",
]
HOSTS = ["127.0.0.1", "::1", "::ffff:127.0.0.1"]


@pytest.fixture(scope="module", params=[True, False], ids=["domain", "no-domain"])
def world(request):
    """All mail goes to a next hop that takes everything: whatever is let in shows there."""
    settings = 'accept_for = {{ "ours.example" }}' if request.param else ""
    with Sink() as sink:
        with Postern(routes=all_to(sink.port), settings=settings, conf=BOTH, limits="errors = 1000  bad_recipients = 0") as server:
            yield server, sink, request.param


def connect(port, host, implicit=False):
    raw = Raw(port, host=host, implicit=implicit)
    raw.command("EHLO [127.0.0.1]", 250)
    return raw


def queue_is_empty(server):
    return server.json("queue", "list") == []


@pytest.mark.parametrize("host", HOSTS, ids=["v4", "v6", "mapped"])
def test_i1_open_relay_forms_on_the_port_of_servers(world, host):
    server, sink, owns = world
    for sender in SENDERS:
        with connect(server.mta, host) as raw:
            for recipient in RECIPIENTS:
                reply = raw.command(f"MAIL FROM:{sender}")
                if not reply.startswith("250"):
                    assert reply[0] in "45", reply
                    break  # this sender gets nowhere
                reply = raw.command(f"RCPT TO:{recipient}")
                assert reply[0] == "5", f"{sender} to {recipient}: {reply}"
                assert raw.command("DATA")[:3] in ("503", "554"), f"{sender} to {recipient}"
                raw.command("RSET", 250)
    assert not sink.received and queue_is_empty(server)
    if owns and host == HOSTS[0]:  # it does take what is for us: the refusals mean something
        with connect(server.mta, host) as raw:
            raw.envelope("someone@third.example", "bob@ours.example")
            raw.send(mail.message("For us") + b"\r\n.\r\n")
            assert raw.reply().startswith("250")
        assert sink.wait(1)[0].recipients == ["bob@ours.example"]
        sink.received.clear()


@pytest.mark.parametrize("host", HOSTS, ids=["v4", "v6", "mapped"])
@pytest.mark.parametrize("name", ["submission", "submission-tls", "submissions"])
def test_i1_nothing_at_all_without_login_where_it_is_required(world, name, host):
    server, sink, _ = world
    with connect(server.submissions if name == "submissions" else server.submission, host, name == "submissions") as raw:
        if name == "submission-tls":
            raw.starttls()
        for sender in SENDERS:
            for verb in [f"MAIL FROM:{sender}", "RCPT TO:<u@third.example>", "RCPT TO:<u@ours.example>", "DATA"]:
                reply = raw.command(verb)
                assert reply[:3] in ("530", "503", "501", "550", "553", "421"), f"{verb}: {reply}"
                if reply.startswith("421"):
                    return
    assert not sink.received and queue_is_empty(server)


def test_i2_auth_that_failed_or_was_cancelled_leaves_no_rights(world):
    server, sink, _ = world
    wrong = base64.b64encode(b"\0alice\0not the password").decode()
    with Raw(server.mta) as raw:
        raw.starttls()
        assert raw.command(f"AUTH PLAIN {wrong}").startswith("535")
        raw.command("AUTH PLAIN", 334)
        raw.command("*", 501)
        raw.command("AUTH LOGIN", 334)
        raw.command(base64.b64encode(b"alice").decode(), 334)
        raw.command("*", 501)
        assert raw.command("AUTH CRAM-NONE").startswith("504")
        raw.command("MAIL FROM:<alice@example.org>")
        assert raw.command("RCPT TO:<u@third.example>")[0] == "5"
    assert not sink.received


def test_i2_login_outlives_rset_and_ehlo_but_not_starttls(world):
    server, sink, _ = world
    with Raw(server.mta) as raw:
        raw.starttls()
        raw.login("alice", PASSWORD)
        raw.command("RSET", 250)
        raw.command("EHLO client.example", 250)
        raw.command("MAIL FROM:<alice@example.org>", 250)
        raw.command("RCPT TO:<u@third.example>", 250)
        raw.command("RSET", 250)
        assert raw.command(f"AUTH PLAIN {base64.b64encode(b'x').decode()}").startswith("503")  # RFC 4954 4
        assert raw.command("STARTTLS")[0] == "5"  # and so nothing to carry over
    with Raw(server.mta) as raw:  # a login does not leak into another session
        raw.starttls()
        raw.command("MAIL FROM:<alice@example.org>")
        assert raw.command("RCPT TO:<u@third.example>")[0] == "5"
    assert not sink.received


# ---- from addresses that look trustworthy --------------------------------------------------------
NEAR = ["172.17.0.2/16", "10.42.0.2/16", "192.168.1.2/24", "100.64.0.2/10", "fd00:17::2/64"]
FROM = [("172.17.0.1", "172.17.0.2"), ("10.42.0.1", "10.42.0.2"), ("192.168.1.1", "192.168.1.2"),
        ("100.64.0.1", "100.64.0.2"), ("fd00:17::1", "fd00:17::2")]


@pytest.fixture(scope="module")
def cable():
    bits = {address.split("/")[0]: address.split("/")[1] for address in NEAR}
    try:
        with Cable(NEAR, [f"{far}/{bits[near]}" for far, near in FROM]) as c:
            yield c
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def inside(cable):
    """A server in a container's network: gateways and neighbours have private addresses."""
    with cable.in_near():
        conf = BOTH
        for name in ["mta", "submission", "submissions"]:
            conf = conf.replace('{{ "127.0.0.1:{%s}", "[::1]:{%s}" }}' % (name, name), '"*:{%s}"' % name)
        server = Postern(conf=conf, settings='accept_for = {{ "ours.example" }}', limits="errors = 1000  bad_recipients = 0")
        server.start()
    try:
        yield server
        with cable.in_near():
            server.stop()
    finally:
        server.discard()


def tries(server, host, client):
    for implicit in [False, True]:
        with connect(server.submissions if implicit else server.submission, host, implicit) as raw:
            assert raw.command("MAIL FROM:<alice@example.org>").startswith("530")
            assert raw.command("RCPT TO:<u@third.example>")[:3] in ("530", "503")
    with connect(server.mta, host) as raw:
        raw.command("MAIL FROM:<alice@ours.example>")
        for recipient in RECIPIENTS[:20]:
            assert raw.command(f"RCPT TO:{recipient}")[0] == "5", recipient
    assert server.wait_event("refused", client=client, recipient="u@third.example")["reply"].startswith("550")


@pytest.mark.parametrize("far, near", FROM, ids=["docker-gateway", "rfc1918-10", "rfc1918-192", "carrier-nat", "ula"])
def test_i1_private_addresses_get_no_trust(cable, inside, far, near):
    with cable.in_far():
        tries(inside, near, far)


def test_i1_own_address_gets_no_trust(cable, inside):
    with cable.in_near():  # from the very machine, by its address and by loopback
        tries(inside, "172.17.0.2", "172.17.0.2")
        tries(inside, "127.0.0.1", "127.0.0.1")


def test_d10_link_local_peers(cable, inside):
    far = wait_for(lambda: cable.link_local("far"), "the link-local address")
    with cable.in_far():
        tries(inside, f"{cable.link_local('near')}%peer0", far)
        with Raw(inside.submission, host=f"{cable.link_local('near')}%peer0") as raw:
            raw.starttls()
            raw.login("alice", PASSWORD)
            raw.envelope()
            raw.send(mail.message("From a link-local peer") + b"\r\n.\r\n")
            assert raw.reply().startswith("250")
    accepted = inside.wait_event("accepted", client=far)
    assert accepted["account"].startswith("alice")
    data = wait_for(inside.captured, lambda: inside.tail())[0].read_bytes()
    assert b"%peer0" not in data


@pytest.mark.parametrize("literal", ["[IPv6:fe80::1%eth0]", "[0x7f.1]", "[::ffff:10.0.0.1]", "[127.1]", "[010.0.0.1]",
                                     "[IPv6:::ffff:10.0.0.1]", "[IPv6:::1]", "[1.2.3.4.5]", "[]", "[", "[IPv6:]"])
def test_d10_address_literals(world, literal):
    server, sink, _ = world
    with connect(server.mta, "127.0.0.1") as raw:
        raw.command("MAIL FROM:<>", 250)
        assert raw.command(f"RCPT TO:<u@{literal}>")[0] == "5"
    with Raw(server.submission) as raw:  # not even who is logged in relays to numbers
        raw.starttls()
        raw.login("alice", PASSWORD)
        raw.command("MAIL FROM:<alice@example.org>", 250)
        assert raw.command(f"RCPT TO:<u@{literal}>")[0] == "5"
        assert raw.command("NOOP").startswith("250")
    assert not sink.received
