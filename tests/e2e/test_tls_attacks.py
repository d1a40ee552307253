# SPDX-License-Identifier: Apache-2.0
"""What a man in the middle, a scanner and a client that breaks off do to TLS, against the real server."""
import base64
import contextlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from support import hello, mail
from support.postern import PASSWORD, Postern, certificate
from support.process import PATIENCE, wait_for
from support.raw import Raw

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TOKEN = base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def server():
    routes = 'route "all" {{ via = "capture:{folder}/capture" }}\ntimeouts {{ handshake = 5s }}'
    with Postern(settings='accept_for = {{ "ours.example" }}', routes=routes) as running:
        yield running


@pytest.fixture
def alive(server):
    """The server must be there, with the same processes, when the test has done its worst."""
    before = sorted(server.pids())
    yield
    with Raw(server.submission) as raw:
        raw.command("QUIT", 221)
    assert sorted(server.pids()) == before


def lax(**options):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    for name, value in options.items():
        setattr(made, name, value)
    return made


# ---- B1 to B3: around STARTTLS ----------------------------------------------------------------

@pytest.mark.parametrize("listener", ["submission", "mta"])
@pytest.mark.parametrize("behind", ["NOOP\r\n", "EHLO evil.example\r\n", "MAIL FROM:<evil@evil.example>\r\n", "\r\n", "x",
                                    "\x16\x03\x01"])
def test_b1_bytes_behind_starttls_end_the_session(server, alive, listener, behind):
    with Raw(getattr(server, listener)) as raw:
        raw.command("EHLO client.example", 250)
        raw.send("STARTTLS\r\n".encode() + behind.encode("latin-1"))
        assert raw.line() == "554 5.5.0 You spoke before it was your turn"
        assert raw.socket.recv(100) == b"", "not a word more, and no handshake"


def test_b2_nothing_said_in_clear_is_known_afterwards(server, alive):
    with Raw(server.mta) as raw:
        raw.command("EHLO chosen-by-the-middle.example", 250)
        raw.command("MAIL FROM:<someone@elsewhere.example>", 250)
        raw.command("RCPT TO:<bob@ours.example>", 250)
        raw.command("STARTTLS", 220)
        raw._wrap()
        for command in ["MAIL FROM:<someone@elsewhere.example>", "RCPT TO:<bob@ours.example>", "DATA"]:
            assert raw.command(command).startswith("503 5.5.1 "), command
        raw.command("EHLO honest.example", 250)
        assert raw.command("DATA").startswith("503 5.5.1 ")
        before = len(server.captured())
        raw.envelope("someone@elsewhere.example", "bob@ours.example")
        raw.send(mail.message(subject="b2", sender="someone@elsewhere.example") + b".\r\n")
        assert raw.reply().startswith("250 ")
    data = server.wait_captured(before + 1)[-1].read_bytes()
    assert b"honest.example" in data and b"chosen-by-the-middle" not in data


def test_b2_refusals_in_clear_still_count():
    with Postern(limits="errors = 5") as running, Raw(running.submission) as raw:
        raw.command("EHLO client.example", 250)
        for _ in range(5):
            raw.command("NONSENSE", 500)
        raw.starttls()
        assert raw.command("NONSENSE").startswith("421 4.7.0 ")


def test_b3_starttls_where_it_cannot_be(server, alive):
    with Raw(server.submission) as raw:
        assert "STARTTLS" in raw.command("EHLO client.example", 250)
        assert raw.command("STARTTLS now").startswith("501 5.5.4 ")
        assert "STARTTLS" not in raw.starttls()
        assert raw.command("STARTTLS").startswith("503 5.5.1 ")
        raw.command("AUTH LOGIN", 334)
        assert raw.command("STARTTLS")[:3] in ("501", "535", "334"), "a token, not a command"
        raw.command("*")
        raw.command("NOOP", 250)
    with Raw(server.submissions, implicit=True) as raw:
        assert "STARTTLS" not in raw.command("EHLO client.example", 250)
        assert raw.command("STARTTLS").startswith("503 5.5.1 ")


