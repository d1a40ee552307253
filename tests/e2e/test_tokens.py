# SPDX-License-Identifier: Apache-2.0
"""Logins with bearer tokens, by real clients: keys in a file."""
import base64
import json
import smtplib

import pytest
from support import issuer as idp
from support.bearer import b64, log_in, oauthbearer, xoauth2
from support.postern import Postern
from support.process import run

SECTION = """auth {{ block_after = 0 }}
token "staff" {{
  issuer = "https://idp.example"
  audience = {{ "other", "postern" }}
  jwks_file = "{folder}/jwks.json"
  accounts = {{ "alice@example.org", "*@staff.example", "gone@example.org", "mallory@example.org" }}
}}
route "all" {{ via = "capture:{folder}/capture" }}"""


@pytest.fixture(scope="module")
def issuer():
    return idp.Issuer()


@pytest.fixture(scope="module")
def server(issuer):
    server = Postern(routes=SECTION, accounts=("alice", "bob", "bob@staff.example", "gone"))
    (server.folder / "jwks.json").write_text(issuer.jwks())
    server.own()
    server.command("user", "disable", "gone", check=True)
    with server:
        yield server


def test_curl_sends_mail(server, issuer, tmp_path):
    file = tmp_path / "mail"
    file.write_bytes(b"From: alice@example.org\r\nSubject: by token\r\n\r\nHello.\r\n")
    before = len(server.captured())
    run(["curl", "--silent", "--show-error", "--url", f"smtp://127.0.0.1:{server.submission}", "--ssl-reqd",
         "--cacert", server.folder / "cert.pem", "--user", "alice@example.org:", "--oauth2-bearer", issuer.token(),
         "--mail-from", "alice@example.org", "--mail-rcpt", "bob@sink.example", "--upload-file", file], check=True)
    server.wait_captured(before + 1)
    assert server.wait_event("login", account="alice", mech="OAUTHBEARER")


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_msmtp_sends_mail(server, issuer, tmp_path, mechanism):
    def send(token):
        (tmp_path / "token").write_text(token + "\n")
        return run(["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={server.submission}", "--tls=on",
                    "--tls-starttls=on", f"--tls-trust-file={server.folder}/cert.pem", f"--auth={mechanism.lower()}",
                    "--user=bob@staff.example", f"--passwordeval=cat {tmp_path}/token", "--from=bob@staff.example",
                    "alice@sink.example"], input="From: bob@staff.example\nSubject: by token\n\nHello.\n")

    before = len(server.captured())
    assert send(issuer.token("bob@staff.example")).returncode == 0
    server.wait_captured(before + 1)
    assert server.wait_event("login", account="bob@staff.example", mech=mechanism)
    # Its side of the dialogue when the token is of somebody else.
    refused = send(issuer.token("alice@example.org"))
    assert refused.returncode != 0 and "535" in refused.stderr
    assert server.wait_event("login-failed", account="bob@staff.example", mech=mechanism,
                             reason="token-of-another-user")


def test_python_and_no_initial_response(server, issuer):
    with server.client(user=None) as client:
        client.ehlo()
        assert client.has_extn("auth") and {"OAUTHBEARER", "XOAUTH2"} <= set(client.esmtp_features["auth"].split())
        code, _ = client.auth("XOAUTH2", lambda challenge=None: xoauth2(issuer.token()), initial_response_ok=False)
        assert code == 235
        assert client.sendmail("alice@example.org", ["bob@sink.example"], "From: alice@example.org\n\nHello\n") == {}
    with server.client(user=None) as client:
        client.ehlo()
        # Whom the token names, if the client names nobody; a bare name is the same account.
        assert client.auth("OAUTHBEARER", lambda challenge=None: oauthbearer(issuer.token()))[0] == 235
    assert log_in(server, "OAUTHBEARER", oauthbearer(issuer.token(), "alice"))[0][0] == 235


