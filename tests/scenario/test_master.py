# SPDX-License-Identifier: Apache-2.0
"""master alone: all other processes but control are played by fake_child.c, which writes down what it is told."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.reach import unprivileged, within_reach  # noqa: E402

SERVE, FAKE, CONTROL = within_reach(*(os.environ[name] for name in ("SERVE", "FAKE_CHILD", "CONTROL")))
NAMES = ["queue", "auth", "relay", "control", "smtpd"]
LINKS = {("smtpd", "auth"), ("smtpd", "queue"), ("smtpd", "relay"), ("auth", "queue"), ("queue", "relay"), ("control", "auth"),
         ("control", "queue"), ("control", "relay")}
PATIENCE = 20
OP_STATUS, OP_RELOAD, OP_TLS_SHOW = 1, 2, 60

CONF = """\
hostname = "{hostname}"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
user_prefix = ""
smtpd_processes = 2
listen "submission" {{ address = "127.0.0.1:{port}"  tls = "starttls"  auth = "required" }}
tls {{ certificate = "{folder}/cert.pem"  key = "{folder}/key.pem" }}
relay "isp" {{ host = "smtp.example.net:587"  user = "dept"  password_file = "{folder}/password" }}
route "all" {{ via = "relay:isp" }}
log {{ format = "json" }}
{more}
"""


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("not in time: " + (what() if callable(what) else what))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, real_control=False):
        self.folder = Path(tempfile.mkdtemp(prefix="postern-master-"))
        self.fake = self.folder / "fake"
        self.libexec = self.folder / "libexec"
        self.port = free_port()
        self.who = unprivileged()
        self.process = self.reader = None
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notes.bind(str(self.folder / "notify"))
        self.notes.settimeout(PATIENCE)
        self.fake.mkdir()
        self.libexec.mkdir()
        for name in NAMES:
            (self.libexec / name).symlink_to(CONTROL if name == "control" and real_control else FAKE)
        self.certificate()
        (self.folder / "password").write_text("secret word\nsecond line\n")
        self.configure()

    def certificate(self, days=2, only_key=False):
        run = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                              "-nodes", "-days", str(days), "-subj", "/CN=mail.example.org",
                              "-addext", "subjectAltName=DNS:mail.example.org", "-keyout", self.folder / "key.pem",
                              "-out", "/dev/null" if only_key else self.folder / "cert.pem"],
                             capture_output=True, check=False)
        assert run.returncode == 0, run.stderr
        self.own()

    def configure(self, hostname="mail.example.org", more="", **values):
        values = {"port": self.port, "folder": self.folder, "hostname": hostname, **values}
        (self.folder / "postern.conf").write_text(CONF.format(more=more.format(**values), **values))
        self.own()

    def own(self):
        if self.who:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, self.who["user"], self.who["group"], follow_symlinks=False)

    def spawn(self):
        self.own()
        env = {**os.environ, "POSTERN_LIBEXEC": str(self.libexec), "FAKE_DIR": str(self.fake),
               "NOTIFY_SOCKET": str(self.folder / "notify")}
        # Through a pipe, as in a container: nobody may have to open anything again later.
        with open(self.folder / "log", "ab") as log:
            self.reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
        self.process = subprocess.Popen([SERVE, "-c", self.folder / "postern.conf"], stderr=self.reader.stdin,
                                        stdin=subprocess.DEVNULL, env=env, start_new_session=True, **self.who)
        self.reader.stdin.close()
        return self

    def start(self):
        self.spawn()
        assert self.notes.recv(100) == b"READY=1", self.log()
        return self

    def fails(self):
        """Starts it, and returns what it says when it ends with status 1."""
        self.spawn()
        assert self.process.wait(PATIENCE) == 1, self.log()
        self.reader.wait(PATIENCE)
        return self.log()

    def log(self):
        return (self.folder / "log").read_text()

    def logged(self, event):
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def events(self):
        path = self.fake / "events"
        return path.read_text().splitlines() if path.exists() else []

    def wait_event(self, pattern, count=1):
        def found():
            hits = [e for e in self.events() if re.search(pattern, e)]
            return hits if len(hits) >= count else None
        return wait_for(found, lambda: f"{pattern}\n" + "\n".join(self.events()) + "\n" + self.log())

    def wait_logged(self, event, count=1):
        return wait_for(lambda: (lines := self.logged(event)) and len(lines) >= count and lines,
                        lambda: f"{event}\n{self.log()}")

    def pid_of(self, name):
        for path in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            if Path(f"/proc/{path}/cmdline").read_bytes().split(b"\0")[0].decode() == "postern-" + name:
                return int(path)
        return None

    def socket_of(self, port):
        """The inode of the listening socket."""
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1] == f"0100007F:{port:04X}" and fields[3] == "0A":
                return fields[9]
        return None

    def ask(self, op, subject=b""):
        """One request to the control socket: rows, status, text."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(self.folder / "run/control.sock"))
            payload = struct.pack("<QH", 77, op) + struct.pack("<I", len(subject)) + subject
            payload += struct.pack("<II", 0, 0) + struct.pack("<I", 0) + struct.pack("<II", 0, 0)
            s.sendall(struct.pack("<IHH", len(payload), 100, 0) + payload)
            data, rows = b"", []
            while True:
                while len(data) < 8 or len(data) < 8 + struct.unpack_from("<I", data)[0]:
                    more = s.recv(65536)
                    assert more, "the control socket closed: " + self.log()
                    data += more
                size, kind, _ = struct.unpack_from("<IHH", data)
                body, data = data[8:8 + size], data[8 + size:]
                if kind == 102:
                    return rows, body[8], body[13:].decode()
                if kind == 101:
                    rows.append(fields_of(body[8:]))

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self.reader.wait(PATIENCE)
        return status

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.reader.wait(PATIENCE)
        self.notes.close()
        log = self.log() if (self.folder / "log").exists() else ""
        shutil.rmtree(self.folder)
        assert "Sanitizer" not in log and "runtime error" not in log, log


