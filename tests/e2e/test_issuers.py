# SPDX-License-Identifier: Apache-2.0
"""Issuers of bearer tokens that are asked over HTTPS: for their keys, and about tokens."""
import json
import re
import signal
import time
from os import kill

import pytest
from support import issuer as idp
from support.bearer import log_in, oauthbearer, xoauth2
from support.postern import Postern, certificate
from support.process import run, wait_for

SECTIONS = """auth {{ block_after = 0 }}
token "staff" {{
  issuer = "https://idp.example"  audience = "postern"
  jwks_url = "{keys_url}"  ca_file = "{folder}/staff/{ca}"  timeout = "2s"
}}
token "opaque" {{
  issuer = "https://opaque.example"  audience = "postern"
  introspect_url = "{ask_url}"  ca_file = "{folder}/opaque/cert.pem"  timeout = "2s"
  client_id = "postern"  client_secret_file = "{folder}/secret"
}}
route "all" {{ via = "capture:{folder}/capture" }}"""
OPAQUE = {"iss": "https://opaque.example"}


def make():
    """The server, and its two issuers: one that publishes keys, by name, and one that is asked."""
    server = Postern(routes='route "all" {{ via = "capture:{folder}/capture" }}', accounts=("alice", "bob"))
    staff, opaque = idp.Server(server.folder / "staff"), idp.Server(server.folder / "opaque")
    (server.folder / "secret").write_text(opaque.client[1] + "\n")
    server.secrets.add(opaque.client[1])
    certificate(server.folder / "staff/other")
    (server.folder / "staff/wrong.pem").write_text((server.folder / "staff/other/cert.pem").read_text())
    server.values.update(keys_url=f"https://localhost:{staff.port}/keys",
                         ask_url=f"https://127.0.0.1:{opaque.port}/introspect", ca="cert.pem")
    server.configure(routes=SECTIONS)
    return server, staff, opaque


@pytest.fixture(scope="module")
def everything():
    server, staff, opaque = make()
    with staff, opaque, server:
        yield server, staff, opaque


@pytest.fixture
def server(everything):
    server, staff, opaque = everything
    yield server
    for issuer in (staff, opaque):
        issuer.behave, issuer.cache_control = "well", None


@pytest.fixture
def staff(everything):
    return everything[1]


@pytest.fixture
def opaque(everything):
    return everything[2]


def last(server, token, mechanism="XOAUTH2", user="alice@example.org"):
    message = xoauth2(token, user) if mechanism == "XOAUTH2" else oauthbearer(token, user)
    return log_in(server, mechanism, message)[-1]


def state(server, title):
    """Of an issuer; status ends with 1 while one is down."""
    done = server.command("status", "--json")
    row = next(row for row in json.loads(done.stdout) if row.get("token") == title)
    assert row["state"] != "down" or done.returncode == 1
    return row


def test_keys_of_a_url(server, staff):
    """They are there before anybody logs in, and asked for once."""
    wait_for(lambda: state(server, "staff")["keys"] == 1, "the keys of the issuer")
    for _ in range(3):
        assert last(server, staff.token())[0] == 235
    assert staff.asked("/keys") == 1
    assert state(server, "staff")["state"] == "answers"
    text = server.command("status", check=True).stdout
    assert re.search(r"staff +jwks_url +answers", text), text
    assert last(server, staff.token("bob@example.org"))[0] == 535


def test_c15_new_and_unknown_keys(server, staff):
    """A key that is new at the issuer is found at once; for keys that nobody has it is not asked without end."""
    staff.keys.append(idp.Key("two"))
    assert last(server, staff.token(key=staff.keys[1]))[0] == 235
    # The old ones are gone when the issuer has them no more.
    old = staff.keys.pop(0)
    strangers = [idp.Key(f"stranger {n}") for n in range(8)]
    for key in strangers:
        assert last(server, staff.token(key=key))[0] == 535
    assert last(server, staff.token(key=old))[0] == 535
    assert last(server, staff.token())[0] == 235
    assert staff.asked("/keys") <= 7


