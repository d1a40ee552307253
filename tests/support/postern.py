# SPDX-License-Identifier: Apache-2.0
"""The server under test, from the staged installation of the build."""
import base64
import contextlib
import json
import os
import pwd
import re
import shutil
import smtplib
import ssl
import subprocess
import tempfile
from pathlib import Path

from .process import BUILD, PATIENCE, Process, answers, children, free_ports, name_of, run, wait_for

STAGE = BUILD / "stage/usr/local"
PROGRAM = STAGE / "bin/postern"
PROCESSES = ["smtpd", "auth", "queue", "relay", "control"]
BAD_SIGNS = ["AddressSanitizer", "LeakSanitizer", "runtime error:", "UndefinedBehaviorSanitizer", "ThreadSanitizer"]
PASSWORD = "correct horse battery"

CONF = """\
hostname = "{hostname}"
domain = "example.org"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
user_prefix = ""
{settings}
listen "mta"         {{ address = "127.0.0.1:{mta}"  tls = "starttls"  auth = "optional" }}
listen "submission"  {{ address = "127.0.0.1:{submission}"  tls = "starttls"  auth = "required" }}
listen "submissions" {{ address = "127.0.0.1:{submissions}"  tls = "implicit"  auth = "required" }}
tls {{ certificate = "{folder}/cert.pem"  key = "{folder}/key.pem" }}
log {{ format = "json" }}
limits {{ disk_reserve = 1M {limits} }}
{routes}
"""


def all_to(port, options='tls = "none"', host="127.0.0.1"):
    """Routes of a Postern: all mail goes to the server on this port."""
    return (f'relay "next" {{{{ host = "{host}:{port}"  {options} }}}}\n'
            'route "all" {{ via = "relay:next" }}')


def certificate(folder, name="mail.example.org"):
    """A self-signed P-256 certificate for name, localhost and 127.0.0.1: cert.pem and key.pem."""
    folder.mkdir(parents=True, exist_ok=True)
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True)
    return folder


