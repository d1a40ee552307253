#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The part of ./quickstart that runs the server and sends a message through it."""
import os
import pwd
import secrets
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from email.utils import format_datetime, make_msgid
from datetime import datetime, timezone
from pathlib import Path

POSTERN, ONCE = sys.argv[1], sys.argv[2] == "yes"
ROOT = Path.cwd()
RUN = ROOT / "run"
PORTS = {"mta": 2525, "submission": 2587, "submissions": 2465}

CONFIG = """\
# Made by ./quickstart: everything below run/, ports that need no root, and delivery into a folder.
hostname = "localhost.localdomain"
domain = "example.org"
state_dir = "{run}/state"
runtime_dir = "{run}/runtime"
user_prefix = ""

listen "mta"         {{ address = "127.0.0.1:2525"  tls = "starttls"  auth = "optional" }}
listen "submission"  {{ address = "127.0.0.1:2587"  tls = "starttls"  auth = "required" }}
listen "submissions" {{ address = "127.0.0.1:2465"  tls = "implicit"  auth = "required" }}
accept_for = {{ "example.org" }}

tls {{ certificate = "{run}/tls/cert.pem"  key = "{run}/tls/key.pem" }}

# Mail for everybody is kept in this folder (a Maildir) instead of being sent.
route "all" {{ via = "capture:{run}/capture" }}
"""


def fail(text):
    print(f"quickstart: {text}", file=sys.stderr)
    sys.exit(1)