def fields_of(data):
    count, _ = struct.unpack_from("<II", data)
    at, row = 8, {}
    for _ in range(count):
        size, = struct.unpack_from("<I", data, at)
        key = data[at + 4:at + 4 + size].decode()
        at += 4 + size + 1
        size, = struct.unpack_from("<I", data, at)
        row[key] = data[at + 4:at + 4 + size].decode()
        at += 4 + size
    return row


@pytest.fixture
def server():
    it = Server()
    yield it
    it.close()


@pytest.fixture
def with_control():
    it = Server(real_control=True)
    yield it
    it.close()


def everybody():
    return [f"{name}-0" for name in NAMES] + ["smtpd-1"]


def peers_wanted():
    wanted = set()
    for one in everybody():
        for other in everybody():
            a, b = one[:-2], other[:-2]
            if (a, b) in LINKS or (b, a) in LINKS:
                wanted.add((one, other))
    return wanted


def test_start_prepares_all_then_commits_then_connects(server):
    server.start()
    server.wait_event(" peer ", len(peers_wanted()))
    events = server.events()
    last_start = max(i for i, e in enumerate(events) if " start " in e)
    first_commit = min(i for i, e in enumerate(events) if " commit " in e)
    assert last_start < first_commit
    assert {e.split("/")[0] for e in events if " commit " in e} == set(everybody())
    got = {(e.split("/")[0], e.split()[2].split("/")[0]) for e in events if " peer " in e}
    assert got == peers_wanted()
    for one in everybody():
        mine = [e.split()[1] for e in events if e.startswith(one + "/")]
        assert mine.index("commit") < mine.index("peer")
    # Each gets what it needs and nothing else.
    gets = {(e.split("-")[0], e.split()[1]) for e in events if e.split()[1] in ("listener", "identity", "secret")}
    assert gets == {("smtpd", "listener"), ("smtpd", "identity"), ("relay", "secret"), ("control", "listener")}
    assert f"smtpd-1/1 listener 0 127.0.0.1:{server.port}" in events
    assert "control-0/1 listener 65535 control" in events
    assert "relay-0/1 secret isp 11" in events
    assert server.wait_logged("start")[0]["processes"] == 6
    assert (server.folder / "state/lock").read_text() == f"{server.process.pid}\n"
    for name, mode in (("queue", 0o700), ("auth", 0o700)):
        assert (server.folder / "state" / name).stat().st_mode & 0o7777 == mode


