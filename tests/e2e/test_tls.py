# SPDX-License-Identifier: Apache-2.0
"""Logins without TLS, for the devices that the administrator has named, and for nobody else."""
import socket

import pytest
from support import mail
from support.postern import PASSWORD, Postern
from support.process import PATIENCE, free_ports
from support.raw import Raw

ROUTES = 'route "all" {{{{ via = "capture:{{folder}}/capture" }}}}\n'


def from_address(source, port):
    """A client whose address is source, one of 127.0.0.0/8."""
    raw = Raw.__new__(Raw)
    raw.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
    raw.buffer = b""
    raw.greeting = raw.reply()
    return raw


@pytest.fixture(scope="module")
def clear():
    printers, plain = free_ports(2)
    routes = (ROUTES + 'listen "printers" {{{{ address = "127.0.0.1:{0}"  tls = "starttls"  auth = "required"\n'
              '  clear_auth_from = {{{{ "127.0.0.2", "127.0.1.0/24" }}}} }}}}\n'
              'listen "plain" {{{{ address = "127.0.0.1:{1}"  tls = "none"  auth = "required"\n'
              '  clear_auth_from = "127.0.0.2" }}}}\n').format(printers, plain)
    with Postern(routes=routes) as running:
        running.printers, running.plain = printers, plain
        yield running


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.1.77"])
@pytest.mark.parametrize("listener", ["printers", "plain"])
def test_b7_clear_login_where_listener_and_network_are_named(clear, source, listener):
    raw = from_address(source, getattr(clear, listener))
    named = listener == "printers" or source == "127.0.0.2"
    offered = raw.command("EHLO printer.example", 250)
    assert ("AUTH PLAIN LOGIN" in offered) == named, offered
    assert ("STARTTLS" in offered) == (listener == "printers"), offered
    if not named:
        assert raw.command("AUTH PLAIN AGFsaWNlAHdyb25n").startswith("538 5.7.11 ")
        raw.command("MAIL FROM:<alice@example.org>", 530)
        return
    raw.login("alice", PASSWORD)
    raw.envelope()
    before = len(clear.captured())
    raw.send(mail.message())
    raw.send(b".\r\n")
    assert raw.reply().startswith("250 2.0.0 ")
    clear.wait_captured(before + 1)
    login = clear.wait_event("login", listener=listener, client=source)
    assert login["tls"] == "none" and login["account"] == "alice", login


def test_b7_a_wrong_password_in_clear_is_a_failed_login(clear):
    raw = from_address("127.0.0.2", clear.printers)
    raw.command("EHLO printer.example", 250)
    assert raw.command("AUTH PLAIN AGFsaWNlAHdyb25n").startswith("535 5.7.8 ")
    assert clear.wait_event("login-failed", client="127.0.0.2")["tls"] == "none"
    assert "AGFsaWNlAHdyb25n" not in clear.log() and "wrong" not in str(clear.events("login-failed"))


@pytest.mark.parametrize("source, listener", [("127.0.0.1", "printers"), ("127.0.0.3", "printers"),
                                              ("127.0.0.2", "submission"), ("127.0.0.2", "mta")])
def test_b7_no_clear_login_for_others(clear, source, listener):
    raw = from_address(source, getattr(clear, listener))
    assert "AUTH" not in raw.command("EHLO printer.example", 250)
    for command in ["AUTH PLAIN AGFsaWNlAGhpZGRlbi1wYXNz", "AUTH LOGIN aGlkZGVuLW5hbWU=", "AUTH PLAIN !!!", "AUTH X"]:
        assert raw.command(command).startswith("538 5.7.11 "), command
    refused = clear.wait_event("refused", listener=listener, client=source)
    assert "538" in refused["reply"] and refused.get("line", "AUTH") == "AUTH", refused
    for secret in ["AGFsaWNlAGhpZGRlbi1wYXNz", "aGlkZGVuLW5hbWU=", "hidden-"]:
        assert secret not in clear.log()
    assert not clear.events("login-failed", client=source, listener=listener), "it counts as no try of a password"


def test_b7_tls_after_a_clear_login_starts_anew(clear):
    raw = from_address("127.0.0.2", clear.printers)
    raw.command("EHLO printer.example", 250)
    raw.login("alice", PASSWORD)
    raw.command("STARTTLS", 220)
    raw._wrap()
    raw.command("EHLO printer.example", 250)
    assert raw.command("MAIL FROM:<alice@example.org>").startswith("530 5.7.0 ")
    raw.login("alice", PASSWORD)
    raw.command("MAIL FROM:<alice@example.org>", 250)


def test_b7_behind_a_balancer_the_device_counts_and_not_the_balancer():
    port, = free_ports(1)
    routes = (ROUTES + 'listen "printers" {{{{ address = "127.0.0.1:{0}"  proxy_from = "127.0.0.1"\n'
              '  clear_auth_from = {{{{ "192.0.2.7", "127.0.0.1" }}}} }}}}\n').format(port)
    with Postern(routes=routes) as running:
        for device, named in [("192.0.2.7", True), ("192.0.2.8", False)]:
            raw = Raw(port, greet=False)
            raw.send(f"PROXY TCP4 {device} 192.0.2.1 4711 587\r\n")
            assert raw.reply().startswith("220 ")
            assert ("AUTH" in raw.command("EHLO printer.example", 250)) == named
            if named:
                raw.login("alice", PASSWORD)
                assert running.wait_event("login", client=device)["tls"] == "none"
            else:
                raw.command("AUTH PLAIN AGFsaWNlAHdyb25n", 538)


@pytest.mark.parametrize("network, words", [
    ("127.0.0.2", None), ("192.0.2.0/24", None), ("2001:db8::/64", None),
    ("10.0.0.0/8", "is a wide network (more than /24)"), ("2001:db8::/32", "is a wide network (more than /64)"),
    ("0.0.0.0/0", "is EVERYBODY"), ("::/0", "is EVERYBODY")])
def test_b7_check_warns_of_wide_networks(network, words):
    routes = ROUTES.format() + (f'listen "old" {{{{ address = "127.0.0.1:{free_ports(1)[0]}" '
                                f'clear_auth_from = "{network}" }}}}')
    stopped = Postern(routes=routes, accounts=())
    checked = stopped.command("check")
    stopped.discard()
    assert checked.returncode == 0, checked.stderr
    assert (f'note: listen "old": clear_auth_from = {network}' in checked.stderr) == (words is not None), checked.stderr
    assert words is None or words in checked.stderr, checked.stderr
