# SPDX-License-Identifier: Apache-2.0
"""What stands behind us: smart hosts with TLS and login, smtp-sink, Dovecot by LMTP, a folder."""
import time

import pytest
from support import mail, postern
from support.dovecot import Dovecot
from support.postern import Postern, all_to
from support.postfix import smtp_sink
from support.process import free_ports, wait_for
from support.sink import Sink


@pytest.fixture(scope="module")
def tls_folder(tmp_path_factory):
    return postern.certificate(tmp_path_factory.mktemp("tls"), "localhost")


def test_capture_is_a_maildir(tmp_path):
    with Postern() as server:
        data = mail.awkward()
        server.send(data, ["bob@sink.example", "carol@sink.example"])
        copies = server.wait_captured(1)
        for copy in copies:
            mail.trace_of(copy.read_bytes(), data)
        assert not list((server.folder / "capture/tmp").iterdir())
        wait_for(lambda: len(server.events("delivered")) >= 2, "both recipients delivered")


def test_smtp_sink(unpacked, tmp_path):
    port = free_ports(1)[0]
    sink = smtp_sink(port, tmp_path, "-c")
    try:
        with Postern(routes=all_to(port)) as server:
            for n in range(20):
                server.send(mail.message(f"Number {n}"))
            wait_for(lambda: len(server.events("delivered")) == 20, lambda: server.tail())
    finally:
        sink.stop()


@pytest.mark.parametrize("way", ["socket", "port"])
def test_dovecot_lmtp(unpacked, way):
    with Dovecot() as dovecot:
        target = dovecot.socket if way == "socket" else f"127.0.0.1:{dovecot.port}"
        with Postern(routes=f'route "all" {{{{ via = "lmtp:{target}" }}}}') as server:
            data = mail.awkward()
            server.send(data, ["bob@sink.example", "carol@sink.example"])
            for user in ["bob@sink.example", "carol@sink.example"]:
                (copy,) = dovecot.wait_messages(user, 1)
                mail.trace_of(copy.read_bytes(), data)


def test_lmtp_recipients_have_results_of_their_own():
    """After the dot LMTP answers for each recipient (RFC 2033 section 4.2)."""
    count = iter(range(100))
    answers = {"": lambda *_: "550 5.2.2 Mailbox full" if next(count) == 0 else "250 2.0.0 Taken"}
    with Sink(lmtp=True, answers=answers) as sink:
        with Postern(routes=f'route "all" {{{{ via = "lmtp:127.0.0.1:{sink.port}" }}}}\n') as server:
            server.send(mail.message(), ["first@sink.example", "second@sink.example"])
            failed = server.wait_event("failed", recipient="first@sink.example")
            assert "Mailbox full" in str(failed), failed
            server.wait_event("delivered", recipient="second@sink.example")


def test_smart_host_with_login(tls_folder, tmp_path):
    """STARTTLS is required and its certificate checked once there is a user."""
    with Sink(tls=postern.server_context(tls_folder), login=("dept", "smart secret")) as sink:
        (tmp_path / "password").write_text("smart secret\n")
        tmp_path.chmod(0o755)
        options = f'user = "dept"  password_file = "{{folder}}/isp.password"  ca_file = "{{folder}}/ca.pem"'
        server = Postern(routes=all_to(sink.port, options, host="localhost"))
        (server.folder / "isp.password").write_text("smart secret\n")
        (server.folder / "isp.password").chmod(0o600)
        (server.folder / "ca.pem").write_bytes((tls_folder / "cert.pem").read_bytes())
        server.own()
        with server:
            server.send(mail.message())
            (received,) = sink.wait(1)
            assert received.session.encrypted and received.session.user == "dept"
            assert "smart secret" not in server.log()


def test_required_tls_refuses_a_bad_certificate(tls_folder):
    with Sink(tls=postern.server_context(tls_folder)) as sink:
        with Postern(routes=all_to(sink.port, 'tls = "required"', host="localhost")) as server:
            server.send(mail.message())
            deferred = server.wait_event("deferred")
            assert "certificate" in str(deferred).lower(), deferred
            assert not sink.received


def test_required_tls_refuses_a_server_without(tls_folder):
    with Sink() as sink:
        with Postern(routes=all_to(sink.port, 'tls = "required"')) as server:
            server.send(mail.message())
            server.wait_event("deferred")
            assert not sink.received


@pytest.mark.parametrize("offered", [True, False])
def test_opportunistic_tls(tls_folder, offered):
    with Sink(tls=postern.server_context(tls_folder) if offered else None) as sink:
        with Postern(routes=all_to(sink.port, "")) as server:
            server.send(mail.message())
            (received,) = sink.wait(1)
            assert received.session.encrypted == offered


def test_implicit_tls_to_the_smart_host(tls_folder):
    with Sink(tls=postern.server_context(tls_folder), implicit=True) as sink:
        server = Postern(routes=all_to(sink.port, 'tls = "implicit"  ca_file = "{folder}/ca.pem"', host="localhost"))
        (server.folder / "ca.pem").write_bytes((tls_folder / "cert.pem").read_bytes())
        server.own()
        with server:
            server.send(mail.message())
            assert sink.wait(1)[0].session.encrypted


def test_connections_are_reused():
    with Sink() as sink:
        with Postern(routes=all_to(sink.port)) as server:
            with server.client() as client:
                for n in range(30):
                    client.sendmail("alice@example.org", ["bob@sink.example"], mail.message(f"Number {n}"))
            sink.wait(30)
            assert len(sink.sessions) < 20, f"{len(sink.sessions)} connections for 30 messages"


def test_routes_in_order_first_match_wins():
    with Sink() as sink:
        routes = all_to(sink.port).replace(
            'route "all"', 'route "ours" {{ to = {{ "*@ours.example", "postmaster@sink.example" }}  '
            'via = "capture:{folder}/capture" }}\nroute "all"')
        with Postern(routes=routes) as server:
            server.send(mail.message(), ["bob@sink.example", "x@ours.example", "postmaster@sink.example"])
            (received,) = sink.wait(1)
            assert received.recipients == ["bob@sink.example"]
            server.wait_captured(1)
            wait_for(lambda: len(server.events("delivered")) == 3, lambda: server.tail())


def test_a_dead_destination_holds_up_nobody():
    dead, slow = free_ports(1)[0], Sink(answers={"connect": lambda *_: time.sleep(30)})
    with slow, Sink() as sink:
        routes = "\n".join(
            [f'relay "{name}" {{{{ host = "127.0.0.1:{port}"  tls = "none" }}}}\n'
             f'route "{name}" {{{{ to = "*@{name}.example"  via = "relay:{name}" }}}}'
             for name, port in [("dead", dead), ("slow", slow.port), ("live", sink.port)]])
        with Postern(routes=routes) as server:
            for n in range(20):
                server.send(mail.message(f"Number {n}"), ["a@dead.example", "b@slow.example"])
            start = time.monotonic()
            server.send(mail.message("For the living"), ["c@live.example"])
            sink.wait(1)
            assert time.monotonic() - start < 5
            server.wait_event("deferred", recipient="a@dead.example")
            server.process.popen.terminate()  # while relay still waits for the slow one
            assert server.process.popen.wait(30) == 0
            server.expect_deaths = True
