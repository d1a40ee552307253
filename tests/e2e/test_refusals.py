# SPDX-License-Identifier: Apache-2.0
"""What is refused, and that each refusal says what to do and loses nothing."""
import os
import smtplib
import socket
import subprocess

import pytest
from support import mail
from support.postern import PASSWORD, Postern
from support.process import wait_for
from support.raw import Raw


@pytest.fixture(scope="module")
def server():
    with Postern(settings='accept_for = {{ "ours.example" }}') as running:
        yield running


def test_wrong_password(server):
    with pytest.raises(smtplib.SMTPAuthenticationError) as error:
        server.client(password="wrong")
    assert error.value.smtp_code == 535 and b"5.7.8" in error.value.smtp_error
    failed = server.wait_event("login-failed")
    assert failed["client"].startswith("127.0.0.1"), failed
    assert "wrong" not in str(failed.get("password", ""))


def test_unknown_account_looks_like_a_wrong_password(server):
    replies = []
    for user in ["alice", "nobody-of-that-name"]:
        with pytest.raises(smtplib.SMTPAuthenticationError) as error:
            server.client(user=user, password="wrong")
        replies.append((error.value.smtp_code, error.value.smtp_error))
    assert replies[0] == replies[1]


def test_no_login_without_tls(server):
    for port in [server.submission, server.mta]:
        with Raw(port) as raw:
            assert "AUTH" not in raw.command("EHLO client.example", 250)
            reply = raw.command("AUTH PLAIN AGFsaWNlAHdyb25n")
            assert reply[:3] in ("530", "538", "504", "503") and reply[4] == "5", reply
            assert raw.command("MAIL FROM:<alice@example.org>")[:3] in ("530", "250")


def test_not_logged_in(server):
    with Raw(server.submission) as raw:
        raw.command("EHLO client.example", 250)
        assert raw.command("MAIL FROM:<alice@example.org>").startswith("530 5.7.0")
        raw.command("STARTTLS", 220)
        raw._wrap()
        assert "AUTH" in raw.command("EHLO client.example", 250)
        assert raw.command("MAIL FROM:<alice@example.org>").startswith("530 5.7.0 Authentication required")


def test_relaying_denied(server):
    with Raw(server.mta) as raw:
        raw.command("EHLO client.example", 250)
        raw.command("MAIL FROM:<someone@elsewhere.example>", 250)
        assert raw.command("RCPT TO:<bob@sink.example>").startswith("550 5.7.1")
        raw.command("RCPT TO:<bob@ours.example>", 250)
    refused = server.wait_event("refused", recipient="bob@sink.example")
    assert refused["listener"] == "mta" and "550" in str(refused), refused


def test_senders_that_are_not_the_accounts(server):
    with server.client() as client:
        code, text = client.mail("boss@example.org")
        if code == 250:
            code, text = client.rcpt("bob@sink.example")
        assert code // 100 == 5, (code, text)


def test_header_from_that_is_not_the_accounts(server):
    with server.client() as client:
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.sendmail("alice@example.org", ["bob@sink.example"], mail.message(sender="boss@example.org"))
        assert error.value.smtp_code // 100 == 5
        client.noop()


def test_nothing_survives_starttls(server):
    """Commands sent along with STARTTLS in clear are not carried out after the handshake."""
    with Raw(server.submission) as raw:
        raw.command("EHLO client.example", 250)
        raw.send("STARTTLS\r\nNOOP\r\nMAIL FROM:<alice@example.org>\r\n")
        reply = raw.reply()
        if reply.startswith("220"):
            try:
                raw._wrap()
            except OSError:
                return  # it closed: as good
            raw.send("EHLO client.example\r\n")
            assert raw.reply().startswith("250-mail.example.org"), "an answer to what was injected"
        else:
            assert reply[0] in "45", reply


def test_no_old_tls(server):
    for version in ["-tls1", "-tls1_1"]:
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.submissions}", version,
                               "-cipher", "ALL:@SECLEVEL=0"], input=b"", capture_output=True, timeout=20, check=False)
        assert b"Cipher is (NONE)" in done.stdout or done.returncode != 0
    with server.client(implicit=True) as client:
        assert client.sock.version() in ("TLSv1.2", "TLSv1.3")


# ---- the start ------------------------------------------------------------------------------