# ---- B4: replies slipped in when we are the client --------------------------------------------

class Middle:
    """Speaks for a smart host; answers STARTTLS with more than it should, and notes what comes after."""

    def __init__(self, behind):
        self.behind, self.after, self.seen = behind, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.talk(connection)

    def talk(self, connection):
        connection.settimeout(PATIENCE)
        lines = connection.makefile("rb")
        connection.sendall(b"220 isp.example ESMTP\r\n")
        try:
            for line in lines:
                if line.startswith(b"STARTTLS"):
                    connection.sendall(b"220 go ahead\r\n" + self.behind)
                    self.seen += 1
                    self.after.append(connection.recv(65536))
                    return
                connection.sendall(b"250-isp.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n"
                                   if line.startswith(b"EHLO") else b"250 ok\r\n")
        except OSError:
            return


@pytest.mark.parametrize("behind", [b"250 AUTH PLAIN\r\n", b"250-evil\r\n250 AUTH PLAIN\r\n235 ok\r\n", b"2", b"250 AUTH"])
def test_b4_replies_behind_220_end_the_delivery(behind):
    middle = Middle(behind)
    routes = ('relay "isp" {{{{ host = "127.0.0.1:{0}" user = "me" password_file = "{{folder}}/password" }}}}\n'
              'route "all" {{{{ via = "relay:isp" }}}}').format(middle.port)
    postern = Postern(routes=routes)
    (postern.folder / "password").write_text("secret-of-ours\n")
    postern.own()
    with postern:
        postern.send(mail.message())
        wait_for(lambda: middle.seen, lambda: f"a delivery; log:\n{postern.tail()}")
        deferred = postern.wait_event("deferred")
        assert "TLS" in str(deferred), deferred
        assert all(after == b"" for after in middle.after), "no handshake, no AUTH, nothing"
        assert not postern.events("delivered")
    middle.listener.close()


# ---- B5, B6: the end of TLS is the end --------------------------------------------------------

STATES = ["handshake", "greeting", "auth", "mail", "rcpt", "data", "body", "bdat", "done"]


def advance(session, state):
    """As far as the state that the connection is to be ended in."""
    reached = STATES.index(state)
    if reached >= 1:
        assert session.reply().startswith("220 ")
    if reached >= 2:
        session.command("EHLO client.example", 250)
        session.command("AUTH LOGIN", 334)
    if reached >= 3:
        session.command("*", 501)
        session.command(f"AUTH PLAIN {TOKEN}", 235)
        session.command("MAIL FROM:<alice@example.org>", 250)
    if reached >= 4:
        session.command("RCPT TO:<bob@sink.example>", 250)
    if state == "bdat":
        session.send(b"BDAT 100\r\n0123456789")
    elif reached >= 5:
        session.command("DATA", 354)
    if state in ("body", "done"):
        session.send(mail.message(subject="b5")[:-9])
    if state == "done":
        session.send(b"\r\n.\r\n")
        assert session.reply().startswith("250 ")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("clear", [b"x", b"\r\n.\r\nQUIT\r\n", b"NOOP\r\nMAIL FROM:<evil@evil.example>\r\n" * 40,
                                   b"\x17\x03\x03"], ids=["byte", "dot", "commands", "record"])
