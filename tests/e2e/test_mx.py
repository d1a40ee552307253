# SPDX-License-Identifier: Apache-2.0
"""Delivery by MX, with a name server of our own: preference, dead servers, null MX, no MX, no domain."""
from email import message_from_bytes, policy

import pytest
from support import mail
from support.nsd import Nsd
from support.postern import Postern
from support.process import free_ports, wait_for
from support.sink import Sink

# 127.0.0.2: nobody listens. .3 and .4: servers. .5: a server that greets with 421. Same port for all.
ZONES = {
    "several.example": "@ IN MX 30 last\n@ IN MX 10 dead\n@ IN MX 20 live\n"
                       "dead IN A 127.0.0.2\nlive IN A 127.0.0.3\nlast IN A 127.0.0.4\n",
    "addresses.example": "@ IN MX 10 mx\nmx IN A 127.0.0.2\nmx IN A 127.0.0.3\n",
    "busy.example": "@ IN MX 10 busy\n@ IN MX 20 live\nbusy IN A 127.0.0.5\nlive IN A 127.0.0.3\n",
    "null.example": "@ IN MX 0 .\n",
    "only-a.example": "@ IN A 127.0.0.3\n",
    "hollow.example": "@ IN MX 10 nowhere\n",
    "alias.example": "@ IN MX 10 mail\nmail IN CNAME real\nreal IN A 127.0.0.4\n",
    "idle.example": "www IN A 127.0.0.3\n",
}


@pytest.fixture(scope="module")
def world(unpacked):
    port = free_ports(1)[0]
    busy = Sink(host="127.0.0.5", port=port, answers={"connect": "421 4.3.2 Too busy"})
    with Nsd(ZONES) as nsd, Sink(host="127.0.0.3", port=port) as third, Sink(host="127.0.0.4", port=port) as fourth, \
            busy:
        routes = (f'delivery {{{{ port = {port}  resolvers = "{nsd.resolver}"  allow_private = yes }}}}\n'
                  'route "bounces" {{ to = "*@example.org"  via = "capture:{folder}/capture" }}\n'
                  'route "world" {{ via = "mx" }}')
        with Postern(routes=routes) as server:
            yield server, third, fourth, busy


def delivered_to(sinks, subject):
    return [s for s in sinks if any(f"Subject: {subject}\r\n".encode() in r.data for r in list(s.received))]


def arrives(world, domain, subject):
    server, third, fourth, _ = world
    server.send(mail.message(subject), [f"bob@{domain}"])
    (sink,) = wait_for(lambda: delivered_to([third, fourth], subject), lambda: server.tail())
    return sink


def bounce(world, domain, subject):
    """The text of the first part and the fields of the recipient's part of the bounce."""
    server = world[0]
    known = set(server.captured())
    server.send(mail.message(subject), [f"bob@{domain}"])
    (path,) = wait_for(lambda: set(server.captured()) - known, lambda: server.tail())
    report = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert report.get_content_type() == "multipart/report", report
    parts = list(report.iter_parts())
    status = [p for p in parts if p.get_content_type() == "message/delivery-status"][0]
    return parts[0].get_content(), status.get_payload()[1]


def test_a_dead_first_choice(world):
    assert arrives(world, "several.example", "Dead first choice") is world[1]


def test_a_dead_first_address(world):
    assert arrives(world, "addresses.example", "Dead first address") is world[1]


def test_a_busy_first_choice(world):
    assert arrives(world, "busy.example", "Busy first choice") is world[1]
    assert world[3].sessions, "the preferred server was not asked"


def test_no_mx_means_the_address(world):
    assert arrives(world, "only-a.example", "Address only") is world[1]


def test_mx_by_an_alias(world):
    assert arrives(world, "alias.example", "Alias") is world[2]


def test_null_mx_bounces_at_once(world):
    """RFC 7505 section 4.1: the status is 5.1.10."""
    text, recipient = bounce(world, "null.example", "Null MX")
    assert recipient["Status"] == "5.1.10", recipient
    assert "null.example" in text


def test_no_such_domain_bounces_at_once(world):
    text, recipient = bounce(world, "no-such-domain.example", "No such domain")
    assert recipient["Status"].startswith("5.1."), recipient
    assert "no-such-domain.example" in text


def test_domain_without_mail_servers_bounces(world):
    _, recipient = bounce(world, "idle.example", "Neither MX nor address")
    assert recipient["Status"].startswith("5."), recipient


def test_mx_whose_name_has_no_address(world):
    server = world[0]
    server.send(mail.message("Hollow MX"), ["bob@hollow.example"])
    wait_for(lambda: server.events("deferred", recipient="bob@hollow.example") or
             server.events("failed", recipient="bob@hollow.example"), lambda: server.tail())


def test_no_answer_from_the_name_server_defers(unpacked):
    port = free_ports(1)[0]
    routes = (f'delivery {{{{ resolvers = "127.0.0.1@{port}"  allow_private = yes }}}}\nroute "world" {{{{ via = "mx" }}}}')
    with Postern(routes=routes) as server:
        server.send(mail.message(), ["bob@several.example"])
        deferred = wait_for(lambda: server.events("deferred"), lambda: server.tail(), 60)[0]
        assert deferred["recipient"] == "bob@several.example"


def test_private_addresses_only_when_allowed(unpacked):
    """A domain that anyone may set up must not lead us to our own network's servers."""
    with Nsd(ZONES) as nsd, Sink(host="127.0.0.3") as sink:
        routes = (f'delivery {{{{ port = {sink.port}  resolvers = "{nsd.resolver}" }}}}\nroute "world" {{{{ via = "mx" }}}}')
        with Postern(routes=routes) as server:
            server.send(mail.message(), ["bob@only-a.example"])
            wait_for(lambda: server.events("deferred") or server.events("failed"), lambda: server.tail())
            assert not sink.sessions
