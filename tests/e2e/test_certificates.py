# SPDX-License-Identifier: Apache-2.0
"""Logins by a client's certificate (EXTERNAL), over real TLS, with certificates that openssl made."""
import base64
import smtplib
import ssl

import pytest
from support import mail
from support.postern import CONF, PASSWORD, Postern, certificate
from support.process import run, wait_for
from support.raw import Raw

LISTEN = CONF.replace('listen "submissions" {{', 'listen "submissions" {{ client_ca = "{folder}/ca.pem" ') + \
    "auth {{ block_after = 0 }}\n" \
    'certificate "named" {{ certificate = "{folder}/named/cert.pem"  key = "{folder}/named/key.pem" }}\n'


class Authority:
    """A CA, and what it signs."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", self.file("key"),
                     "-out", self.file("pem"))

    def file(self, suffix, name=""):
        return self.folder / f"{name or self.name}.{suffix}"

    @staticmethod
    def openssl(*arguments):
        run(["openssl", *arguments], check=True)

    def sign(self, name, san, days=2, usage="clientAuth"):
        """Certificate and key in one file."""
        extensions = self.file("ext", name)
        extensions.write_text((f"subjectAltName={san}\n" if san else "") + f"extendedKeyUsage={usage}\n")
        self.openssl("req", "-new", *KEY, "-subj", f"/CN={name}/emailAddress=alice@example.org",
                     "-keyout", self.file("key", name), "-out", self.file("csr", name))
        self.openssl("x509", "-req", "-in", self.file("csr", name), "-CA", self.file("pem"), "-CAkey",
                     self.file("key"), "-CAcreateserial", "-days", str(days), "-extfile", extensions,
                     "-out", self.file("pem", name))
        both = self.file("both", name)
        both.write_text(self.file("pem", name).read_text() + self.file("key", name).read_text())
        return both


def rfc822_names(*names):
    """subjectAltName with just these bytes as mail addresses, which openssl itself would refuse to make."""
    body = b"".join(b"\x81" + bytes([len(name)]) + name for name in names)
    return "DER:" + (b"\x30" + bytes([len(body)]) + body).hex()


KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@pytest.fixture(scope="module")
def server():
    postern = Postern(conf=LISTEN, accounts=("alice", "bob"))
    postern.ca = Authority(postern.folder, "ca")
    postern.other = Authority(postern.folder, "other")
    certificate(postern.folder / "named", "named.example")
    postern.own()
    with postern:
        yield postern


def connected(server, file=None, version=None):
    context = server.context()
    if file:
        context.load_cert_chain(file)
    if version:
        context.maximum_version = version
    client = smtplib.SMTP_SSL("127.0.0.1", server.submissions, timeout=60, context=context)
    client.ehlo()
    return client


def offered(client):
    return client.esmtp_features["auth"].split()


def external(client, authzid=""):
    return client.docmd("AUTH", f"EXTERNAL {base64.b64encode(authzid.encode()).decode() or '='}")[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_login(server, version):
    file = server.ca.sign("alice", "email:alice@example.org")
    for authzid in ["", "alice", "Alice@Example.org"]:
        with connected(server, file, version) as client:
            assert "EXTERNAL" in offered(client)
            assert external(client, authzid) == 235
            assert client.sendmail("alice@example.org", ["bob@sink.example"], mail.message("By certificate")) == {}
            assert client.docmd("MAIL", "FROM:<bob@example.org>")[0] == 553
    assert server.events("login", mech="EXTERNAL", account="alice")
    with connected(server, file, version) as client:  # in two steps
        assert client.docmd("AUTH", "EXTERNAL")[0] == 334
        assert client.docmd("")[0] == 235


def test_curl(server):
    file, known = server.ca.sign("alice", "email:alice@example.org"), len(server.captured())
    message = server.folder / "message"
    message.write_bytes(mail.message("By curl"))
    run(["curl", "--silent", "--show-error", "--url", f"smtps://127.0.0.1:{server.submissions}", "--cacert",
         server.folder / "cert.pem", "--cert", file, "--user", "alice:", "--login-options", "AUTH=EXTERNAL",
         "--mail-from", "alice@example.org", "--mail-rcpt", "bob@sink.example", "--upload-file", message], check=True)
    server.wait_captured(known + 1)
    assert server.events("login")[-1]["mech"] == "EXTERNAL"


def test_c3_registered_by_its_fingerprint(server):
    """Of a device, whatever it is made out to; and it is nobody else's then."""
    def fingerprint(file):
        return run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", file], check=True).stdout.strip()

    def shown():
        account = server.json("user", "show", "alice")
        return account if isinstance(account, dict) else account[0]

    device, person = server.ca.sign("scanner", None), server.ca.sign("bob", "email:bob@example.org")
    stranger = server.other.sign("outside", None)
    with connected(server, device) as client:  # it is of no use so far
        assert "EXTERNAL" not in offered(client) and external(client) == 504
    for file in [device, person, stranger]:
        server.command("user", "set", "alice", "--certificate", fingerprint(file), check=True)
    assert len(shown()["certificates"].split(", ")) == 3
    assert shown()["send_as"] == "alice@example.org"  # as before
    for file in [device, person]:
        for authzid, code in [("", 235), ("alice", 235), ("bob", 535)]:
            with connected(server, file) as client:
                assert external(client, authzid) == code
    with connected(server, stranger) as client:  # its authority is not one of ours
        assert "EXTERNAL" not in offered(client)
        assert external(client) == 504
    # It is one account's at a time, and no longer than it is there.
    done = server.command("user", "set", "bob", "--certificate", fingerprint(person))
    assert done.returncode == 1 and "certificate" in done.stderr, done
    open_one = connected(server, person)
    assert external(open_one) == 235
    server.command("user", "set", "alice", "--no-certificate", fingerprint(person), check=True)
    assert open_one.docmd("NOOP")[0] == 421
    with connected(server, person) as client:
        assert external(client) == 235 and client.docmd("MAIL", "FROM:<bob@example.org>")[0] == 250
    server.command("user", "add", "gone", input=PASSWORD + "\n", check=True)
    server.command("user", "set", "gone", "--certificate", fingerprint(person), check=True)
    server.command("user", "delete", "gone", check=True)
    with connected(server, person) as client:
        assert external(client) == 235 and client.docmd("MAIL", "FROM:<bob@example.org>")[0] == 250
    for wrong in ["", "SHA256:12", "sha1 Fingerprint=" + "00:" * 19 + "00", "z" * 64]:
        done = server.command("user", "set", "alice", "--certificate", wrong or "x")
        assert done.returncode == 1 and "openssl x509" in done.stderr, done
    done = server.command("user", "set", "alice", "--no-certificate", "SHA256:" + "0" * 64)
    assert done.returncode == 1 and "certificate" in done.stderr, done
    server.command("user", "set", "alice", "--no-certificate", fingerprint(device), check=True)
    with connected(server, device) as client:
        assert external(client) == 535
    server.command("user", "set", "alice", "--no-certificate", fingerprint(stranger), check=True)
    with connected(server, device) as client:
        assert "EXTERNAL" not in offered(client)