def test_c8_c15_refused_in_the_way_of_rfc_7628(server, issuer):
    """Tokens of others, for others, out of date, forged: 334 with the reason for the client, then 535."""
    stranger = idp.Key("one")
    cases = {
        "token-of-another-user": (issuer.token("bob@example.org"), "alice@example.org"),
        "token-audience": (issuer.token(aud="imap"), "alice@example.org"),
        "token-expired": (issuer.token(exp=1000000000), "alice@example.org"),
        "token-signature": (issuer.token(key=stranger), "alice@example.org"),
        "token-issuer": (issuer.token(iss="https://evil.example"), "alice@example.org"),
        "token-unknown-key": (issuer.token(key=idp.Key("two")), "alice@example.org"),
        "token-algorithm": (issuer.token(header={"alg": "none"}), "alice@example.org"),
        "token-critical-extension": (issuer.token(header={"crit": ["x"], "x": 1}), "alice@example.org"),
        "token-email-not-verified": (issuer.token(email_verified=False), "alice@example.org"),
        "token-malformed": ("ya29.opaque", "alice@example.org"),
        "disabled": (issuer.token("gone@example.org"), "gone"),
        "unknown-user": (issuer.token("mallory@example.org"), "mallory"),
        "token-for-no-account": (issuer.token("bob@example.org"), "bob@example.org"),
    }
    for reason, (token, user) in cases.items():
        for mechanism, message in (("OAUTHBEARER", oauthbearer(token, user)), ("XOAUTH2", xoauth2(token, user))):
            (first, challenge), (last, text) = log_in(server, mechanism, message)
            assert first == 334, (reason, challenge)
            told = json.loads(base64.b64decode(challenge))
            if mechanism == "OAUTHBEARER":
                assert told == {"status": "invalid_token",
                                "openid-configuration": f"{idp.NAME}/.well-known/openid-configuration"}
            else:
                assert told == {"status": "401", "schemes": "Bearer", "scope": ""}
            assert (last, text) == (535, "5.7.8 Authentication credentials invalid")
            assert server.wait_event("login-failed", mech=mechanism, reason=reason), reason
            assert token not in server.log()


def test_malformed_messages_and_cancelling(server, issuer):
    assert log_in(server, "OAUTHBEARER", xoauth2(issuer.token()))[0][0] == 535
    assert log_in(server, "XOAUTH2", oauthbearer(issuer.token()))[0][0] == 535
    # Any answer to the challenge will do, an empty one too.
    assert [code for code, _ in log_in(server, "XOAUTH2", xoauth2("x"), answer="=")] == [334, 535]
    with server.client(user=None) as client:
        client.ehlo()
        assert client.docmd("AUTH", f"OAUTHBEARER {b64(oauthbearer('x', 'left'))}")[0] == 334
        assert client.docmd("*")[0] == 501
        assert server.wait_event("login-failed", account="left", reason="token-malformed")
        # The session goes on.
        assert client.docmd("AUTH", f"OAUTHBEARER {b64(oauthbearer(issuer.token()))}")[0] == 235


def test_without_tls_the_token_is_not_looked_at(server, issuer):
    with server.client(user=None, tls=False) as client:
        client.ehlo()
        assert client.docmd("AUTH", f"XOAUTH2 {b64(xoauth2(issuer.token()))}")[0] in (530, 538)


def test_new_keys_in_the_file(server, issuer):
    """A reload takes them up; a file that is no set of keys is refused, and the old ones stay."""
    file = server.folder / "jwks.json"
    issuer.keys.append(idp.Key("next"))
    new = issuer.token(key=issuer.keys[1])
    assert log_in(server, "XOAUTH2", xoauth2(new))[-1][0] == 535
    file.write_text(issuer.jwks())
    server.command("reload", check=True)
    assert log_in(server, "XOAUTH2", xoauth2(new))[-1][0] == 235
    file.write_text('{"keys": [{"kty": "oct", "k": "AAAA"}]}')
    done = server.command("reload")
    assert done.returncode != 0 and "jwks_file cannot be used" in done.stdout + done.stderr
    assert log_in(server, "XOAUTH2", xoauth2(new))[-1][0] == 235
    file.write_text(issuer.jwks())


def test_not_offered_without_a_section():
    with Postern() as server, server.client(user=None) as client:
        client.ehlo()
        assert "OAUTH" not in client.esmtp_features["auth"] and "XOAUTH2" not in client.esmtp_features["auth"]
        assert client.docmd("AUTH", f"XOAUTH2 {b64(xoauth2('x'))}")[0] == 504
        with pytest.raises(smtplib.SMTPException):
            client.auth("XOAUTH2", lambda challenge=None: xoauth2("x"))