def test_stop_in_order(server):
    server.start()
    assert server.stop() == 0
    assert server.notes.recv(100) == b"STOPPING=1"
    ends = [e.split("-")[0] for e in server.events() if " shutdown" in e]
    assert sorted(ends) == sorted([*NAMES, "smtpd"])
    last = max(ends.index("relay"), len(ends) - 1 - ends[::-1].index("smtpd"))
    assert all(ends.index(name) > last for name in ("queue", "auth", "control"))
    assert not (server.folder / "run/control.sock").exists()
    assert not server.logged("died")


def test_dead_process_is_back_with_new_channels(server):
    server.start()
    server.wait_event(" peer ", len(peers_wanted()))
    before = time.monotonic()
    os.kill(server.pid_of("queue"), signal.SIGKILL)
    server.wait_event("^queue-0/2 peer ", 5)
    assert time.monotonic() - before < 5
    for other in ("auth-0/1", "relay-0/1", "control-0/1", "smtpd-0/1", "smtpd-1/1"):
        server.wait_event(f"^{other} peer queue-0/2$")
        server.wait_event(f"^queue-0/2 peer {other}$")
    assert "signal 9" in server.wait_logged("died")[0]["how"]
    # Both ends of a link die at once.
    os.kill(server.pid_of("queue"), signal.SIGKILL)
    os.kill(server.pid_of("auth"), signal.SIGKILL)
    server.wait_event("^auth-0/2 peer queue-0/3$")
    server.wait_event("^queue-0/3 peer auth-0/2$")
    assert server.stop() == 0


def test_process_that_sends_what_it_must_not_is_ended(server):
    (server.fake / "misbehave-auth").touch()
    server.start()
    # Killed, unless it saw its channel end first.
    assert server.wait_logged("died", 2)[1]["how"] in ("signal 9 (Killed)", "exit status 0")
    assert any("auth sent what it must not" in line["text"] for line in server.logged("note"))
    (server.fake / "misbehave-auth").unlink()
    last = len(server.logged("died")) + 2
    server.wait_event(f"^queue-0/1 peer auth-0/{last - 1}$|^queue-0/1 peer auth-0/{last}$")
    # Nobody else was touched, and nothing was reloaded.
    assert {line["process"] for line in server.logged("died")} == {"auth"}
    assert not server.logged("reload")
    assert server.stop() == 0


def test_reload_is_all_or_nothing(server):
    server.start()
    socket_before = server.socket_of(server.port)
    assert socket_before
    (server.fake / "refuse-relay").touch()
    server.configure(hostname="new.example.org")
    server.process.send_signal(signal.SIGHUP)
    refused = server.wait_logged("reload")[0]
    assert refused["result"] == "refused" and "relay: the test wants relay to refuse" in refused["reason"]
    assert not [e for e in server.events() if "commit new.example.org" in e]
    (server.fake / "refuse-relay").unlink()
    other = free_port()
    server.configure(hostname="newer.example.org", other=other,
                     more='listen "more" {{ address = "127.0.0.1:{other}" }}')
    server.process.send_signal(signal.SIGHUP)
    assert server.wait_logged("reload", 2)[1]["result"] == "done"
    server.wait_event("commit newer.example.org", 6)
    assert server.socket_of(server.port) == socket_before
    assert server.socket_of(other)
    # And away again; the kept one is still the same.
    server.configure(hostname="newest.example.org")
    server.process.send_signal(signal.SIGHUP)
    server.wait_event("commit newest.example.org", 6)
    wait_for(lambda: server.socket_of(other) is None, "the socket to be closed")
    assert server.socket_of(server.port) == socket_before
    # One that is started later has the new one.
    os.kill(server.pid_of("auth"), signal.SIGKILL)
    server.wait_event("^auth-0/2 commit newest.example.org$")
    assert server.stop() == 0


