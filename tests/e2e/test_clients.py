# SPDX-License-Identifier: Apache-2.0
"""Mail from real clients, over STARTTLS and implicit TLS, to a real Postfix behind us."""
import smtplib

import pytest
from support import mail
from support.postern import PASSWORD, Postern, all_to
from support.postfix import Postfix
from support.process import run, wait_for


@pytest.fixture(scope="module")
def chain(unpacked):
    with Postfix(mailboxes=["sink.example"]) as postfix:
        with Postern(routes=all_to(postfix.port)) as server:
            (server.folder / "password").write_text(PASSWORD + "\n")
            yield server, postfix


def by_smtplib(server, implicit, data, _file):
    with server.client(implicit=implicit) as client:
        assert client.sendmail("alice@example.org", ["bob@sink.example"], data) == {}


def by_swaks(server, implicit, data, file):
    file.write_bytes(data[:-2])  # swaks ends the last line itself
    run(["swaks", "--server", "127.0.0.1", "--port", server.submissions if implicit else server.submission,
         "--tls-on-connect" if implicit else "--tls", "--tls-verify", "--tls-ca-path", server.folder / "cert.pem",
         "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", PASSWORD, "--from", "alice@example.org",
         "--to", "bob@sink.example", "--data", f"@{file}", "--silent", "2"], check=True)


def by_swaks_login(server, implicit, data, file):
    file.write_bytes(data[:-2])
    run(["swaks", "--server", "127.0.0.1", "--port", server.submissions if implicit else server.submission,
         "--tls-on-connect" if implicit else "--tls", "--auth", "LOGIN", "--auth-user", "alice",
         "--auth-password", PASSWORD, "--from", "alice@example.org", "--to", "bob@sink.example",
         "--data", f"@{file}", "--silent", "2"], check=True)


def by_msmtp(server, implicit, data, _file):
    run(["msmtp", "--file=/dev/null", "--host=127.0.0.1",
         f"--port={server.submissions if implicit else server.submission}", "--tls=on",
         f"--tls-starttls={'off' if implicit else 'on'}", f"--tls-trust-file={server.folder}/cert.pem", "--auth=plain",
         "--user=alice", f"--passwordeval=cat {server.folder}/password", "--from=alice@example.org",
         "bob@sink.example"], input=data.replace(b"\r\n", b"\n"), text=False, check=True)


def by_curl(server, implicit, _data, file):
    url = f"smtps://127.0.0.1:{server.submissions}" if implicit else f"smtp://127.0.0.1:{server.submission}"
    run(["curl", "--silent", "--show-error", "--url", url, "--ssl-reqd", "--cacert", server.folder / "cert.pem",
         "--user", f"alice:{PASSWORD}", "--mail-from", "alice@example.org", "--mail-rcpt", "bob@sink.example",
         "--upload-file", file], check=True)


@pytest.mark.parametrize("implicit", [False, True], ids=["587", "465"])
@pytest.mark.parametrize("client", [by_smtplib, by_swaks, by_swaks_login, by_msmtp, by_curl])
def test_client(chain, tmp_path, client, implicit):
    server, postfix = chain
    subject = f"{client.__name__} {'implicit' if implicit else 'starttls'}"
    data = mail.message(subject, body=(
        "Grüße\r\n.\r\n..\r\n.dot\r\n\r\n  indented \t\r\nlast line\r\n").encode(),
        extra="MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
    file = tmp_path / "message"
    file.write_bytes(data)
    known = set(postfix.messages())
    client(server, implicit, data, file)
    (arrived,) = wait_for(lambda: set(postfix.messages()) - known, f"{subject} at Postfix; {server.tail()}")
    fields = mail.trace_of(arrived.read_bytes(), data)
    ours = [value for name, value in fields if name == "Received" and "by mail.example.org" in value]
    assert len(ours) == 1, fields
    assert "ESMTPSA" in ours[0] and "(account alice)" in ours[0] and "127.0.0.1" not in ours[0], ours[0]
    log = server.wait_event("delivered", recipient="bob@sink.example")
    assert log


def test_every_login_is_logged(chain):
    server, _ = chain
    with server.client() as client:
        client.noop()
    login = server.events("login")[-1]
    assert login["account"] in ("alice", "alice@example.org") and login["listener"] == "submission", login
    assert PASSWORD not in server.log()


def test_many_recipients_and_messages_on_one_connection(chain):
    server, postfix = chain
    known = len(postfix.messages())
    with server.client(implicit=True) as client:
        for n in range(5):
            recipients = [f"r{n}-{i}@sink.example" for i in range(10)]
            client.sendmail("alice@example.org", recipients, mail.message(f"Round {n}"))
    assert len(postfix.wait_messages(known + 50)) == known + 50


def test_full_address_as_login_name(chain):
    server, _ = chain
    with server.client(user="alice@example.org") as client:
        client.noop()
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.client(user="alice@elsewhere.example")
