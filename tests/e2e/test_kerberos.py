# SPDX-License-Identifier: Apache-2.0
"""Logins by Kerberos tickets (GSSAPI), from a real KDC, with curl and GNU SASL as clients."""
import shutil

import pytest
from support import mail, peers
from support.kerberos import Kerberos
from support.postern import CONF, Postern
from support.process import run


@pytest.fixture(scope="module")
def kerberos():
    try:
        kdc = Kerberos({"alice": "wonderland", "alice/admin": "wonderland", "mallory": "wonderland", "alice#key": "wonderland",
                        "smtp/localhost": None, "krbtgt/EXAMPLE.ORG@OTHER.ORG": "trust"})
    except peers.Unavailable as why:
        pytest.skip(str(why))
    kdc.start("alice", "wonderland")
    yield kdc
    kdc.stop()


@pytest.fixture(scope="module")
def server(kerberos):
    postern = Postern(conf=CONF + 'auth {{ keytab = "{folder}/keytab"  block_after = 0 }}\n', accounts=("alice", "bob"))
    shutil.copy(kerberos.keytab("smtp/localhost"), postern.folder / "keytab")
    postern.own()
    with postern:
        yield postern


def gsasl(server, environment, *options):
    done = run(["gsasl", "--client", "--smtp", "--mechanism=GSSAPI", f"--x509-ca-file={server.folder}/cert.pem",
                f"--connect=localhost:{server.submission}", "--service=smtp", "--hostname=localhost",
                "--quality-of-protection=qop-auth", *options], input="", env=environment)
    return done.stdout + done.stderr


def test_curl(server, kerberos, tmp_path):
    (tmp_path / "message").write_bytes(mail.message("By ticket"))
    known = len(server.captured())
    run(["curl", "--silent", "--show-error", "--url", f"smtps://localhost:{server.submissions}", "--cacert",
         server.folder / "cert.pem", "--user", "alice@EXAMPLE.ORG:", "--login-options", "AUTH=GSSAPI", "--service-name", "smtp",
         "--mail-from", "alice@example.org", "--mail-rcpt", "bob@sink.example", "--upload-file",
         tmp_path / "message"], env=kerberos.ticket("alice", "wonderland"), check=True)
    server.wait_captured(known + 1)
    assert server.events("login")[-1]["mech"] == "GSSAPI" and server.events("login")[-1]["account"] == "alice"


def test_gsasl(server, kerberos):
    seen = gsasl(server, kerberos.ticket("alice", "wonderland"), "--authentication-id=alice")
    assert "235 2.7.0" in seen, seen + server.tail()


def test_c3_authorization_identity(server, kerberos):
    ticket = kerberos.ticket("alice", "wonderland")
    assert "235 2.7.0" in gsasl(server, ticket, "--authorization-id=alice@example.org")
    assert "535 5.7.8" in gsasl(server, ticket, "--authorization-id=bob")
    assert server.events("login-failed", mech="GSSAPI", reason="authorization-identity")


def test_others(server, kerberos):
    """No account, and what is no account's name: alice/admin is not alice."""
    assert "535 5.7.8" in gsasl(server, kerberos.ticket("mallory", "wonderland"))
    assert server.events("login-failed", mech="GSSAPI", reason="unknown-user", account="mallory")
    assert "535 5.7.8" in gsasl(server, kerberos.ticket("alice/admin", "wonderland"))
    assert server.events("login-failed", mech="GSSAPI", account="alice/admin", reason="malformed-name")
    assert "535 5.7.8" in gsasl(server, kerberos.ticket("alice#key", "wonderland"))
    assert server.events("login-failed", mech="GSSAPI", account="alice#key", reason="malformed-name")


def test_c3_a_realm_that_is_trusted_is_not_ours(server, kerberos):
    """alice@OTHER.ORG gets a ticket for us, but is somebody else than alice."""
    other = Kerberos({"alice": "wonderland", "krbtgt/EXAMPLE.ORG": "trust"}, realm="OTHER.ORG").start("alice", "wonderland")
    try:
        conf = other.folder / "krb5.conf"
        conf.write_text(conf.read_text()
                        .replace("[realms]", f"[realms]\n  EXAMPLE.ORG = {{\n    kdc = 127.0.0.1:{kerberos.port}\n  }}")
                        .replace("localhost = OTHER.ORG", "localhost = EXAMPLE.ORG"))
        seen = gsasl(server, other.ticket("alice", "wonderland"))
        assert "535 5.7.8" in seen, seen
        assert server.events("login-failed", mech="GSSAPI", reason="other-realm", account="alice")
    finally:
        other.stop()


def test_c1_no_ticket_at_all(server):
    for token in ["=", "eA==", "YIIB" + "A" * 400, "YIIB" + "A" * 8000]:
        with server.client(user=None) as client:
            client.ehlo()
            assert "GSSAPI" in client.esmtp_features["auth"].split()
            assert client.docmd("AUTH", f"GSSAPI {token}")[0] == 535
            client.login("alice", "correct horse battery")


def test_keytab_of_no_use(server):
    server.conf.write_text(server.conf.read_text().replace("/keytab", "/nothing"))
    done = server.command("check")
    assert done.returncode != 0 and "keytab" in done.stderr, done.stderr
    server.stop()
    (server.folder / "nothing").write_text("this is no keytab\n")
    server.own()
    server.start()
    assert any("GSSAPI" in e["text"] for e in server.events("note", process="auth"))
    with server.client() as client:  # all else goes on
        client.ehlo()
        assert "GSSAPI" not in client.esmtp_features.get("auth", "")