def test_opaque_tokens(server, opaque, tmp_path):
    token = opaque.opaque("ya29.good", **OPAQUE)
    file = tmp_path / "mail"
    file.write_bytes(b"From: alice@example.org\r\nSubject: by opaque token\r\n\r\nHello.\r\n")
    before = len(server.captured())
    run(["curl", "--silent", "--show-error", "--url", f"smtp://127.0.0.1:{server.submission}", "--ssl-reqd",
         "--cacert", server.folder / "cert.pem", "--user", "alice@example.org:", "--oauth2-bearer", token,
         "--mail-from", "alice@example.org", "--mail-rcpt", "bob@sink.example", "--upload-file", file], check=True)
    server.wait_captured(before + 1)
    # Remembered for a minute, so that not each message is a question.
    asked = opaque.asked("/introspect")
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        assert last(server, token, mechanism)[0] == 235
    assert opaque.asked("/introspect") == asked
    # A JWT of an issuer that is asked is for the issuer to judge, too.
    token = opaque.token(**OPAQUE)
    assert last(server, token)[0] == 535
    opaque.opaque(token, **OPAQUE)
    assert last(server, token)[0] == 235
    assert token not in server.log() and opaque.client[1] not in server.log()


def test_c8_c15_answers_about_tokens(server, opaque):
    """Whom it is for, by whom, of whom, until when: as with tokens that are checked here."""
    cases = {
        "token-not-active": ("unheard-of", {}),
        "token-of-another-user": ("of-bob", {"user": "bob@example.org"}),
        "token-audience": ("for-imap", {"aud": "imap"}),
        "token-issuer": ("of-others", {"iss": "https://evil.example"}),
        "token-expired": ("old", {"exp": 1000000000}),
        "token-not-yet-valid": ("early", {"nbf": int(time.time()) + 3600}),
        "token-email-not-verified": ("unverified", {"email_verified": False}),
    }
    for reason, (token, others) in cases.items():
        if others:
            opaque.opaque(token, **{**OPAQUE, **others})
        assert [code for code, _ in log_in(server, "OAUTHBEARER", oauthbearer(token, "alice"))] == [334, 535], reason
        assert server.wait_event("login-failed", mech="OAUTHBEARER", reason=reason), reason
    # Without aud nobody knows whom it was made for.
    opaque.opaque("for-nobody", **OPAQUE, aud=None)
    assert last(server, "for-nobody")[0] == 535


@pytest.mark.parametrize("behave, why", [
    ("error", "it answers HTTP 503"),
    ("denied", "it refuses to answer us (HTTP 401)"),
    ("elsewhere", "it sends us elsewhere (HTTP 302)"),
    ("html", "its answer is no introspection"),
    ("cut", "its answer is no introspection"),
    ("not an object", "its answer is no introspection"),
    ("active is text", "its answer is no introspection"),
    ("twice", "its answer is no introspection"),
    ("deep", "its answer is no introspection"),
    ("huge", "its answer is too large"),
    ("slow", "no answer within"),
    ("trickle", "no answer within"),
])
def test_an_issuer_out_of_order(server, opaque, behave, why):
    """It is no fault of the token: 454. Others go on meanwhile."""
    token = opaque.opaque(f"while-{behave.replace(' ', '-')}", **OPAQUE)
    opaque.behave = behave
    code, text = last(server, token)
    assert (code, text) == (454, "4.7.0 Temporary authentication failure"), (behave, text)
    row = state(server, "opaque")
    assert row["state"] == "down" and why in row["why"], row
    with server.client() as client:
        assert client.noop()[0] == 250
    opaque.behave = "well"
    assert last(server, token)[0] == 235
    assert state(server, "opaque")["state"] == "answers"
    assert opaque.asked("/elsewhere") == 0