def server_context(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def unprivileged():
    """Who the server runs as: root is not needed, so not root if another can reach the program."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    who = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    try:
        if subprocess.run([PROGRAM, "--version"], capture_output=True, check=False, **who).returncode == 0:
            return who
    except PermissionError:
        pass
    return {}


class Postern:
    """
    A folder of its own, three listeners on free ports, accounts alice and bob once they are added.
    settings: lines of the main section; limits: settings within limits; routes: route, relay and
    other sections; conf: the whole file instead, with {folder} and the ports to be filled in.
    """

    def __init__(self, routes='route "all" {{ via = "capture:{folder}/capture" }}', settings="", limits="",
                 conf=CONF, hostname="mail.example.org", accounts=("alice",), as_root=False, parent=None,
                 environment=None):
        self.folder = Path(tempfile.mkdtemp(prefix="postern-test-", dir=parent))
        self.who = {} if as_root else unprivileged()
        self.environment = {**os.environ, **(environment or {})}
        ports = dict(zip(["mta", "submission", "submissions"], free_ports(3)))
        self.mta, self.submission, self.submissions = ports.values()
        self.values = {**ports, "folder": self.folder, "hostname": hostname}
        self.template, self.parts = conf, {"routes": routes, "settings": settings, "limits": limits}
        self.conf = self.folder / "postern.conf"
        self.process, self.expect_deaths, self.log_start = None, False, 0
        self.secrets = set()
        certificate(self.folder)
        (self.folder / "capture").mkdir()
        self.configure()
        for account in accounts:
            self.add_account(account)

    # ---- files ----------------------------------------------------------------------------
    def configure(self, **parts):
        """Writes the configuration, with some of its parts changed."""
        self.parts.update(parts)
        # What else runs on this machine is no matter of a test, unless it says so.
        for load in ["refuse_load", "queue_load"]:
            if load not in self.parts["limits"]:
                self.parts["limits"] += f" {load} = off"
        # Nor is what a person may send: the tests send more.
        for limit in ["recipients_per_message", "recipients_per_hour", "recipients_per_day", "new_recipients_per_day"]:
            if limit not in self.parts["limits"]:
                self.parts["limits"] += f" {limit} = 0"
        filled = {name: text.format(**self.values) for name, text in self.parts.items()}
        self.conf.write_text(self.template.format(**self.values, **filled))
        self.own()

    def own(self):
        """All files belong to the user that the server runs as."""
        if self.who:
            for path in [self.folder, *self.folder.rglob("*")]:
                with contextlib.suppress(FileNotFoundError):  # a running server makes and removes files
                    os.chown(path, self.who["user"], self.who["group"], follow_symlinks=False)

    def captured(self):
        new = self.folder / "capture/new"
        return sorted(new.iterdir(), key=lambda p: p.stat().st_mtime_ns) if new.exists() else []

    def wait_captured(self, count, seconds=PATIENCE):
        wait_for(lambda: len(self.captured()) >= count,
                 lambda: f"{count} captured messages, there are {len(self.captured())}; log:\n{self.tail()}", seconds)
        return self.captured()

    # ---- the command line -------------------------------------------------------------------
    def command(self, *arguments, **options):
        if arguments[0] == "user":
            self.note_secret(options.get("input"))
        return run([PROGRAM, "-c", self.conf, *arguments], **self.who, **options)

    def note_secret(self, text):
        """It must be in none of the server's files when it stops. What is short may be there by chance."""
        text = (text or "").rstrip("\n")
        if len(text) >= 8 and "\n" not in text:
            self.secrets.add(text)

    def json(self, *arguments):
        """What a command prints with --json: one value, or one object a line."""
        done = self.command(*arguments, "--json", check=True)
        try:
            found = json.loads(done.stdout)
        except ValueError:
            return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        if isinstance(found, dict):
            self.note_secret(found.get("password"))
        return found

    def add_account(self, name, password=PASSWORD, *options):
        self.command("user", "add", name, *options, input=password + "\n", check=True)

    # ---- life -------------------------------------------------------------------------------
    def spawn(self):
        """Starts it without waiting."""
        self.process = Process([PROGRAM, "serve", "-c", self.conf], self.folder / "log", env=self.environment,
                               **self.who)
        return self

    def start(self, seconds=PATIENCE):
        self.spawn()
        self.process.wait_ready(self.ready, "postern's listeners", seconds)
        return self

    def ready(self):
        return answers(self.submission) and answers(self.mta) and answers(self.submissions, b"")

    def pid(self, name):
        """The process id of a process by its name; of smtpd the first."""
        found = self.pids(name)
        assert found, f"no process {name}; log:\n{self.tail()}"
        return found[0]

    def pids(self, name=None):
        everyone = children(self.process.pid)
        return [p for p in everyone if name is None or name_of(p) in (name, f"postern-{name}")]

    def log(self):
        return self.process.log()

    def tail(self, size=4000):
        return self.log()[-size:] if self.process else "(not started)"

    def events(self, event=None, **fields):
        """Lines of the log that are JSON, of that event, with those fields (compared as text)."""
        found = []
        for line in self.log().splitlines():
            if not line.startswith("{"):
                continue
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if (event is None or entry.get("event") == event) and \
                    all(str(entry.get(k)) == str(v) for k, v in fields.items()):
                found.append(entry)
        return found

    def wait_event(self, event, seconds=PATIENCE, **fields):
        return wait_for(lambda: self.events(event, **fields),
                        lambda: f"event {event} {fields}; log:\n{self.tail()}", seconds)[0]

    def stop(self):
        """SIGTERM: it must end with status 0, leave no process behind and no finding of a sanitizer."""
        if self.process is None:
            return
        process, self.process = self.process, None
        family = children(process.pid)
        running, log = process.running(), process.log_path
        status = process.stop(seconds=30)
        text = log.read_text(errors="replace")
        for sign in BAD_SIGNS:
            assert sign not in text, text[max(0, text.index(sign) - 200):][:6000]
        if running:
            assert status == 0, f"status {status} after SIGTERM; log:\n{text[-4000:]}"
        elif not self.expect_deaths:
            raise AssertionError(f"it ended by itself with status {status}; log:\n{text[-4000:]}")
        self.look_for_secrets(log)
        left = [p for p in family if name_of(p) in PROCESSES or name_of(p).startswith(("postern", "backend-", "agent"))]
        assert not left, f"processes left behind: {left}"
        if not self.expect_deaths:
            died = [line for line in text.splitlines() if re.search(r'"event": ?"died"', line)]
            assert not died, "\n".join([*died, "log:", text[-4000:]])

    def look_for_secrets(self, log):
        """No password that was used is in the log, the databases, or anything else that the server wrote."""
        needles = {}
        for secret in self.secrets:
            raw = secret.encode()
            # As it is, in a token of AUTH LOGIN, and in one of PLAIN, wherever in its three bytes it begins.
            needles.update({raw: secret, base64.b64encode(raw).rstrip(b"=")[:-1]: secret})
            needles.update({base64.b64encode(b"\0" * n + raw).rstrip(b"=")[4:-1]: secret for n in (1, 2)})
        places = [log, *self.folder.glob("**/core*")]
        for folder in ["state", "run", "capture"]:
            places += (self.folder / folder).rglob("*")
        for path in places:
            if not path.is_file() or path.is_symlink():
                continue
            content = path.read_bytes()
            for needle, secret in needles.items():
                assert needle not in content, f"{path} holds the password {secret!r}"

    def discard(self):
        if self.process is not None:
            self.process.kill()
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
            elif self.process is not None:
                print(f"---- log of postern ----\n{self.tail(6000)}")
        finally:
            self.discard()

    # ---- a client -----------------------------------------------------------------------------
    def context(self):
        return ssl.create_default_context(cafile=self.folder / "cert.pem")

    def client(self, user="alice", password=PASSWORD, implicit=False, port=None, tls=True):
        """A connected smtplib client, with TLS and logged in unless told otherwise."""
        if implicit:
            client = smtplib.SMTP_SSL("127.0.0.1", port or self.submissions, timeout=PATIENCE, context=self.context())
        else:
            client = smtplib.SMTP("127.0.0.1", port or self.submission, timeout=PATIENCE)
            if tls:
                client.starttls(context=self.context())
        if user:
            self.note_secret(password)
            client.login(user, password)
        return client

    def send(self, data, recipients=("bob@sink.example",), sender="alice@example.org", **how):
        client = self.client(**how)
        refused = client.sendmail(sender, list(recipients), data, ["BODY=8BITMIME"])
        client.quit()
        assert not refused, refused
