# SPDX-License-Identifier: Apache-2.0
"""What strangers do to the log: nothing (N1, N2, M8, A8, C17)."""
import base64
import configparser
import json
import os
import re
import smtplib
import socket
import struct
import subprocess
import threading

import pytest
from support import mail
from support.postern import CONF, PASSWORD, PROGRAM, Postern
from support.process import PATIENCE, ROOT, Process, run, wait_for
from support.raw import Raw
from support.sink import Sink

TEXT = CONF.replace('log {{ format = "json" }}\n', "")
# Time, process, event and level are ours; then pairs, whose values are bare or quoted.
LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [a-z]+(-\d+)? event=[a-z-]+( level=(error|warning|debug))?'
                  r'( [a-z_-]+=("(\\.|[^"\\])*"|[^\s"\\=]+))*')
PAIR = re.compile(r' ([a-z_-]+)=("(?:\\.|[^"\\])*"|[^\s"\\=]+)')
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
EVIL = {
    "crlf": b"a\r\n2026-11-25T00:00:00.000Z smtpd-0 event=login account=root",
    "escape": b"\x1b[2J\x1b]0;owned\x07",
    "bidi": "\u202euser\u2066".encode(),
    "format": b"%s%n%p%1000000d",
    "line": b'x" 2026-11-25T00:00:00.000Z smtpd-0 event=login-failed session=abc listener=mta client=198.51.100.66 ',
    "json": b'"},{"event":"login-failed","client":"198.51.100.66"',
    "not-utf8": b"\xff\xfe\xc0\x80\xed\xa0\x80",
    "long": b"A" * 65536,
}


def check_log(server, text):
    """Every line is one, parses by one expression or as JSON, is clean, and has no value over 512 bytes."""
    events = []
    for line in server.log_lines():
        assert not UNSAFE.search(line), ascii(line)
        assert len(line.encode()) < 4096
        if text:
            assert LINE.fullmatch(line), ascii(line)
            values = dict(PAIR.findall(" " + line.split(" ", 2)[2]))
        else:
            values = json.loads(line)
            assert list(values)[:4] == ["time", "process", "level", "event"], line
        for key, value in values.items():
            assert len(str(value).encode()) <= 512, (key, value)
        events.append(values)
    return events


class Logging(Postern):
    def log_lines(self):
        return self.process.log_path.read_bytes().decode("utf-8").splitlines()  # fails unless it is UTF-8


def client_hello(name):
    """A TLS hello with these bytes as the server's name."""
    sni = struct.pack(">HBH", len(name) + 3, 0, len(name)) + name
    extensions = struct.pack(">HH", 0, len(sni)) + sni + bytes.fromhex("000a00040002001d" "000d00040002" "0403")
    body = b"\3\3" + bytes(32) + b"\0" + bytes.fromhex("0004c02bc02f") + b"\1\0" + struct.pack(">H", len(extensions)) + extensions
    hello = b"\1" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\3\1" + struct.pack(">H", len(hello)) + hello


def commands(port, lines):
    """Sends each line of one session and takes a reply; the server may have enough at any time."""
    with Raw(port) as raw:
        for line in lines:
            try:
                raw.send(line + b"\r\n")
                if raw.reply().startswith("421"):
                    return
            except (EOFError, OSError):
                return


def attack(server, evil):
    one_line = evil.replace(b"\r\n", b"\n")  # CRLF ends a line for everybody: the rest is a line of its own
    for bytes_ in (evil, one_line):
        for line in [b"EHLO " + bytes_, b"HELO " + bytes_, b"MAIL FROM:<" + bytes_ + b"@x.example>",
                     b'MAIL FROM:<"' + bytes_ + b'"@x.example>', b"VRFY " + bytes_, bytes_]:
            commands(server.mta, [b"EHLO client.example", line])
        commands(server.mta, [b"EHLO client.example", b"MAIL FROM:<x@x.example>", b"RCPT TO:<" + bytes_ + b"@ours.example>",
                              b'RCPT TO:<"' + bytes_ + b'"@ours.example>', b"RCPT TO:<u@" + bytes_ + b">"])
        commands(server.mta, [b"EHLO client.example", b"MAIL FROM:<x@x.example> " + bytes_ + b"=1"])
    with Raw(server.submission) as raw:
        raw.starttls()
        for user in [evil, b"\0" + evil]:
            raw.send(b"AUTH PLAIN " + base64.b64encode(b"\0" + user[:8000] + b"\0wrong") + b"\r\n")
            assert raw.reply()[0] in "45"
        raw.command("AUTH LOGIN", 334)
        raw.send(base64.b64encode(evil[:8000]) + b"\r\n")
        if raw.reply().startswith("334"):
            raw.send(base64.b64encode(b"wrong") + b"\r\n")
            assert raw.reply()[0] in "45"
    with Raw(server.submissions, greet=False) as raw:  # SNI
        try:
            raw.send(client_hello(evil[:16000]))
            raw.socket.recv(4096)
        except OSError:
            pass