def test_it_is_said_once(server, opaque):
    before = len(server.events("issuer-down", token="opaque")), len(server.events("issuer-up", token="opaque"))
    opaque.behave = "error"
    for n in range(3):
        assert last(server, f"down-{n}")[0] == 454
    opaque.behave = "well"
    for n in range(2):
        assert last(server, f"up-{n}")[0] == 535
    server.wait_event("issuer-up", token="opaque")
    # An administrator is told, too, and when it is over.
    alert = server.wait_event("alert", kind="issuer-down", subject="opaque", state="new")
    assert f"https://127.0.0.1:{opaque.port}/introspect" in alert["text"]
    server.wait_event("alert", kind="issuer-down", subject="opaque", state="over")
    after = len(server.events("issuer-down", token="opaque")), len(server.events("issuer-up", token="opaque"))
    assert after == (before[0] + 1, before[1] + 1)


def test_the_agent_dies(server, staff, opaque):
    server.expect_deaths = True
    kill(server.pid("agent"), signal.SIGKILL)
    # By keys that are there it goes on without; the rest waits for the next one.
    assert last(server, staff.token())[0] == 235
    token = opaque.opaque("after-its-death", **OPAQUE)
    wait_for(lambda: last(server, token)[0] == 235, "an agent to ask")


def test_an_issuer_that_was_never_reached():
    """454 until it is; its keys outlive a restart, and a damaged copy of them is not used."""
    server, staff, opaque = make()
    with server:
        assert last(server, staff.token())[0] == 454
        server.wait_event("issuer-down", token="staff")
        assert last(server, staff.token(key=idp.Key("stranger")))[0] == 454
        with staff:
            wait_for(lambda: last(server, staff.token())[0] == 235, "the keys")
            server.wait_event("issuer-up", token="staff")
        # Gone again: what is there is enough. Nobody can say now that a key is not the issuer's.
        assert last(server, staff.token())[0] == 235
        assert last(server, staff.token(key=idp.Key("stranger")))[0] == 454
        (kept,) = (server.folder / "state/agent").glob("jwks-*")
        server.stop()
        server.start()
        wait_for(lambda: last(server, staff.token())[0] == 235, "the keys that were kept")
        server.stop()
        kept.write_bytes(kept.read_bytes().replace(b'"ES256"', b'"RS256"', 1))
        server.start()
        assert last(server, staff.token())[0] == 454
        assert server.wait_event("note", text=f'token "staff": the keys that were kept are not used: {kept}: '
                                              'it is damaged')


def test_c15_another_certificate_and_reloads():
    """Who is not vouched for is not asked; a reload can name another authority, or need no agent any more."""
    server, staff, opaque = make()
    server.values["ca"] = "wrong.pem"
    server.configure()
    with staff, opaque, server:
        assert last(server, staff.token())[0] == 454
        assert staff.asked("/keys") == 0
        row = state(server, "staff")
        assert row["state"] == "down" and "certificate" in row["why"], row
        # An agent that is told of another authority asks again by itself.
        server.values["ca"] = "cert.pem"
        server.configure()
        server.command("reload", check=True)
        wait_for(lambda: last(server, staff.token())[0] == 235, "the keys")
        # What the files hold is looked at before anything changes.
        (server.folder / "secret").write_text("\n")
        done = server.command("reload")
        assert done.returncode != 0 and "client_secret_file is empty" in done.stdout + done.stderr
        (server.folder / "secret").write_text("wrong\n")
        server.command("reload", check=True)
        assert last(server, opaque.opaque("t", **OPAQUE))[0] == 454
        assert "is the secret right by which it knows us?" in state(server, "opaque")["why"]
        (server.folder / "staff/cert.pem").write_text("nothing\n")
        done = server.command("check")
        assert done.returncode != 0 and "there is no certificate (PEM) in it" in done.stdout + done.stderr
        server.configure(routes='route "all" {{ via = "capture:{folder}/capture" }}')
        server.command("reload", check=True)
        wait_for(lambda: not server.pids("agent"), "the end of the agent")
        with server.client(user=None) as client:
            client.ehlo()
            assert "XOAUTH2" not in client.esmtp_features["auth"]
