# SPDX-License-Identifier: Apache-2.0
"""smtpd alone, with a test in the place of master, auth and queue; and a client that types."""
import json
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

from channels import PATIENCE, ROLES, Channel, Doorkeeper

BAD_SIGNS = ["AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehaviorSanitizer"]
STORED, NO_GRANT, BAD_SENDER, BAD_RECIPIENT, OVER_BUDGET, DISK_FULL, STORE_ERROR, STORE_UNSURE, BAD_MESSAGE = range(1, 10)
PLAIN = "AGFsaWNlAHNlY3JldA=="  # \0alice\0secret

CONF = """
hostname = "mail.example.org"
domain = "example.org"
state_dir = "{folder}"
runtime_dir = "{folder}"
user_prefix = ""
smtpd_processes = 1
accept_for = {{ "example.org", "*.ours.example" }}
listen "mta"         {{ address = "127.0.0.1:25"   tls = "starttls"  auth = "optional" }}
listen "submission"  {{ address = "127.0.0.1:587"  tls = "starttls"  auth = "required" }}
listen "submissions" {{ address = "127.0.0.1:465"  tls = "implicit"  auth = "required"  etrn = yes }}
tls {{ certificate = "{folder}/cert.pem"  key = "{folder}/key.pem" }}
log {{ format = "json" }}
{settings}
route "all" {{ via = "capture:{folder}/capture" }}
"""
LISTENERS = ["mta", "submission", "submissions"]
CLEAR, TLS, TLS_BINDING = 0, 1, 3  # traits of a session


def offers(mechanisms):
    """The same for all sessions of all listeners."""
    return [{"listener": listener, "traits": traits, "mechanisms": mechanisms}
            for listener in LISTENERS for traits in (CLEAR, TLS, TLS_BINDING)]