@pytest.fixture(params=[True, False], ids=["text", "json"])
def logging(request):
    answers = {"RCPT": lambda argument, _: "550 5.1.1 No <" + EVIL[argument.split("@")[0]].decode("latin-1").replace(
        "\r\n", "\n")[:3000] + "> here" if argument.split("@")[0] in EVIL else None}
    with Sink(answers=answers) as sink:
        routes = (f'relay "next" {{{{ host = "127.0.0.1:{sink.port}"  tls = "none" }}}}\n'
                  'route "ours" {{ to = "*@ours.example"  via = "capture:{folder}/capture" }}\nroute "all" {{ via = "relay:next" }}')
        with Logging(conf=TEXT if request.param else CONF, routes=routes, settings='accept_for = {{ "ours.example" }}') as server:
            yield server, request.param


def test_n1_every_line_parses_whatever_clients_and_servers_say(logging):
    server, text = logging
    for evil in EVIL.values():
        attack(server, evil)
    for name in EVIL:  # what the next hop says of a recipient comes into the log, too
        server.send(mail.message("x"), [f"{name}@sink.example"])
    wait_for(lambda: sum(bool(re.search("failed|deferred", line)) and "@sink.example" in line and
                         bool(re.search(r'^\S+ queue |^{"time":"[^"]*","process":"queue"', line)) for line in server.log_lines()) >= len(EVIL), lambda: server.tail())
    events = check_log(server, text)
    assert len(events) > 100
    if not text:
        # What strangers wrote is a value, never a key or an event.
        assert not [e for e in events if e["event"] == "login" and e.get("account") == "root"]
        assert not [e for e in events if e.get("client") == "198.51.100.66"]