def drop_root():
    """The server needs no root: run it as the owner of the checkout, or as nobody."""
    if os.geteuid() != 0:
        return None
    owner = os.stat(ROOT).st_uid
    user = pwd.getpwuid(owner) if owner != 0 else pwd.getpwnam("nobody")
    RUN.mkdir(exist_ok=True)
    for path in [RUN, *RUN.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    reach = subprocess.run([POSTERN, "--version"], user=user.pw_uid, group=user.pw_gid,
                           extra_groups=[], capture_output=True, check=False) if can_reach(user) else None
    if reach is None or reach.returncode != 0:
        print(f"Note: user {user.pw_name} cannot reach {ROOT}, so the server runs as root here.")
        for path in [RUN, *RUN.rglob("*")]:
            os.chown(path, 0, 0, follow_symlinks=False)
        return None
    return user


def can_reach(user):
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        os._exit(0 if os.access(POSTERN, os.X_OK) and os.access(RUN, os.W_OK) else 1)
    return os.waitpid(pid, 0)[1] == 0


def run_as(user):
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def prepare(user):
    (RUN / "tls").mkdir(parents=True, exist_ok=True)
    (RUN / "capture").mkdir(exist_ok=True)
    if not (RUN / "tls/cert.pem").exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "365", "-subj", "/CN=localhost.localdomain",
                        "-addext", "subjectAltName=DNS:localhost.localdomain,DNS:localhost,IP:127.0.0.1",
                        "-keyout", RUN / "tls/key.pem", "-out", RUN / "tls/cert.pem"],
                       check=True, capture_output=True)
        (RUN / "tls/key.pem").chmod(0o600)
    conf = RUN / "postern.conf"
    conf.write_text(CONFIG.format(run=RUN))
    if user:
        for path in [RUN, *RUN.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
    return conf


def check_ports():
    for name, port in PORTS.items():
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError as error:
                fail(f"port {port} ({name}) on 127.0.0.1 cannot be used: {error.strerror}. "
                     f"Is another quickstart running? 'ss -ltnp sport = :{port}' shows who has it.")


def make_account(conf, user):
    """alice, with a password that is made once and kept in run/ for the commands shown below."""
    kept = RUN / "password"
    args = [POSTERN, "-c", conf]
    listed = subprocess.run([*args, "user", "list", "--json"], capture_output=True, text=True,
                            check=False, **run_as(user))
    if kept.exists() and "alice" in listed.stdout:
        return kept.read_text().strip()
    password = secrets.token_urlsafe(15)
    verb = "password" if "alice" in listed.stdout else "add"
    done = subprocess.run([*args, "user", verb, "alice"], input=password + "\n", text=True,
                          capture_output=True, check=False, **run_as(user))
    if done.returncode != 0:
        fail(f"the account could not be made: {done.stderr.strip() or done.stdout.strip()}")
    kept.touch(mode=0o600)
    kept.write_text(password + "\n")
    return password


def start(conf, user):
    log = open(RUN / "log", "ab")
    process = subprocess.Popen([POSTERN, "serve", "-c", conf], stdout=log, stderr=log,
                               stdin=subprocess.DEVNULL, **run_as(user))
    for _ in range(200):
        if process.poll() is not None:
            tail = (RUN / "log").read_text(errors="replace").splitlines()[-8:]
            fail("the server did not start:\n  " + "\n  ".join(tail))
        try:
            with socket.create_connection(("127.0.0.1", PORTS["submission"]), 0.2) as s:
                s.settimeout(5)
                if s.recv(3) == b"220":
                    return process
        except OSError:
            pass
        time.sleep(0.05)
    process.terminate()
    fail("the server did not answer on port 2587 within 10 seconds; see run/log")


def message():
    text = [
        "From: Alice <alice@example.org>",
        "To: Bob <bob@example.net>",
        "Subject: The first message through postern",
        f"Date: {format_datetime(datetime.now(timezone.utc))}",
        f"Message-ID: {make_msgid(domain='example.org')}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "It came in over STARTTLS with a login, was on disk before the server said 250,",
        "and lies here as it was sent: dots at the start of a line,",
        ".like this", "..and this,", "and naïve UTF-8: grüße, 日本.",
        "",
    ]
    return "\r\n".join(text).encode()


def send(password, data):
    context = ssl.create_default_context(cafile=RUN / "tls/cert.pem")
    context.check_hostname = True
    with smtplib.SMTP("127.0.0.1", PORTS["submission"], timeout=30) as client:
        client._host = "localhost"  # the name that the certificate must match
        client.starttls(context=context)
        client.login("alice", password)
        client.sendmail("alice@example.org", ["bob@example.net"], data, ["BODY=8BITMIME"])


def delivered(before):
    for _ in range(200):
        new = set((RUN / "capture/new").glob("*")) - before if (RUN / "capture/new").exists() else set()
        if new:
            return new.pop()
        time.sleep(0.05)
    fail("the message was accepted but did not arrive in run/capture within 10 seconds; see run/log")


def compare(path, sent):
    """Byte for byte what was sent, with one trace header in front."""
    data = path.read_bytes()
    if not data.endswith(sent):
        return False
    trace = data[: len(data) - len(sent)]
    lines = trace.split(b"\r\n")
    return (trace.startswith(b"Received: ") and lines[-1] == b"" and
            all(line[:1] in (b" ", b"\t") for line in lines[1:-1]))


def main():
    check_ports()
    user = drop_root()
    conf = prepare(user)
    password = make_account(conf, user)
    server = start(conf, user)
    status = 1
    try:
        before = set((RUN / "capture/new").glob("*")) if (RUN / "capture/new").exists() else set()
        sent = message()
        send(password, sent)
        path = delivered(before)
        same = compare(path, sent)
        print(f"\n{path.relative_to(ROOT)}:\n")
        print(path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n"))
        if not same:
            fail("the delivered copy differs from what was sent")
        print("The delivered copy is byte for byte what was sent, plus the trace header.\n")
        status = 0
        if not ONCE:
            serve(server, password)
    finally:
        if server.poll() is None:
            server.terminate()
            try:
                ended = server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                ended = server.wait()
            if ended != 0:
                print(f"quickstart: the server ended with status {ended}; see run/log", file=sys.stderr)
                status = 1
    return status


def serve(server, password):
    rel = os.path.relpath(POSTERN)
    print(f"""postern serves on 127.0.0.1: 2587 (STARTTLS), 2465 (TLS), 2525 (for other servers).
Log: run/log. Configuration: run/postern.conf. Login: alice, password {password}

Try next, in another terminal{"" if shutil.which("swaks") else " (swaks: apt-get install swaks libnet-ssleay-perl)"}:
    swaks --server 127.0.0.1:2587 --tls --auth PLAIN --auth-user alice --auth-password '{password}' \\
          --from alice@example.org --to carol@example.net
    {rel} -c run/postern.conf status
    {rel} -c run/postern.conf queue
    {rel} -c run/postern.conf user list
    ls run/capture/new

Ctrl-C ends it.""")
    try:
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        server.wait()
        fail("the server ended; see run/log")
    except KeyboardInterrupt:
        print("\nStopping ...")


if __name__ == "__main__":
    sys.exit(main())
