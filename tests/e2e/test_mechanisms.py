# SPDX-License-Identifier: Apache-2.0
"""SASL mechanisms beyond PLAIN and LOGIN, with clients that others wrote, and with those who attack them."""
import base64
import contextlib
import hashlib
import hmac
import os
import select
import smtplib
import socket
import sqlite3
import ssl
import threading

import pytest
from support import mail
from support.postern import CONF, PASSWORD, Postern, server_context
from support.process import run, wait_for

ALL = "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"
AUTH = "auth { block_after = 0 }\n"  # all the wrong ones here come from one place
TEXT = b"Authentication credentials invalid"


@pytest.fixture(scope="module")
def server():
    with Postern(accounts=("alice", "bob"), conf=CONF + AUTH.replace("{", "{{").replace("}", "}}")) as postern:
        (postern.folder / "password").write_text(PASSWORD + "\n")
        yield postern


class Scram:
    """SCRAM-SHA-256 of RFC 5802 and 7677, from the standard library alone."""

    def __init__(self, name, password=PASSWORD, header=b"n,,", binding=b"", nonce=None):
        self.password, self.header, self.binding = password.encode(), header, binding
        self.bare = f"n={name},r={nonce or base64.b64encode(os.urandom(18)).decode()}".encode()
        self.signature = None

    def first(self):
        return self.header + self.bare

    def final(self, challenge):
        parts = dict(part.split(b"=", 1) for part in challenge.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(parts[b"s"]), int(parts[b"i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        unproven = b"c=" + base64.b64encode(self.header + self.binding) + b",r=" + parts[b"r"]
        message = b",".join([self.bare, challenge, unproven])
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        return unproven + b",p=" + base64.b64encode(bytes(a ^ b for a, b in zip(key, signature)))

    def log_in(self, client, mechanism):
        """The last code and text. The server's proof is checked before the last answer."""
        code, text = client.docmd("AUTH", f"{mechanism} {base64.b64encode(self.first()).decode()}")
        if code == 334:
            code, text = client.docmd(base64.b64encode(self.final(base64.b64decode(text))).decode())
        if code == 334:
            assert base64.b64decode(text) == b"v=" + base64.b64encode(self.signature)
            code, text = client.docmd("")
        return code, text.decode()


def connected(server, version=None):
    """An smtplib client after EHLO, not logged in."""
    context = server.context()
    if version:
        context.maximum_version = version
    client = smtplib.SMTP_SSL("127.0.0.1", server.submissions, timeout=60, context=context)
    client.ehlo()
    return client


def msmtp(server, mechanism, user="alice", password=None, implicit=True):
    return run(["msmtp", "--file=/dev/null", "--host=127.0.0.1",
                f"--port={server.submissions if implicit else server.submission}", "--tls=on",
                f"--tls-starttls={'off' if implicit else 'on'}", f"--tls-trust-file={server.folder}/cert.pem",
                f"--auth={mechanism}", f"--user={user}", f"--passwordeval=echo {password or PASSWORD}",
                "--from=alice@example.org", "bob@sink.example"], input=mail.message(mechanism).decode())


# ---- what is offered ----------------------------------------------------------------------------------------

def test_c5_offer(server):
    with connected(server) as client:
        assert client.esmtp_features["auth"].strip() == ALL
        for never in ["ANONYMOUS", "NTLM", "OTP", "DIGEST-MD5", "CRAM-MD5", "SCRAM-SHA-1", "GSSAPI", "EXTERNAL"]:
            assert client.docmd("AUTH", never)[0] == 504
    with smtplib.SMTP("127.0.0.1", server.submission, timeout=60) as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features


# ---- clients ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("implicit", [False, True], ids=["587", "465"])
def test_msmtp(server, implicit):
    known = len(server.captured())
    done = msmtp(server, "scram-sha-256", implicit=implicit)
    assert done.returncode == 0, done.stderr + server.tail()
    server.wait_captured(known + 1)
    assert server.events("login")[-1]["mech"] == "SCRAM-SHA-256"


def test_msmtp_wrong_password(server):
    done = msmtp(server, "scram-sha-256", password="wrong")
    assert done.returncode != 0 and "535" in done.stderr, done.stderr
    assert server.wait_event("login-failed", mech="SCRAM-SHA-256", reason="bad-password", account="alice")


def gsasl(server, mechanism, *options, port=None, user="alice", password=PASSWORD):
    """What GNU SASL's client saw, over STARTTLS; it verifies the server's proof."""
    done = run(["gsasl", "--client", "--smtp", f"--mechanism={mechanism}",
                f"--x509-ca-file={server.folder}/cert.pem", f"--connect=localhost:{port or server.submission}",
                f"--authentication-id={user}", f"--password={password}", *options], input="")
    return done.stdout + done.stderr


def test_gsasl(server):
    assert "235 2.7.0" in gsasl(server, "SCRAM-SHA-256-PLUS")
    assert server.wait_event("login", mech="SCRAM-SHA-256-PLUS")
    assert "235 2.7.0" in gsasl(server, "SCRAM-SHA-256", "--no-cb")
    assert "535 5.7.8" in gsasl(server, "SCRAM-SHA-256-PLUS", password="wrong")
    assert server.wait_event("login-failed", mech="SCRAM-SHA-256-PLUS", reason="bad-password", account="alice")


def test_python(server):
    with connected(server) as client:
        assert Scram("alice").log_in(client, "SCRAM-SHA-256")[0] == 235
        assert client.sendmail("alice@example.org", ["bob@sink.example"], mail.message("SCRAM")) == {}
    with connected(server) as client:
        assert Scram("alice@example.org").log_in(client, "SCRAM-SHA-256")[0] == 235


def test_tls_unique(server):
    with connected(server, ssl.TLSVersion.TLSv1_2) as client:
        binding = client.sock.get_channel_binding("tls-unique")
        scram = Scram("alice", header=b"p=tls-unique,,", binding=binding)
        assert scram.log_in(client, "SCRAM-SHA-256-PLUS")[0] == 235


# ---- those who attack -----------------------------------------------------------------------------------------

def test_c8_downgrade(server):
    """A client that could bind to the channel, and was told that the server cannot."""
    with connected(server) as client:
        assert Scram("alice", header=b"y,,").log_in(client, "SCRAM-SHA-256")[0] == 535
    assert server.wait_event("login-failed", mech="SCRAM-SHA-256", reason="channel-binding-downgrade", account="alice")


class Between(threading.Thread):
    """Somebody who has the server's key: one TLS session with the client, one with the server."""

    def __init__(self, server, hide):
        super().__init__(daemon=True)
        self.server, self.hide = server, hide
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        with self.listener, self.listener.accept()[0] as raw:
            raw.settimeout(60)
            for line in [b"220 mail.example.org ESMTP\r\n", b"250-mail.example.org\r\n250-STARTTLS\r\n250 X\r\n",
                         b"220 2.0.0 Go ahead\r\n"]:
                if not line.startswith(b"220 mail"):
                    while raw.recv(1) != b"\n":
                        pass
                raw.sendall(line)
            client = server_context(self.server.folder).wrap_socket(raw, server_side=True)
            address = ("127.0.0.1", self.server.submissions)
            with socket.create_connection(address, 60) as other, \
                    self.server.context().wrap_socket(other, server_hostname="localhost") as server:
                server.recv(1000)  # its greeting
                while True:
                    for ready in select.select([client, server], [], [], 60)[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        (server if ready is client else client).sendall(data.replace(self.hide, b""))


def test_c8_man_in_the_middle(server):
    seen = gsasl(server, "SCRAM-SHA-256-PLUS", port=Between(server, b" not hidden").port)
    assert "535 5.7.8" in seen, seen
    assert server.wait_event("login-failed", mech="SCRAM-SHA-256-PLUS", reason="channel-binding-mismatch")
    known = len(server.events("login-failed", reason="channel-binding-downgrade"))
    with smtplib.SMTP("127.0.0.1", Between(server, b" SCRAM-SHA-256-PLUS").port, timeout=60) as client:
        client.starttls(context=server.context())
        client.ehlo()
        assert client.esmtp_features["auth"].strip() == "PLAIN LOGIN SCRAM-SHA-256"
        assert Scram("alice", header=b"y,,").log_in(client, "SCRAM-SHA-256")[0] == 535
    assert len(server.events("login-failed", reason="channel-binding-downgrade")) == known + 1


def test_c8_other_bindings(server):
    def refused(mechanism, header, binding, version=ssl.TLSVersion.TLSv1_2):
        with connected(server, version) as client:
            unique = client.sock.get_channel_binding("tls-unique")
            scram = Scram("alice", header=header, binding=binding(unique))
            return scram.log_in(client, mechanism)[0] == 535
    assert refused("SCRAM-SHA-256-PLUS", b"p=tls-unique,,", lambda unique: bytes(len(unique)))
    assert refused("SCRAM-SHA-256-PLUS", b"p=tls-exporter,,", lambda unique: unique)
    assert refused("SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,", lambda unique: unique)
    assert refused("SCRAM-SHA-256-PLUS", b"p=tls-unique,,", lambda unique: b"", ssl.TLSVersion.TLSv1_3)
    for header in [b"n,,", b"y,,"]:
        assert refused("SCRAM-SHA-256-PLUS", header, lambda unique: b"")
    for header in [b"p=tls-unique,,", b"y,,"]:
        assert refused("SCRAM-SHA-256", header, lambda unique: b"")


def test_c3_authorization_identity(server):
    with connected(server) as client:
        assert Scram("alice", header=b"n,a=bob,").log_in(client, "SCRAM-SHA-256")[0] == 535
        assert Scram("alice", header=b"n,a=alice,").log_in(client, "SCRAM-SHA-256")[0] == 235
        assert client.docmd("MAIL", "FROM:<bob@example.org>")[0] == 553


def salt_and_rounds(client, name):
    scram = Scram(name)
    code, text = client.docmd("AUTH", f"SCRAM-SHA-256 {base64.b64encode(scram.first()).decode()}")
    assert code == 334
    parts = base64.b64decode(text).split(b",")
    answer = client.docmd(base64.b64encode(scram.final(base64.b64decode(text))).decode())
    if answer[0] == 334:
        assert client.docmd("")[0] == 235
    return parts[1], parts[2], answer


def test_c9_unknown_names_look_like_known_ones(server):
    def ask(name):
        with connected(server) as client:
            return salt_and_rounds(client, name)
    server.command("user", "disable", "bob", check=True)
    known, unknown, other, disabled = ask("alice"), ask("nobody"), ask("nobody2"), ask("bob")
    server.command("user", "enable", "bob", check=True)
    assert unknown == ask("nobody") and unknown[0] != other[0], "each name has its salt"
    assert known[1] == unknown[1] == disabled[1] and len(known[0]) == len(unknown[0])
    assert known[2][0] == 334 and unknown[2] == other[2] == disabled[2] == (535, b"5.7.8 " + TEXT)
    server.stop()
    server.start()
    assert ask("nobody")[:2] == unknown[:2] and ask("alice")[:2] == known[:2]
    failed = server.events("login-failed")
    assert {e["reason"] for e in failed if e.get("account") in ("nobody", "nobody2")} == {"unknown-user"}


def test_c4_every_login_begins_anew(server):
    with connected(server) as client:
        scram = Scram("alice")
        assert client.docmd("AUTH", f"SCRAM-SHA-256 {base64.b64encode(scram.first()).decode()}")[0] == 334
        assert client.docmd("*") == (501, b"5.7.0 Authentication cancelled")
        code, text = client.docmd("AUTH", f"SCRAM-SHA-256 {base64.b64encode(scram.first()).decode()}")
        final = base64.b64encode(scram.final(base64.b64decode(text))).decode()
        assert client.docmd("AUTH", f"PLAIN {final}")[0] != 235  # a line of the exchange, and no base64
        assert client.docmd(final)[0] == 500  # what was begun before is over
        code, text = client.docmd("AUTH", f"SCRAM-SHA-256 {base64.b64encode(scram.first()).decode()}")
        assert client.docmd(final)[0] == 535  # of an exchange before
        scram = Scram("alice")
        code, text = client.docmd("AUTH", f"SCRAM-SHA-256 {base64.b64encode(scram.first()).decode()}")
        code, text = client.docmd(base64.b64encode(scram.final(base64.b64decode(text))).decode())
        assert code == 334
        assert client.docmd("YWJj")[0] == 535  # the server's proof has no answer but an empty one
        assert client.docmd("MAIL", "FROM:<alice@example.org>")[0] == 530
        assert Scram("alice").log_in(client, "SCRAM-SHA-256")[0] == 235
        assert client.docmd("AUTH", "SCRAM-SHA-256")[0] == 503


def test_c5_default_when_an_account_cannot(server):
    """SCRAM is offered by default while every account can use it; status says who cannot."""
    def best():
        (row,) = [row for row in server.json("status") if "mechanisms" in row]
        return row["mechanisms"], row.get("mechanisms_missing")
    assert best() == (ALL, None)
    server.stop()
    store = sqlite3.connect(server.folder / "state/auth/accounts.db")
    with store:
        store.execute("UPDATE account SET verifier = '', hash = '$y$j9T$x$y' WHERE name = 'bob'")
    store.close()
    server.own()
    server.start()
    assert best()[0] == "PLAIN LOGIN" and best()[1].startswith("1 account cannot use SCRAM"), best()
    with connected(server) as client:
        assert client.esmtp_features["auth"].strip() == "PLAIN LOGIN"
        assert client.docmd("AUTH", "SCRAM-SHA-256")[0] == 504
    server.command("user", "password", "bob", input=PASSWORD + "\n", check=True)
    assert best() == (ALL, None)
    wait_for(lambda: "SCRAM-SHA-256-PLUS" in connected(server).esmtp_features["auth"], "SCRAM again")


def test_counted_and_cut_off(server):
    """A SCRAM login is a login: in the numbers of status, and gone when the password changes."""
    def numbers():
        (row,) = [row for row in server.json("status") if "logins" in row]
        return row["logins"], row["logins_failed"]
    before = numbers()
    with connected(server) as client:
        assert Scram("alice", "wrong").log_in(client, "SCRAM-SHA-256")[0] == 535
        assert Scram("alice").log_in(client, "SCRAM-SHA-256")[0] == 235
        assert numbers() == (before[0] + 1, before[1] + 1)
        server.command("user", "password", "alice", input=PASSWORD + "2\n", check=True)
        assert client.docmd("MAIL", "FROM:<alice@example.org>")[0] == 421
    with connected(server) as client:
        assert Scram("alice").log_in(client, "SCRAM-SHA-256")[0] == 535
        assert Scram("alice", PASSWORD + "2").log_in(client, "SCRAM-SHA-256")[0] == 235
    server.command("user", "password", "alice", input=PASSWORD + "\n", check=True)


def test_c14_a_proof_is_of_the_account_as_it_was(server):
    """The password changes between the verifier and the proof, or between the proof and the last answer."""
    def final(client):
        scram = Scram("alice")
        code, text = client.docmd("AUTH", f"SCRAM-SHA-256 {base64.b64encode(scram.first()).decode()}")
        assert code == 334
        return base64.b64encode(scram.final(base64.b64decode(text))).decode()
    with connected(server) as early, connected(server) as late:
        proof = final(early)
        assert late.docmd(final(late))[0] == 334
        server.command("user", "password", "alice", input=PASSWORD + "2\n", check=True)
        assert early.docmd(proof)[0] == 334
        for client in [early, late]:
            assert client.docmd("")[0] == 454
            assert client.docmd("MAIL", "FROM:<alice@example.org>")[0] == 530
    assert len(server.events("login-failed", mech="SCRAM-SHA-256", reason="account-changing")) == 2
    server.command("user", "password", "alice", input=PASSWORD + "\n", check=True)


# ---- what is configured ---------------------------------------------------------------------------------------

def cram_md5(server, text, offered):
    """Where it is configured, for passwords that were set since; with clients that others wrote."""
    server.conf.write_text(text.replace(AUTH, 'auth { mechanisms = { "PLAIN", "CRAM-MD5" }  block_after = 0 }\n'))
    server.command("reload", check=True)
    wait_for(lambda: offered() == "PLAIN CRAM-MD5", "CRAM-MD5")
    assert msmtp(server, "cram-md5").returncode != 0
    assert server.wait_event("login-failed", mech="CRAM-MD5", reason="no-verifier", account="alice")
    server.command("user", "password", "alice", input=PASSWORD + "\n", check=True)
    key = server.json("key", "add", "alice", "old-device")
    key = key if isinstance(key, dict) else key[0]

    def log_in(user, password):
        with connected(server) as client:
            client.user, client.password = user, password
            return client.auth("CRAM-MD5", client.auth_cram_md5, initial_response_ok=False)[0]

    assert log_in("alice", PASSWORD) == log_in("Alice@example.org", PASSWORD) == 235
    assert log_in("alice#old-device", key["password"]) == 235
    for user, password, reason in [("alice", "wrong", "bad-password"), ("alice", key["password"], "bad-password"),
                                   ("nobody-has-this", PASSWORD, "unknown-user"), ("bob", PASSWORD, "no-verifier")]:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            log_in(user, password)
        assert refused.value.smtp_code == 535 and TEXT in refused.value.smtp_error
        assert server.events("login-failed", mech="CRAM-MD5")[-1]["reason"] == reason
    for command in [["swaks", f"--server=127.0.0.1:{server.submissions}", "--tls-on-connect", "--auth=CRAM-MD5",
                     "--auth-user=alice", f"--auth-password={PASSWORD}", "--from=alice@example.org", "--to=b@sink.example"],
                    ["curl", "-sS", f"smtps://localhost:{server.submissions}", "--cacert", server.folder / "cert.pem",
                     "--login-options", "AUTH=CRAM-MD5", "--user", f"alice:{PASSWORD}", "--mail-from",
                     "alice@example.org", "--mail-rcpt", "b@sink.example", "-T", "-"]]:
        before = len(server.events("login", mech="CRAM-MD5"))
        done = run(command, input=mail.message("CRAM").decode())
        assert done.returncode == 0 and len(server.events("login", mech="CRAM-MD5")) == before + 1, done
    done = msmtp(server, "cram-md5")
    assert done.returncode == 0, done.stderr
    # What is kept is of no use once the mechanism is not offered, and goes with the next password.
    store = sqlite3.connect(f"file:{server.folder}/state/auth/accounts.db?mode=ro", uri=True)
    assert {row[0] for row in store.execute("SELECT scheme FROM verifier")} >= {"CRAM-MD5"}
    store.close()


def test_c5_mechanisms_of_the_configuration(server):
    def offered(port):
        with smtplib.SMTP_SSL("127.0.0.1", port, timeout=60, context=server.context()) as client:
            client.ehlo()
            return client.esmtp_features.get("auth", "").strip()
    text = server.conf.read_text()
    changed = text.replace('listen "submissions" {', 'listen "submissions" { mechanisms = { scram-sha-256, LOGIN }')
    server.conf.write_text(changed.replace(AUTH, 'auth { mechanisms = { "SCRAM-SHA-256-PLUS" } }\n'))
    server.command("reload", check=True)
    wait_for(lambda: offered(server.submissions) == "SCRAM-SHA-256 LOGIN", "the listener's own list")
    with smtplib.SMTP("127.0.0.1", server.submission, timeout=60) as client:
        client.starttls(context=server.context())
        client.ehlo()
        assert client.esmtp_features["auth"].strip() == "SCRAM-SHA-256-PLUS"
        for name in ["PLAIN", "LOGIN", "SCRAM-SHA-256"]:
            assert client.docmd("AUTH", name)[0] == 504
    server.conf.write_text(text.replace(AUTH, 'auth { mechanisms = { "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS" } }\n'))
    server.command("reload", check=True)
    wait_for(lambda: offered(server.submissions) == "PLAIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS", "SHA-1")
    (status,) = [row for row in server.json("status") if "mechanisms" in row]
    assert status["mechanisms"] == "PLAIN SCRAM-SHA-1 SCRAM-SHA-1-PLUS"
    assert "2 passwords set before SCRAM-SHA-1" in status["mechanisms_missing"]
    assert "235 2.7.0" not in gsasl(server, "SCRAM-SHA-1-PLUS")  # the password was set before
    assert server.wait_event("login-failed", mech="SCRAM-SHA-1-PLUS", reason="no-verifier", account="alice")
    server.command("user", "password", "alice", input=PASSWORD + "\n", check=True)
    assert "235 2.7.0" in gsasl(server, "SCRAM-SHA-1-PLUS")
    assert "235 2.7.0" not in gsasl(server, "SCRAM-SHA-1-PLUS", password="wrong")
    assert server.wait_event("login-failed", mech="SCRAM-SHA-1-PLUS", reason="bad-password")
    done = msmtp(server, "plain")
    assert done.returncode == 0, done.stderr
    key = server.json("key", "add", "alice", "scanner")
    key = key if isinstance(key, dict) else key[0]
    assert "235 2.7.0" in gsasl(server, "SCRAM-SHA-1-PLUS", user="alice#scanner", password=key["password"])
    (status,) = [row for row in server.json("status") if "mechanisms" in row]
    assert "1 password set before" in status["mechanisms_missing"]
    cram_md5(server, text, lambda: offered(server.submissions))
    for wrong in ["DIGEST-MD5", "NTLM", "ANONYMOUS", "PLAINS"]:
        server.conf.write_text(text.replace(AUTH, f'auth {{ mechanisms = {{ "PLAIN", "{wrong}" }} }}\n'))
        done = server.command("check")
        assert done.returncode != 0 and wrong in done.stderr and "SCRAM-SHA-256-PLUS" in done.stderr, done.stderr
    server.conf.write_text(text)
    server.command("reload", check=True)
    wait_for(lambda: offered(server.submissions) == ALL, "the default again")


def send_nonsense(server, stop, told):
    """AUTH with what is no base64, and half of what is, until the server has enough of it; then again."""
    nonsense = ["A", "=AAA", "QUI=Q", "biws\x1f", "AGFsaWNl\xff", "biwsbj1hbGljZSxy!"]
    while not stop.is_set():
        client = server.client(user=None)
        client.ehlo()
        with contextlib.suppress(smtplib.SMTPServerDisconnected):
            for n, text in enumerate(nonsense):
                told.append(client.docmd(["AUTH PLAIN", "AUTH LOGIN", "AUTH SCRAM-SHA-256"][n % 3])[0])
                if told[-1] == 334:
                    client.send(text.encode("latin-1") + b"\r\n")
                    told.append(client.getreply()[0])
        client.close()  # in the middle of whatever it was


def test_c2_bad_base64_is_the_matter_of_one_session(server):
    stop, told = threading.Event(), []
    others = [threading.Thread(target=send_nonsense, args=(server, stop, told)) for _ in range(4)]
    for other in others:
        other.start()
    try:
        wait_for(lambda: len(told) > 20, lambda: f"the first of them: {told}")
        for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"]:
            before = len(told)
            with server.client(user=None) as client:
                client.ehlo()
                if mechanism == "SCRAM-SHA-256":
                    assert Scram("alice").log_in(client, mechanism)[0] == 235
                else:
                    client.user, client.password = "alice", PASSWORD
                    client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
            wait_for(lambda: len(told) > before + 20, "more of them")
    finally:
        stop.set()
        for other in others:
            other.join()
    assert set(told) <= {334, 501, 421} and told.count(501) > 50, set(told)