def failregex(name):
    """The expression of the filter that we ship, as fail2ban reads it; the host is group 1."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "packaging/fail2ban/postern.conf")
    host = r"(?:::f{4,6}:)?([0-9a-fA-F:.]+)"  # more than fail2ban allows
    return re.compile(parser["Definition"][name].replace("<HOST>", host)), re.compile(parser["Definition"]["ignoreregex"])


def test_n2_a_user_name_that_looks_like_a_log_line_bans_nobody(logging):
    server, text = logging
    pattern, ignore = failregex("_text" if text else "_json")
    lines = [EVIL["line"], EVIL["json"], b'smtpd-0 event=login-failed session=a listener=mta client=198.51.100.66 ',
             b"\n smtpd-0 event=login-failed session=a listener=mta client=198.51.100.66 x",
             b'" client=198.51.100.66 ', b"client=198.51.100.66", b'a" reply="454 4.7.0']
    for user in lines:
        with Raw(server.submission) as raw:
            raw.starttls()
            raw.send(b"AUTH PLAIN " + base64.b64encode(b"\0" + user + b"\0wrong") + b"\r\n")
            assert raw.reply().startswith("535")
        commands(server.mta, [b"EHLO " + user.replace(b"\n", b" "), b'MAIL FROM:<"' + user.replace(b"\n", b" ") + b'"@x>'])
    server.send(mail.message("A person meanwhile"))
    wait_for(lambda: sum("login-failed" in line and "alice" not in line for line in server.log_lines()) >= len(lines), server.tail)
    banned = []
    for line in server.log_lines():
        if text:  # fail2ban takes the time off first
            line = re.sub(r"^\S+Z", "", line)
        found = pattern.search(line)
        if found and not ignore.search(line):
            banned.append(found.group(1))
    assert banned == ["127.0.0.1"] * len(lines), banned


# ---- A8: who speaks another protocol --------------------------------------------------------------
@pytest.fixture(scope="module")
def server():
    with Logging(limits="errors = 1000  bad_recipients = 0") as s:
        yield s


@pytest.mark.parametrize("name", ["mta", "submission"])
@pytest.mark.parametrize("first", [
    b"GET / HTTP/1.1\r\nHost: secret-marker\r\n\r\n", b"POST /secret-marker HTTP/1.0\r\n\r\nMAIL FROM:<a@b.example>\r\n",
    b"PUT /secret-marker HTTP/1.1\r\n\r\n", b"CONNECT secret-marker:25 HTTP/1.1\r\n\r\n", client_hello(b"secret-marker"),
    b"\xffsecret-marker\r\n"], ids=["get", "post", "put", "connect", "tls", "byte"])
def test_a8_other_protocols_get_421_and_no_echo(server, name, first):
    with Raw(getattr(server, name)) as raw:
        raw.send(first)
        got = b""
        try:
            while part := raw.socket.recv(4096):
                got += part
        except ConnectionResetError:
            pass
        assert b"secret-marker" not in got
        replies = [line[:3] for line in got.split(b"\r\n") if line]
        assert b"421" in replies or replies in ([], [b"500"]), got
        assert b"250" not in replies and b"354" not in replies, got


def test_a8_curl_over_http_learns_nothing(server):
    for port in [server.mta, server.submission]:
        done = subprocess.run(["curl", "-sS", "-m", "10", "--http0.9", "-d", "secret-marker=1", f"http://127.0.0.1:{port}/secret-marker"],
                              capture_output=True, text=True, check=False)
        assert "secret-marker" not in done.stdout and "250" not in [line[:3] for line in done.stdout.splitlines()], done


def test_a8_random_bytes_to_implicit_tls_are_not_echoed(server):
    for junk in [os.urandom(512), b"\x16\3\1" + os.urandom(300), b"secret-marker\r\n" * 10]:
        with Raw(server.submissions, greet=False) as raw:
            try:
                raw.send(junk)
                assert b"secret-marker" not in raw.socket.recv(4096)
            except ConnectionResetError:
                pass


# ---- C17 ------------------------------------------------------------------------------------------
def test_c17_no_password_is_in_the_log_however_it_was_sent(server):
    secrets = [f"Hunter2-{n}-q9Zr" for n in range(16)]
    plain = [base64.b64encode(f"\0alice\0{s}".encode()).decode() for s in secrets]
    single = [base64.b64encode(s.encode()).decode() for s in secrets]
    clear = [f"AUTH PLAIN {plain[0]}", f"AUTH PLAIN {plain[1]} x", f"AUTH PLAIN={plain[2]}", f"AUTHPLAIN {plain[3]}",
             f"AUTH  PLAIN  {plain[4]}", f"PASS {secrets[5]}", secrets[6], single[7], f"AUTH XOAUTH2 {single[8]}",
             f"AUTH CRAM-MD5 {secrets[9]}", f"USER alice {secrets[10]}", f"NOOP {secrets[11]}", f"HELP {secrets[12]}",
             f"RSET {secrets[13]}", f"DATA {secrets[14]}", f"QUIT {secrets[15]}"]
    for tls in [False, True]:
        with Raw(server.mta) as raw:
            if tls:
                raw.starttls()
            else:
                raw.command("EHLO client.example", 250)
            for line in clear:
                raw.send(line.encode() + b"\r\n")
                try:
                    if raw.reply().startswith("334"):
                        raw.command(line.split()[-1])
                except EOFError:
                    break
    with Raw(server.submission) as raw:  # broken off in the middle, and answers to nothing
        raw.starttls()
        raw.command("AUTH LOGIN", 334)
        raw.command(base64.b64encode(b"alice").decode(), 334)
        raw.send(single[0].encode() + b"\r\n" + single[1].encode() + b"\r\n" + secrets[2].encode() + b"\r\n")
        raw.closed()
    with Raw(server.submission) as raw:
        raw.starttls()
        raw.command("AUTH PLAIN", 334)
        raw.send(plain[3].encode() * 2000 + b"\r\n")  # longer than any line may be
        assert raw.reply()[0] in "45"
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.client(password=secrets[4])
    server.client().quit()
    server.wait_event("login", account="alice")
    log = server.log()
    for secret in [*secrets, *plain, *single, PASSWORD, base64.b64encode(PASSWORD.encode()).decode(),
                   base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode()]:
        assert secret not in log and secret.rstrip("=") not in log, secret


# ---- M8 -------------------------------------------------------------------------------------------
def flood(port, count):
    """So many refused commands, from sessions of 500."""
    done = 0
    while done < count:
        with Raw(port) as raw:
            raw.command("EHLO client.example", 250)
            raw.command("MAIL FROM:<x@elsewhere.example>", 250)
            line = b"RCPT TO:<" + b"u" * 60 + b"@third.example>\r\n"
            for _ in range(10):
                raw.send(line * 50)
                for _ in range(50):
                    assert raw.reply()[0] == "5"
                done += 50


def test_m8_refusals_have_so_many_lines_and_then_a_summary():
    with Logging(limits="errors = 1000  bad_recipients = 0", settings="smtpd_processes = 1") as server:
        flood(server.mta, 3000)
        for _ in range(3):  # what succeeds has its line all the same
            server.send(mail.message("Meanwhile"))
        refused = len(server.events("refused"))
        assert 1000 <= refused <= 1000 + 10 * 60, refused
        assert len(server.events("login")) == 3 == len(server.events("accepted"))
        path = server.process.log_path
        server.stop()
        events = [json.loads(line) for line in path.read_text().splitlines()]
        (left_out,) = [e for e in events if e["event"] == "left-out"]
        assert left_out["client"] == "127.0.0.1"
        refused = len([e for e in events if e["event"] == "refused"])
        assert left_out["lines"] + refused >= 3000


class Elsewhere(Logging):
    """Its standard error goes to a path of the test's choosing."""

    def spawn(self):
        self.process = Process(["sh", "-c", 'exec "$0" serve -c "$1" 2>"$2"', PROGRAM, self.conf, self.err], self.folder / "log",
                               **self.who)
        return self