@pytest.mark.parametrize("notify", [True, False], ids=["notified", "unnotified"])
def test_b5_bytes_in_clear_where_tls_was(server, alive, state, clear, notify):
    before = len(server.captured())
    with socket.create_connection(("127.0.0.1", server.submissions), PATIENCE) as plain:
        session = hello.Layered(plain, lax())
        advance(session, state)
        if notify:
            session.close_notify()
        got = b""
        with contextlib.suppress(OSError):  # it may be gone at any point
            plain.sendall(clear)
            plain.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while part := plain.recv(65536):
                got += part
        # Records of TLS alone: what was owed, an alert; never a reply in clear.
        while len(got) >= 5 and got[0] in (20, 21, 22, 23) and got[1] == 3:
            got = got[5 + struct.unpack(">H", got[3:5])[0]:]
        assert got == b"", got
    if state == "done":
        server.wait_captured(before + 1)
    else:
        with Raw(server.submissions, implicit=True) as raw:  # a while later
            raw.command("QUIT", 221)
        assert len(server.captured()) == before
    assert "evil" not in server.log()


def files_of(server):
    return sorted(p for p in (server.folder / "state").rglob("*") if p.is_file())


def cut(server, data, reset, listener, chunk=None):
    """
    Sends the beginning of a message and breaks the connection off. chunk: by BDAT, of this size, and
    not by DATA.
    """
    ready = "rcpt" if chunk else "data"
    if listener == "mta":
        plain = socket.create_connection(("127.0.0.1", server.mta), PATIENCE)
        raw = Raw.__new__(Raw)
        raw.socket, raw.buffer = plain, b""
        raw.reply()
        raw.command("EHLO client.example", 250)
        raw.command("MAIL FROM:<cut@elsewhere.example>", 250)
        raw.command("RCPT TO:<bob@ours.example>", 250)
        if not chunk:
            raw.command("DATA", 354)
        session, plain = raw, raw.socket
    else:
        plain = socket.create_connection(("127.0.0.1", server.submissions), PATIENCE)
        session = hello.Layered(plain, lax())
        advance(session, ready)
    if chunk:
        session.send(b"BDAT %d LAST\r\n" % chunk)
    session.send(data)
    if reset:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.close()
        return
    plain.shutdown(socket.SHUT_WR)  # FIN, and no close_notify
    answer = b""
    try:
        while part := plain.recv(4096):
            answer += part
    except ConnectionError:
        pass
    plain.close()
    assert b"250 " not in answer if listener == "mta" else len(answer) < 200, answer


@pytest.mark.parametrize("listener", ["submissions", "mta"])
@pytest.mark.parametrize("chunked", [False, True], ids=["data", "bdat"])
def test_b6_a_message_cut_off_is_none(server, alive, listener, chunked):
    """
    At every 97th byte of 2 KiB and at each of the last ones, by FIN and by RST; with
    POSTERN_EVERY_BYTE set at each byte.
    """
    whole = mail.message(subject="b6", body=b"The quick brown fox jumps over the lazy dog. 0123456789\r\n" * 33)
    whole += b"" if chunked else b"\r\n.\r\n"
    assert 2000 < len(whole) < 2300
    before, files = len(server.captured()), files_of(server)
    accepted = len(server.events("accepted"))
    step = 1 if os.environ.get("POSTERN_EVERY_BYTE") else 97
    places = sorted({*range(0, len(whole), step), *range(len(whole) - 7, len(whole))})
    for n, place in enumerate(places):
        for reset in [True, False] if step == 1 or place >= len(whole) - 7 else [n % 2 == 0]:
            cut(server, whole[:place], reset, listener, len(whole) if chunked else None)
    with Raw(server.submission) as raw:
        raw.starttls()
        raw.command("QUIT", 221)
    assert len(server.events("accepted")) == accepted
    assert len(server.captured()) == before and files_of(server) == files
    assert server.json("queue", "list") in ([], {}), "nothing is queued"


def test_b6_a_large_message_cut_off_leaves_no_file(server, alive):
    files = files_of(server)
    data = mail.large(3 * 1024 * 1024)
    for reset in [False, True]:
        cut(server, data[:2 * 1024 * 1024 + 17], reset, "submissions")
    wait_for(lambda: files_of(server) == files, "the files of before")
    assert not server.events("accepted", size=str(len(data)))


# ---- B8 to B12: the handshake -----------------------------------------------------------------