def test_death_during_reload_refuses_it(server):
    server.start()
    relay = server.pid_of("relay")
    os.kill(relay, signal.SIGSTOP)
    server.configure(hostname="new.example.org")
    server.process.send_signal(signal.SIGHUP)
    server.wait_event("^queue-0/1 prepare new.example.org")
    os.kill(relay, signal.SIGKILL)
    assert "relay" in server.wait_logged("reload")[0]["reason"]
    server.wait_event("^queue-0/1 rollback")
    server.wait_event("^relay-0/2 commit mail.example.org")
    assert not [e for e in server.events() if "commit new.example.org" in e]
    assert server.stop() == 0


def test_certificate_renewed(server):
    server.start()
    size = (server.folder / "cert.pem").stat().st_size
    assert [e for e in server.events() if e.startswith(f"smtpd-0/1 identity {size} ")]
    server.certificate(only_key=True)
    server.process.send_signal(signal.SIGHUP)
    assert "does not belong" in server.wait_logged("reload")[0]["reason"]
    server.certificate(days=300)
    server.process.send_signal(signal.SIGHUP)
    assert server.wait_logged("reload", 2)[1]["result"] == "done"
    assert server.stop() == 0


def test_operator(with_control):
    server = with_control.start()
    rows, status, _ = server.ask(OP_TLS_SHOW)
    printed = subprocess.run(["openssl", "x509", "-in", server.folder / "cert.pem", "-noout", "-fingerprint",
                              "-sha256"], capture_output=True, text=True, check=True).stdout
    assert status == 0 and printed.strip().split("=")[1] == rows[0]["fingerprint"]
    os.kill(server.pid_of("queue"), signal.SIGKILL)
    server.wait_event("^queue-0/2 commit")
    (server.folder / "postern.conf").write_text("hostname = 1\nhostnam = 2\n")
    rows, status, text = server.ask(OP_RELOAD)
    assert status == 1
    assert re.match(r"reload refused, still running the configuration of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: .*"
                    r"postern.conf:\d", text), text
    server.configure(hostname="new.example.org")
    rows, status, text = server.ask(OP_RELOAD)
    assert status == 0 and "in force" in text
    server.configure(hostname="new.example.org", more='domain = "example.org"')
    (server.folder / "postern.conf").write_text(
        (server.folder / "postern.conf").read_text().replace("smtpd_processes = 2", "smtpd_processes = 3"))
    rows, status, text = server.ask(OP_RELOAD)
    assert status == 0 and "smtpd_processes" in text and "restart" in text
    assert server.stop() == 0


def test_clear_words_when_it_cannot_start(server):
    conf = server.folder / "postern.conf"
    good = conf.read_text()

    conf.write_text(good.replace("smtpd_processes", "smtpd_proceses"))
    text = server.fails()
    assert f"{conf}:5:" in text and "smtpd_processes" in text

    conf.write_text(good)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        text = server.fails()
    assert f"127.0.0.1:{server.port}: address already in use" in text and "ss -ltnp" in text

    (server.folder / "key.pem").chmod(0)
    text = server.fails()
    assert "key.pem" in text and "mode 0000" in text and "mend it with" in text
    server.certificate()
    (server.folder / "key.pem").chmod(0o600)

    if server.who and int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 25:
        conf.write_text(good.replace(f":{server.port}", ":25"))
        assert "only root may listen on ports below 1024" in server.fails()

    conf.write_text(good)
    (server.fake / "refuse-start-auth").touch()
    assert "postern: auth: the test wants auth to refuse" in server.fails()
    (server.fake / "refuse-start-auth").unlink()

    (server.libexec / "relay").unlink()
    assert "relay" in server.fails()
    # Nothing is left behind.
    assert server.socket_of(server.port) is None


def test_second_server_is_told_of_the_first(server):
    server.start()
    first = server.process
    server.port = free_port()
    server.configure()
    reader = server.reader
    text = server.fails()
    server.process, server.reader = first, reader
    assert f"postern is already running as pid {first.pid} (lock {server.folder}/state/lock)" in text
    assert server.stop() == 0
