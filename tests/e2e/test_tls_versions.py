# SPDX-License-Identifier: Apache-2.0
"""The oldest TLS that a client may use: per listener, and for networks of old devices."""
import socket
import ssl

import pytest
from support.postern import PASSWORD, Postern
from support.process import PATIENCE, free_ports, wait_for
from support.raw import Raw

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2,
            "1.3": ssl.TLSVersion.TLSv1_3}
NAMES = {"1.0": "TLSv1", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3"}
PRINTER = "127.0.0.9"


def context(version, ciphers="ALL:@SECLEVEL=0"):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_ciphers(ciphers)
    made.minimum_version = made.maximum_version = VERSIONS[version]
    return made


def shake(port, version, source="127.0.0.1", **how):
    """A session over implicit TLS of just that version."""
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
    raw = Raw.__new__(Raw)
    raw.buffer = b""
    raw.socket = context(version, **how).wrap_socket(plain)
    raw.greeting = raw.reply()
    return raw


def refused_reason(server, before, listener):
    """Why the newest handshake of a listener failed, by the log."""
    found = wait_for(lambda: server.events("connect-refused", listener=listener)[before:],
                     lambda: f"a refused handshake; log:\n{server.tail()}")
    return found[-1]["reason"]


@pytest.fixture(scope="module")
def server():
    names = ["printers", "elevens", "modern"]
    ports = dict(zip(names, free_ports(len(names))))
    listens = {
        "printers": f'tls_legacy_from = {{{{ "{PRINTER}", "2001:db8::/64" }}}}',
        "elevens": f'tls_legacy_from = "{PRINTER}" tls_legacy_min = "1.1"',
        "modern": 'tls_min = "1.3"',
    }
    routes = 'route "all" {{ via = "capture:{folder}/capture" }}\n' + "".join(
        f'listen "{name}" {{{{ address = "127.0.0.1:{ports[name]}" tls = "implicit" {keys} }}}}\n'
        for name, keys in listens.items())
    with Postern(routes=routes) as running:
        running.ports = {**ports, "submissions": running.submissions}
        yield running


@pytest.mark.parametrize("listener, source, oldest", [
    ("submissions", "127.0.0.1", "1.2"), ("submissions", PRINTER, "1.2"), ("modern", PRINTER, "1.3"),
    ("printers", "127.0.0.1", "1.2"), ("printers", PRINTER, "1.0"),
    ("elevens", "127.0.0.1", "1.2"), ("elevens", PRINTER, "1.1")])
def test_b8_oldest_version_by_listener_and_network(server, listener, source, oldest):
    for version in VERSIONS:
        before = len(server.events("connect-refused", listener=listener))
        if version >= oldest:
            raw = shake(server.ports[listener], version, source)
            assert raw.socket.version() == NAMES[version]
            raw.command("EHLO device.example", 250)
            raw.login("alice", PASSWORD)
            raw.command("QUIT", 221)
            server.wait_event("login", listener=listener, client=source, tls=NAMES[version])
        else:
            with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
                shake(server.ports[listener], version, source)
            assert refused_reason(server, before, listener) == \
                f"client offers TLS {version} only, TLS {oldest} is required here"


def test_b8_old_ciphers_go_with_the_network(server):
    old = "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"
    for version in ["1.0", "1.2"]:
        raw = shake(server.ports["printers"], version, PRINTER, ciphers=old)
        assert raw.socket.cipher()[0] == "ECDHE-ECDSA-AES128-SHA"
        raw.close()
    before = len(server.events("connect-refused", listener="printers"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shake(server.ports["printers"], "1.2", "127.0.0.1", ciphers=old)
    assert refused_reason(server, before, "printers") == \
        "client offers no cipher that is allowed here; it offers ECDHE-ECDSA-AES128-SHA"


def test_b8_a_session_of_the_network_is_no_way_around(server):
    """A ticket from where old TLS is allowed does not bring it elsewhere."""
    made = context("1.1")
    plain = socket.create_connection(("127.0.0.1", server.ports["printers"]), PATIENCE, source_address=(PRINTER, 0))
    first = made.wrap_socket(plain)
    first.recv(512)
    session = first.session
    assert session.has_ticket
    first.close()
    plain = socket.create_connection(("127.0.0.1", server.ports["submissions"]), PATIENCE)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        made.wrap_socket(plain, session=session)


def test_b8_check_tries_old_versions_and_says_so():
    routes = ('route "all" {{{{ via = "capture:{{folder}}/capture" }}}}\n'
              'listen "old" {{{{ address = "127.0.0.1:{0}" {1} }}}}\n')
    port = free_ports(1)[0]
    stopped = Postern(routes=routes.format(port, 'tls_legacy_from = "192.0.2.7"'), accounts=())
    try:
        checked = stopped.command("check")
        assert checked.returncode == 0, checked.stderr
        assert 'listen "old": clients of tls_legacy_from may use TLS 1.0, tried and found working' in checked.stderr
        stopped.configure(routes=routes.format(port, 'tls_legacy_from = "10.0.0.0/8"'))
        assert "is a wide network (more than /24): TLS as weak as of 1999" in stopped.command("check").stderr
        stopped.configure(routes=routes.format(port, 'tls_min = "1.0"'))
        checked = stopped.command("check")
        assert checked.returncode == 1 and "tls_legacy_from" in checked.stderr, checked.stderr
    finally:
        stopped.discard()


def test_b8_a_library_that_cannot_is_told_at_once():
    """OpenSSL may be set up to know no old versions; then the server says it, not the printer's user."""
    routes = ('route "all" {{ via = "capture:{folder}/capture" }}\n'
              f'listen "old" {{{{ address = "127.0.0.1:{free_ports(1)[0]}" tls_legacy_from = "192.0.2.7" }}}}\n')
    stopped = Postern(routes=routes, accounts=())
    try:
        conf = stopped.folder / "openssl.cnf"
        conf.write_text("openssl_conf = init\n[init]\nssl_conf = ssl\n[ssl]\nsystem_default = policy\n"
                        "[policy]\nProtocol = -TLSv1\n")
        stopped.environment["OPENSSL_CONF"] = str(conf)
        checked = stopped.command("check", env=stopped.environment)
        words = 'listen "old": tls_legacy_min = 1.0 asked, but OpenSSL on this system cannot do TLS 1.0'
        assert checked.returncode == 1 and words in checked.stderr, checked.stderr
        stopped.own()
        stopped.spawn()
        wait_for(lambda: not stopped.process.running(), "a start that is given up")
        assert words in stopped.log().replace('\\"', '"'), stopped.log()
        stopped.configure(routes=routes.replace("tls_legacy_from", 'tls_legacy_min = "1.1" tls_legacy_from'))
        assert stopped.command("check", env=stopped.environment).returncode == 0
    finally:
        stopped.discard()