def fails_to_start(server):
    """serve and check both end with status 1 and the same complaint; returns it."""
    server.spawn()
    status = server.process.popen.wait(20)
    said = server.log()
    server.process.kill()
    server.process = None
    assert status == 1, said
    return said


@pytest.fixture
def stopped():
    server = Postern()
    yield server
    server.discard()


def test_unknown_setting(stopped):
    stopped.configure(settings="hostnam = \"x.example\"\n")
    said = fails_to_start(stopped)
    line = next(n for n, t in enumerate(stopped.conf.read_text().splitlines(), 1) if t.startswith("hostnam "))
    assert f"postern.conf:{line}" in said and "hostname" in said, said
    checked = stopped.command("check")
    assert checked.returncode == 1 and f"postern.conf:{line}" in checked.stdout + checked.stderr


def test_doubled_setting(stopped):
    stopped.configure(settings='accept_for = {{ "a.example" }}\naccept_for = {{ "b.example" }}\n')
    said = fails_to_start(stopped)
    assert "accept_for" in said and "postern.conf:" in said, said


def test_setting_out_of_bounds(stopped):
    stopped.configure(limits="recipients = 0")
    said = fails_to_start(stopped)
    assert "recipients" in said and "postern.conf:" in said, said


def test_port_in_use(stopped):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stopped.submission))
        taken.listen()
        said = fails_to_start(stopped)
    assert str(stopped.submission) in said and "in use" in said, said


def test_unreadable_key(stopped):
    if os.geteuid() == 0 and not stopped.who:
        pytest.skip("root reads every key")
    os.chown(stopped.folder / "key.pem", 0, 0)
    (stopped.folder / "key.pem").chmod(0o600)
    said = fails_to_start(stopped)
    assert "key.pem" in said and "ermission" in said, said


def test_key_of_another_certificate(stopped):
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                    stopped.folder / "key.pem"], check=True)
    stopped.own()
    said = fails_to_start(stopped)
    assert "key" in said and "certificate" in said, said


def test_missing_certificate(stopped):
    (stopped.folder / "cert.pem").unlink()
    said = fails_to_start(stopped)
    assert "cert.pem" in said, said


def test_unreadable_accounts(stopped):
    if not stopped.who:
        pytest.skip("root reads every file")
    path = stopped.folder / "state/auth/accounts.db"
    os.chown(path, 0, 0)
    path.chmod(0o600)
    said = fails_to_start(stopped)
    assert "accounts.db" in said and "root" in said and "chown" in said, said


def test_two_at_once(stopped):
    """The state folder belongs to one server."""
    stopped.start()
    second = Postern()
    try:
        second.values["folder"] = stopped.folder
        second.configure()
        said = fails_to_start(second)
        assert "lock" in said or "running" in said, said
    finally:
        second.discard()
        stopped.stop()


def test_full_disk():
    """452 before DATA when the reserve is touched; once there is room mail is taken again, none is lost."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    server = Postern()
    state = server.folder / "state"
    kept = server.folder / "kept"
    state.rename(kept)
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", state], check=True)
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", state], check=True)
        server.own()
        server.configure(limits="message_size = 10M")
        server.conf.write_text(server.conf.read_text().replace("disk_reserve = 1M", "disk_reserve = 12M"))
        server.start()
        server.send(mail.message("Before"))
        server.wait_captured(1)
        filler = state / "filler"
        filler.write_bytes(b"x" * (14 << 20))

        def refused():
            with Raw(server.submission) as raw:
                raw.starttls()
                raw.login("alice", PASSWORD)
                reply = raw.command("MAIL FROM:<alice@example.org>")
                if reply.startswith("250"):
                    reply = raw.command("RCPT TO:<bob@sink.example>")
                return reply if reply.startswith("452 4.3.1") else None
        wait_for(refused, lambda: "452; " + server.tail(), 15, 0.3)
        filler.unlink()
        wait_for(lambda: not refused(), lambda: "room again; " + server.tail(), 30, 0.3)
        server.send(mail.message("After"))
        server.wait_captured(2)
        server.stop()
    finally:
        if server.process:
            print(server.tail())
            server.process.kill()
            server.process = None
        subprocess.run(["umount", "-l", state], check=True)
        server.discard()