class Server:
    def __init__(self, program, encoder, settings="", ready=True):
        self.folder = Path(tempfile.mkdtemp(prefix="postern-smtpd-"))
        self.encoder, self.settings, self.generation = encoder, settings, 1
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=mail.example.org", "-keyout", self.folder / "key.pem",
                        "-out", self.folder / "cert.pem"], check=True, capture_output=True)
        # The process gives no rights away that it does not have: as root it would want a user of its own.
        who = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            self.folder.chmod(0o755)
            program = shutil.copy(program, self.folder)
        self.log_file = open(self.folder / "log", "w+b")
        self.sockets, self.ports = [], {}
        self.listen()
        self.master = Channel()
        child = self.master.theirs.fileno()
        self.process = subprocess.Popen([program, "--index", "0", "--incarnation", "7"], stderr=self.log_file,
                                        preexec_fn=lambda: os.dup2(child, 3), pass_fds=[3], stdin=subprocess.DEVNULL,
                                        **who)
        self.master.give()
        self.next_key, self.queue_incarnation = 1000, 0
        self.auth = self.queue = None
        if ready:
            self.configure()
            self.start_auth()
            self.start_queue()

    # ---- master -----------------------------------------------------------------------------
    def listen(self):
        for name in LISTENERS:
            s = socket.create_server(("127.0.0.1", 0), backlog=64)
            s.setblocking(False)
            self.sockets.append(s)
            self.ports[name] = s.getsockname()[1]

    def encoded(self):
        conf = self.folder / "postern.conf"
        conf.write_text(CONF.format(folder=self.folder, settings=self.settings))
        return subprocess.run([self.encoder, conf], check=True, capture_output=True).stdout

    def prepare(self):
        for index, s in enumerate(self.sockets[-len(LISTENERS):]):
            self.master.send("LISTENER", fd=s.fileno(), generation=self.generation, index=index,
                             address="127.0.0.1:%d" % s.getsockname()[1])
        self.master.send("IDENTITY", generation=self.generation, name="",
                         certificate=(self.folder / "cert.pem").read_bytes(),
                         key=(self.folder / "key.pem").read_bytes())
        self.master.send("PREPARE", generation=self.generation, config=self.encoded())

    def configure(self):
        if self.generation == 1:
            assert self.master.expect("HELLO").version == 1
        self.prepare()
        prepared = self.master.expect("PREPARED")
        assert prepared.ok, prepared.error
        self.master.send("COMMIT", generation=self.generation)
        self.generation += 1

    def peer(self, role, incarnation, **options):
        channel = (Doorkeeper if role == "auth" else Channel)(**options)
        self.master.send("PEER", fd=channel.theirs.fileno(), role=ROLES[role], index=0, incarnation=incarnation)
        channel.give()
        return channel

    def start_auth(self, standing=900, mechanisms="PLAIN LOGIN", admits=True):
        self.auth = self.peer("auth", 1, admits=admits)
        self.auth.send("AUTH_OFFER", offers=offers(mechanisms), standing_grant=standing)

    def start_queue(self, keys=1000, ok=True, largest=1 << 40, **options):
        self.queue_incarnation += 1
        self.queue = self.peer("queue", self.queue_incarnation, **options)
        self.queue.send("KEYS", first=self.next_key, count=keys)
        self.next_key += keys
        self.queue.send("ACCEPTING", ok=ok, code=452, status="4.3.1", text="The disk is full", largest=largest)

    def synced(self):
        self.auth.send("GRANTS_SYNCED", queue_incarnation=self.queue_incarnation)

    def kill_queue(self):
        self.queue.close()
        self.queue = None

    def stop(self):
        if self.process.poll() is None:
            self.master.send("SHUTDOWN", within_in_ms=2000)
        status = self.process.wait(PATIENCE)
        for channel in (self.master, self.auth, self.queue):
            if channel is not None:
                channel.close()
        for s in self.sockets:
            s.close()
        text = self.log_text()
        self.log_file.close()
        for sign in BAD_SIGNS:
            assert sign not in text, text
        assert status == 0, f"status {status}:\n{text}"
        shutil.rmtree(self.folder)

    # ---- what happened ------------------------------------------------------------------------
    def log_text(self):
        return (self.folder / "log").read_text(errors="replace")

    def events(self, name):
        lines = [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def wait_event(self, name, count=1):
        until = time.monotonic() + PATIENCE
        while len(self.events(name)) < count:
            assert time.monotonic() < until, f"no event {name} in the log:\n{self.log_text()}"
            time.sleep(0.02)
        return self.events(name)[-1]

    def rss(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    # ---- clients ------------------------------------------------------------------------------
    def client(self, listener="submission", login=None, greet=True):
        """login: the patterns of the account; TLS is turned on for that."""
        client = Client(self.ports[listener], implicit=listener == "submissions")
        if greet:
            client.expect(220)
        if login is not None:
            if listener != "submissions":
                client.starttls()
            client.command("EHLO client.example", 250)
            self.login(client, login)
        return client

    def login(self, client, senders=("alice@example.org",), grant=5):
        client.send(f"AUTH PLAIN {PLAIN}\r\n")
        start = self.auth.expect("AUTH_START")
        self.auth.send("AUTH_OK", session=start.session, grant=grant, account="alice", mechanism="PLAIN",
                       address="alice@example.org", senders=[{"text": s} for s in senders])
        client.expect(235)
        return start


class Client:
    def __init__(self, port, implicit=False):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.lines = b""
        if implicit:
            self.wrap()

    def wrap(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def starttls(self):
        self.command("EHLO before.example", 250)
        self.command("STARTTLS", 220)
        self.wrap()

    def send(self, text):
        self.socket.sendall(text.encode("latin-1") if isinstance(text, str) else text)

    def reply(self, seconds=PATIENCE):
        """A whole reply: its text. "" when the server closed."""
        self.socket.settimeout(seconds)
        out = ""
        while True:
            while b"\r\n" not in self.lines:
                try:
                    data = self.socket.recv(65536)
                except (ConnectionResetError, ssl.SSLError):
                    data = b""
                if not data:
                    assert not self.lines, self.lines
                    return ""
                self.lines += data
            line, self.lines = self.lines.split(b"\r\n", 1)
            out += line.decode() + "\n"
            if line[3:4] != b"-":
                return out

    def expect(self, start, seconds=PATIENCE):
        got = self.reply(seconds)
        assert got.startswith(str(start)), f"{got!r} instead of {start}"
        return got

    def command(self, line, start):
        self.send(line + "\r\n")
        return self.expect(start)

    def envelope(self, sender="alice@example.org", recipients=("bob@example.net",)):
        self.command(f"MAIL FROM:<{sender}>", 250)
        for recipient in recipients:
            self.command(f"RCPT TO:<{recipient}>", 250)
        self.command("DATA", 354)

    def closed(self, seconds=PATIENCE):
        got = self.reply(seconds)
        assert got == "", f"{got!r} instead of the end"

    def close(self):
        self.socket.close()