def test_b8_only_forward_secret_authenticated_ciphers(server):
    """Every cipher that this OpenSSL knows, one by one, in each version that it goes with."""
    context = lax()
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    names = [c["name"] for c in context.get_ciphers() if not c["name"].startswith("TLS_")]
    assert len(names) > 60
    taken = set()
    for name in names:
        for version in [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2]:
            one = lax(minimum_version=version, maximum_version=version)
            one.set_ciphers(name + ":@SECLEVEL=0")
            with contextlib.suppress(ssl.SSLError, ConnectionError), \
                    socket.create_connection(("127.0.0.1", server.submissions), PATIENCE) as plain, \
                    one.wrap_socket(plain) as tls:
                taken.add((tls.version(), name))
                assert tls.compression() is None
    assert taken == {("TLSv1.2", n) for n in ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
                                              "ECDHE-ECDSA-CHACHA20-POLY1305"]}


def s_client(server, *options, say="QUIT\r\n", port=None):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port or server.submissions}", *options],
                          input=say.encode(), capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def test_b8_no_renegotiation_compression_early_data(server, alive):
    said = s_client(server, "-tls1_2", "-crlf", say="R\n")
    assert "RENEGOTIATING" in said and re.search(r"no renegotiation|alert|errno|error", said), said
    assert "Secure Renegotiation IS supported" in said and "Compression: NONE" in said
    messages, _ = hello.answer(server.submissions, hello.client_hello(compression=b"\1\0"))
    body = messages[hello.SERVER_HELLO]
    assert body[35 + body[34] + 2] == 0, "compression method null"
    session = server.folder / "session"
    said = s_client(server, "-tls1_3", "-sess_out", str(session), "-ign_eof")
    assert "Max Early Data: 0" in said, said
    early = server.folder / "early"
    early.write_text("EHLO early.example\r\n")
    said = s_client(server, "-tls1_3", "-sess_in", str(session), "-early_data", str(early))
    assert "Early data was accepted" not in said and "early.example" not in said, said


def test_b8_tickets_live_in_memory_only():
    """After a restart no ticket of before is worth anything, and no file could have kept its key."""
    postern = Postern()
    postern.start()
    context = lax()
    with socket.create_connection(("127.0.0.1", postern.submissions), PATIENCE) as plain:
        first = context.wrap_socket(plain)
        first.recv(512)
        session = first.session
    assert session.has_ticket
    reused = []
    for restart in [False, True]:
        if restart:
            postern.stop()
            postern.start()
        for _ in range(6):  # whichever smtpd it was: each has keys of its own
            with socket.create_connection(("127.0.0.1", postern.submissions), PATIENCE) as plain:
                again = context.wrap_socket(plain, session=session)
                again.recv(512)
                reused.append((restart, again.session_reused))
    postern.stop()
    postern.discard()
    assert (True, True) not in reused, reused


@pytest.mark.parametrize("listener", ["submissions", "submission", "mta"])
def test_b9_alpn_without_smtp_is_refused(server, alive, listener):
    def starttls(sock):
        if listener != "submissions":
            sock.recv(512)
            sock.sendall(b"EHLO a.example\r\n")
            sock.recv(512)
            sock.sendall(b"STARTTLS\r\n")
            sock.recv(512)
    for names, good in [((b"http/1.1",), False), ((b"h2", b"http/1.1"), False), ((b"imap",), False), ((b"smtp2",), False),
                        ((b"SMTP",), False), ((b"smtp",), True), ((b"h2", b"smtp"), True)]:
        messages, alert = hello.answer(getattr(server, listener), hello.client_hello(hello.alpn(*names)), before=starttls)
        assert alert == (None if good else hello.NO_APPLICATION_PROTOCOL), names
        assert (hello.SERVER_HELLO in messages) == good, names
        if good:
            assert hello.alpn(b"smtp") in messages[hello.SERVER_HELLO]
    assert server.wait_event("connect-refused", listener=listener,
                             reason="client wants another protocol than smtp (ALPN)")