def send_some(server, count=3):
    before = len(server.captured())
    for n in range(count):
        server.send(mail.message(f"Number {n}"))
    server.wait_captured(before + count)


def test_m8_log_on_a_full_disk_stops_no_mail():
    if os.geteuid() != 0:
        pytest.skip("mounting a file system of 64 KiB needs root")
    server = Elsewhere(limits="errors = 1000  bad_recipients = 0")
    disk = server.folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "tmpfs", disk], capture_output=True, check=False).returncode != 0:
        server.discard()
        pytest.skip("nothing can be mounted here")
    try:
        server.err = disk / "log"
        server.start()
        flood(server.mta, 1000)
        assert os.statvfs(disk).f_bavail == 0, "the disk is not full"
        send_some(server)
        server.err.write_bytes(b"")  # somebody makes room: the log goes on, and says that lines are missing
        server.client().quit()
        wait_for(lambda: b"lines were dropped" in server.err.read_bytes(), lambda: server.err.read_bytes()[-2000:])
        server.stop()
    finally:
        if server.process:
            server.process.kill()
            server.process = None
        run(["umount", "-l", disk], check=True)
        server.discard()


def test_m8_log_reader_that_reads_nothing_stops_no_mail():
    server = Elsewhere(limits="errors = 1000  bad_recipients = 0")
    server.err = server.folder / "pipe"
    os.mkfifo(server.err, 0o666)
    os.chmod(server.err, 0o666)
    reader = os.open(server.err, os.O_RDONLY | os.O_NONBLOCK)
    try:
        server.start()
        flood(server.mta, 2500)  # more than a pipe and what is kept for it hold
        send_some(server)
        os.set_blocking(reader, True)
        text = b""

        def drain():
            nonlocal text
            while part := os.read(reader, 65536):
                text += part
        thread = threading.Thread(target=drain, daemon=True)  # the reader wakes up
        thread.start()
        send_some(server, 1)
        wait_for(lambda: b"dropped" in text or text.count(b'"event":"accepted"') == 4, lambda: text[-2000:])
        server.stop()
        thread.join(PATIENCE)
        lines = text.decode().splitlines()
        assert all(json.loads(line) for line in lines)  # what came is whole
    finally:
        os.close(reader)
        server.discard()


def test_m8_log_reader_that_is_gone_stops_no_mail():
    server = Elsewhere(limits="errors = 1000  bad_recipients = 0")
    server.err = server.folder / "pipe"
    os.mkfifo(server.err, 0o666)
    os.chmod(server.err, 0o666)
    reader = os.open(server.err, os.O_RDONLY | os.O_NONBLOCK)
    try:
        server.start()
        os.close(reader)  # from now on writing means EPIPE, and a signal to who does not mind it
        reader = None
        flood(server.mta, 500)
        send_some(server)
        server.stop()
    finally:
        if reader is not None:
            os.close(reader)
        server.discard()


SYSLOG = CONF.replace('format = "json"', 'target = "syslog"')


def test_m8_syslog_that_dies_stops_no_mail():
    """/dev/log is a socket of this test, seen by the server alone (a mount namespace)."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespaces here")

    class Syslogging(Logging):
        def spawn(self):
            inside = f"mount -t tmpfs tmpfs /dev/shm && mount --bind {self.folder}/dev /dev && exec \"$@\""
            self.process = Process(["unshare", "--mount", "sh", "-c", inside, "sh", PROGRAM, "serve", "-c", self.conf],
                                   self.folder / "log")
            return self

    server = Syslogging(conf=SYSLOG, as_root=True, limits="errors = 1000  bad_recipients = 0")
    device = server.folder / "dev"
    device.mkdir()
    for name in ["null", "urandom", "random", "zero"]:
        (device / name).touch()
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        for name in ["null", "urandom", "random", "zero"]:
            run(["mount", "--bind", f"/dev/{name}", device / name], check=True)
        log.bind(str(device / "log"))
        log.settimeout(PATIENCE)
        server.start()
        first = log.recv(8192).decode()
        assert re.match(r"<\d+>postern\[\d+\]: [a-z]+(-\d+)? event=", first), first
        flood(server.mta, 500)  # nobody reads: the socket's queue is full
        send_some(server)
        log.close()  # nobody is there at all
        send_some(server)
        server.stop()
    finally:
        log.close()
        for name in ["null", "urandom", "random", "zero"]:
            subprocess.run(["umount", device / name], capture_output=True, check=False)
        server.discard()