def test_c3_only_who_is_in_it(server):
    file = server.ca.sign("alice", "email:alice@example.org")
    for authzid in ["bob", "bob@example.org", "alice@elsewhere.example", "alice#key", "root", "*"]:
        with connected(server, file) as client:
            assert external(client, authzid) == 535
            assert client.docmd("MAIL", "FROM:<alice@example.org>")[0] == 530
    several = server.ca.sign("several", "email:alice@example.org,email:bob@example.org")
    with connected(server, several) as client:
        assert external(client) == 535  # who?
        assert external(client, "carol") == 535
        assert external(client, "bob") == 235
    assert server.events("login-failed", reason="certificate-of-several-accounts")


def test_b11_only_with_a_valid_certificate(server):
    """No other is offered EXTERNAL, nor can use it; all may log in with a password."""
    files = [
        None,
        server.other.sign("stranger", "email:alice@example.org"),
        server.ca.sign("server-only", "email:alice@example.org", usage="serverAuth"),
        server.ca.sign("no-san", ""),  # the address in its subject does not count
        server.ca.sign("host", "DNS:alice.example.org,URI:mailto:alice@example.org"),
        server.ca.sign("address", "IP:127.0.0.1,DNS:*.example.org"),
        server.ca.sign("nul", rfc822_names(b"alice@example.org\0.evil.example")),
        server.ca.sign("line", rfc822_names(b"alice@example.org\r\nbob@example.org")),
        server.ca.sign("empty", rfc822_names(b"")),
        server.ca.sign("gone", "email:alice@example.org", days=-1),
    ]
    own = certificate(server.folder / "self")
    (own / "both").write_text((own / "cert.pem").read_text() + (own / "key.pem").read_text())
    for file in [*files, own / "both"]:
        with connected(server, file) as client:
            assert "EXTERNAL" not in offered(client) and "PLAIN" in offered(client), file
            assert external(client) == 504
    with connected(server, files[0]) as client:
        client.login("alice", "correct horse battery")
    nobody = server.ca.sign("nobody", "email:nobody@example.org")
    with connected(server, nobody) as client:
        assert external(client) == 535
    for n, name in enumerate(["al*ce@example.org", "*@example.org", "@example.org", "alice"]):
        with connected(server, server.ca.sign(f"strange{n}", rfc822_names(name.encode()))) as client:
            assert external(client) in (504, 535), name
            assert external(client, "alice") in (504, 535), name
    with smtplib.SMTP("127.0.0.1", server.submission, timeout=60) as client:  # it asks for none
        context = server.context()
        context.load_cert_chain(server.ca.sign("alice", "email:alice@example.org"))
        client.starttls(context=context)
        client.ehlo()
        assert "EXTERNAL" not in offered(client)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_c5_whichever_name_of_ours_is_asked_for(server, version):
    """Another certificate of ours changes nothing of whom we trust."""
    for file, code in [(server.ca.sign("alice", "email:alice@example.org"), 235),
                       (server.other.sign("stranger", "email:alice@example.org"), 504)]:
        context = ssl.create_default_context(cafile=server.folder / "named/cert.pem")
        context.maximum_version = version
        context.load_cert_chain(file)
        with Raw(server.submissions, greet=False) as raw:
            raw.socket = context.wrap_socket(raw.socket, server_hostname="named.example")
            raw.reply()
            assert ("EXTERNAL" in raw.command("EHLO client.example", 250)) == (code == 235)
            raw.command("AUTH EXTERNAL =", code)


