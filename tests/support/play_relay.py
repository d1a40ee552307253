# SPDX-License-Identifier: Apache-2.0
"""The relay process alone: play-queue plays master and queue. Fixtures: folder, relay, certificate."""
import hashlib
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from . import process
from .process import Process, wait_for
from .reach import unprivileged, within_reach

DELIVERED, DEFERRED, FAILED, UNCERTAIN = 1, 2, 3, 4
RECIPIENT, MESSAGE, HOST, OURS = 1, 2, 3, 4
SMALL = b"From: a@example.org\r\nSubject: small\r\n\r\n.dot\r\n..\r\n\xc3\xa4 8-bit\r\n"


# As root relay would become another user; here it is started as one.
PLAY_QUEUE, RELAY = within_reach(os.environ["PLAY_QUEUE"], os.environ["RELAY"])


class Relay:
    """lines: what play-queue said, as dictionaries with "what"."""

    def __init__(self, folder, conf, secrets=()):
        self.folder, self.lines, self.claim = folder, [], 0
        self.conf = folder / "postern.conf"
        self.write(conf)
        self.process = Process([PLAY_QUEUE, RELAY, self.conf, *secrets],
                               folder / "log", stdin=subprocess.PIPE, stdout=subprocess.PIPE, **unprivileged())
        threading.Thread(target=self._read, daemon=True).start()
        self.wait(lambda: self.of("in_flight_end") or self.of("exit"), "the start of relay")
        assert not self.of("exit"), self.log()

    def write(self, conf, name=None):
        path = self.folder / name if name else self.conf
        path.write_text(f'hostname = "mail.example.org"\nstate_dir = "{self.folder}"\n'
                        f'runtime_dir = "{self.folder}"\n{conf}')
        return path

    def _read(self):
        for line in self.process.popen.stdout:
            words = line.decode(errors="replace").split()
            entry = {"what": words[0], "raw": line}
            for word in words[1:]:
                key, _, value = word.partition("=")
                entry[key] = value.replace("\x01", " ")
            self.lines.append(entry)

    def log(self):
        return self.process.log() + "".join(str(x["raw"]) + "\n" for x in self.lines)

    def wait(self, condition, what="relay", seconds=process.PATIENCE):
        return wait_for(condition, lambda: f"{what}\n{self.log()}", seconds)

    def of(self, what, **fields):
        return [x for x in list(self.lines) if x["what"] == what
                and all(x.get(k) == str(v) for k, v in fields.items())]

    def say(self, line):
        self.process.popen.stdin.write((line + "\n").encode())
        self.process.popen.stdin.flush()

    def deliver(self, recipients, data=SMALL, how="whole", sender="alice@example.org", destination=None, **terms):
        """terms: see play_queue.c."""
        self.claim += 1
        self.say("terms " + " ".join(f"{k}={v}" for k, v in terms.items()))
        file = self.folder / f"body.{self.claim}"
        file.write_bytes(data)
        destination = destination or recipients.split(",")[0].split("@")[1]
        self.say(f"deliver {self.claim} {destination} {sender} {recipients} {file} {how}")
        return self.claim

    def result(self, claim, n=0, seconds=process.PATIENCE):
        found = self.wait(lambda: self.of("result", claim=claim, n=n), f"a result of claim {claim}", seconds)
        r = found[-1]
        return int(r["outcome"]), int(r["scope"]), int(r["code"]), r["status"], r["text"], r

    def stop(self, ms=1000):
        if self.process.running():
            self.say(f"stop {ms}")
            self.wait(lambda: self.of("exit"), "the end of relay")
        status = self.of("exit")
        self.process.kill()
        return int(status[0]["raw"].split()[1]) if status else None


@pytest.fixture
def folder():
    """A folder that the relay process may write, whoever runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="postern-relay-"))
    who = unprivileged()
    if who:
        os.chown(path, who["user"], who["group"])
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def relay(folder):
    running = []

    def start(conf, *secrets):
        running.append(Relay(folder, conf, secrets))
        return running[-1]
    yield start
    for r in running:
        assert r.stop() == 0, r.log()
        assert "Sanitizer" not in r.log() and "runtime error" not in r.log(), r.log()


@pytest.fixture(scope="session")
def certificate():
    folder = Path(tempfile.mkdtemp(prefix="postern-relay-tls-"))
    folder.chmod(0o755)
    process.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj",
                 "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    yield folder / "cert.pem", context
    shutil.rmtree(folder)


def smart(port, more="", retry="5m"):
    return (f'relay "hub" {{ host = "127.0.0.1:{port}" {more} }}\nroute "all" {{ via = "relay:hub" }}\n'
            f'queue {{ retry_first = {retry} }}\n')


def big(size, seed=b"x"):
    """Lines of changing length, some that begin with dots."""
    out, n = bytearray(b"Subject: big\r\n\r\n"), 0
    while len(out) < size:
        h = hashlib.sha256(seed + str(n).encode()).hexdigest().encode()
        out += (b"." if n % 7 == 0 else b"") + h[:n % 64] + b"\r\n"
        n += 1
    return bytes(out)


def mx_conf(zones, port, more=""):
    return f'delivery {{ resolvers = "{zones.resolver}" port = {port} allow_private = yes {more} }}\n'
