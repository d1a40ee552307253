# SPDX-License-Identifier: Apache-2.0
"""One server for both: other servers deliver to our domains on port 25, our people relay through it."""
import pytest
from support import mail
from support.postern import PASSWORD, Postern
from support.postfix import Postfix
from support.process import run, wait_for
from support.sink import Sink


@pytest.fixture(scope="module")
def world(unpacked):
    with Sink() as sink:
        routes = ('route "ours" {{ to = "*@ours.example"  via = "capture:{folder}/capture" }}\n'
                  f'relay "next" {{{{ host = "127.0.0.1:{sink.port}"  tls = "none" }}}}\n'
                  'route "all" {{ via = "relay:next" }}')
        with Postern(routes=routes, settings='accept_for = {{ "ours.example" }}') as server:
            with Postfix({"relayhost": f"[127.0.0.1]:{server.mta}", "smtp_tls_security_level": "may",
                          "bounce_queue_lifetime": "0", "maximal_queue_lifetime": "0"}) as postfix:
                yield server, postfix, sink


def test_postfix_delivers_to_our_domain(world):
    server, postfix, _ = world
    known = set(server.captured())
    postfix.send("someone@elsewhere.example", ["bob@ours.example"], mail.message(
        "From outside", "someone@elsewhere.example", "bob@ours.example"))
    (path,) = wait_for(lambda: set(server.captured()) - known, lambda: server.tail() + postfix.log())
    data = path.read_bytes()
    assert b"Subject: From outside" in data and b"by mail.example.org" in data


def test_postfix_is_refused_elsewhere(world):
    server, postfix, sink = world
    postfix.send("someone@elsewhere.example", ["bob@third.example"], mail.message(
        "Open relay?", "someone@elsewhere.example", "bob@third.example"))
    wait_for(lambda: "Relaying denied" in postfix.log(), lambda: postfix.log()[-2000:] + server.tail())
    line = [t for t in postfix.log().splitlines() if "Relaying denied" in t][0]
    assert "550" in line and "5.7.1" in line and "status=bounced" in line, line
    assert not [r for r in sink.received if b"Open relay?" in r.data]


def test_postfix_without_tls(world):
    server, postfix, _ = world
    with Postfix({"relayhost": f"[127.0.0.1]:{server.mta}", "smtp_tls_security_level": "none"}) as plain:
        known = set(server.captured())
        plain.send("someone@elsewhere.example", ["bob@ours.example"], mail.message(
            "In clear", "someone@elsewhere.example", "bob@ours.example"))
        wait_for(lambda: set(server.captured()) - known, lambda: server.tail() + plain.log())


def test_swaks_relays_through_the_same_listener(world):
    server, _, sink = world
    known = len(sink.received)
    run(["swaks", "--server", "127.0.0.1", "--port", server.mta, "--tls", "--auth", "PLAIN", "--auth-user", "alice",
         "--auth-password", PASSWORD, "--from", "alice@example.org", "--to", "carol@third.example",
         "--header", "Subject: Logged in on 25", "--silent", "2"], check=True)
    received = sink.wait(known + 1)[-1]
    assert received.recipients == ["carol@third.example"] and b"Logged in on 25" in received.data


def test_swaks_without_login_does_not(world):
    server, _, sink = world
    done = run(["swaks", "--server", "127.0.0.1", "--port", server.mta, "--tls", "--from", "alice@example.org",
                "--to", "carol@third.example"])
    assert done.returncode == 24 and "550 5.7.1" in done.stdout, done.stdout[-1500:]  # no recipient accepted


def test_mail_that_is_not_from_our_people_is_left_alone(world):
    """Fix-ups are for submissions (RFC 6409 section 8): what passes through gets a Received and no more."""
    server, _, _ = world
    known = set(server.captured())
    data = b"Subject: bare\r\n\r\nNo From, no Date, no Message-ID.\r\n"
    import smtplib
    with smtplib.SMTP("127.0.0.1", server.mta) as client:
        client.sendmail("someone@elsewhere.example", ["bob@ours.example"], data)
    (path,) = wait_for(lambda: set(server.captured()) - known, lambda: server.tail())
    mail.trace_of(path.read_bytes(), data)