def test_a_disabled_account(server):
    file = server.ca.sign("bob", "email:bob@example.org")
    with connected(server, file) as client:
        assert external(client) == 235
        server.command("user", "disable", "bob", check=True)
        assert client.docmd("MAIL", "FROM:<bob@example.org>")[0] == 421
    with connected(server, file) as client:
        assert external(client) == 535
    server.command("user", "enable", "bob", check=True)
    assert server.events("login-failed", mech="EXTERNAL", reason="disabled")


def test_no_ticket_brings_it_back(server):
    """A session that another authority's certificate began is not resumed."""
    context = server.context()
    context.load_cert_chain(server.ca.sign("alice", "email:alice@example.org"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with smtplib.SMTP_SSL("127.0.0.1", server.submissions, timeout=60, context=context) as client:
        client.ehlo()
        session = client.sock.session
    assert session is None or not session.has_ticket


def test_configuration(server):
    text = server.conf.read_text()
    for change, words in [(("ca.pem", "nothing.pem"), "client_ca"), (("ca.pem", "ca.key"), "no certificate")]:
        server.conf.write_text(text.replace(*change))
        done = server.command("reload")
        assert done.returncode != 0 and words in done.stderr, done.stderr
    server.conf.write_text(text.replace('tls = "implicit"', 'tls = "none"'))
    assert "client_ca is of no use" in server.command("check").stderr
    server.conf.write_text(text.replace(f'client_ca = "{server.folder}/ca.pem"', 'mechanisms = { EXTERNAL }'))
    assert "EXTERNAL needs client_ca" in server.command("check").stderr
    server.conf.write_text(text.replace("/ca.pem", "/other.pem"))
    server.command("reload", check=True)

    def strangers_are_welcome():
        with connected(server, server.folder / "stranger.both") as client:
            return "EXTERNAL" in offered(client)
    wait_for(strangers_are_welcome, "the other authority")
    server.conf.write_text(text)
    server.command("reload", check=True)