@pytest.mark.parametrize("name", [b"..\\", b"../../etc/passwd", b"%n%s%x", b"$(id)", b"x" * 255, b"a" * 64 + b".example", b".",
                                  b"no.such.host.example", b"127.0.0.1", b"\xff\xfe\xfd", b"a b", b"'; DROP", b"\r\nQUIT"])
def test_b10_any_server_name_gets_the_default(server, alive, name):
    der = ssl.PEM_cert_to_DER_cert((server.folder / "cert.pem").read_text())
    messages, alert = hello.answer(server.submissions, hello.client_hello(hello.server_name(name)))
    assert alert is None and der in messages[hello.CERTIFICATE]


@pytest.mark.parametrize("name", [b"a\0b", b"mail.example.org\0.evil.example", b"", b"x" * 256])
def test_b10_what_no_server_name_can_be(server, alive, name):
    """OpenSSL ends these itself; the answer hangs on no name that is known here."""
    der = ssl.PEM_cert_to_DER_cert((server.folder / "cert.pem").read_text())
    messages, alert = hello.answer(server.submissions, hello.client_hello(hello.server_name(name)))
    assert alert is not None or der in messages[hello.CERTIFICATE]


def test_no_client_certificate_is_asked_for(server, alive):
    messages, alert = hello.answer(server.submissions, hello.client_hello())
    assert alert is None and hello.CERTIFICATE in messages and hello.CERTIFICATE_REQUEST not in messages
    said = s_client(server, "-tls1_3", "-msg")
    assert "Certificate" in said and "CertificateRequest" not in said
    # One that has one to show gets in like any other, and no further.
    folder = certificate(server.folder / "mallory", "alice")
    context = lax()
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with socket.create_connection(("127.0.0.1", server.submissions), PATIENCE) as plain:
        raw = Raw.__new__(Raw)
        raw.socket, raw.buffer = context.wrap_socket(plain), b""
        raw.reply()
        assert "EXTERNAL" not in raw.command("EHLO client.example", 250)
        raw.command("AUTH EXTERNAL =", 504)
        raw.command("MAIL FROM:<alice@example.org>", 530)
    shutil.rmtree(folder)


def test_b12_half_handshakes_hold_up_nobody_and_end(server, alive):
    begun = time.monotonic()
    parts = [b"\x16", b"\x16\x03\x01", hello.client_hello()[:40], hello.client_hello()]
    waiting = [socket.create_connection(("127.0.0.1", server.submissions), PATIENCE) for _ in range(80)]
    for n, s in enumerate(waiting):
        s.sendall(parts[n % len(parts)])
    with Raw(server.submissions, implicit=True) as raw:
        raw.command("QUIT", 221)
    with Raw(server.submission) as raw:
        raw.command("QUIT", 221)
    assert time.monotonic() - begun < 5, "before the deadline of those who wait"
    for s in waiting:
        while s.recv(65536):
            pass
        s.close()
    # Their lines are written together, when the process has done all that was due.
    wait_for(lambda: len(server.events("connect-refused", reason="the TLS handshake took too long")) >= 80, "their lines")


@pytest.mark.parametrize("listener", ["submissions", "submission"])
def test_a_client_that_does_not_trust_us_is_told_of(server, alive, listener):
    """The commonest trouble of all, in words: the certificate is self-signed, and the client says so."""
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", getattr(server, listener)), PATIENCE) as plain, \
            pytest.raises(ssl.SSLCertVerificationError):
        if listener == "submission":
            raw = Raw.__new__(Raw)
            raw.socket, raw.buffer = plain, b""
            raw.reply()
            raw.command("EHLO client.example", 250)
            raw.command("STARTTLS", 220)
        context.wrap_socket(plain, server_hostname="mail.example.org")
    server.wait_event("connect-refused", listener=listener,
                      reason="client does not trust the certificate's issuer (alert unknown CA)")
