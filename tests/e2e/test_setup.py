# SPDX-License-Identifier: Apache-2.0
"""postern setup: what it makes, what it leaves alone; as anybody in a folder, and as root on a machine."""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.postern import PROGRAM, unprivileged
from support.process import run

HOST = "mail.example.org"
# The system's folders are copies and empty ones that only this command sees; nothing else is there to serve.
MACHINE = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {scratch}
cp -a /etc {scratch}/etc
mount --bind {scratch}/etc /etc
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /run
rm -rf /etc/postern
{script}
"""


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="postern-setup-"))
    who = unprivileged()
    if who:
        os.chown(path, who["user"], who["group"])
    yield path
    shutil.rmtree(path, ignore_errors=True)


def setup(folder, *arguments, host=HOST):
    return run([PROGRAM, "setup", "--yes", host, "--root", folder, *arguments], **unprivileged())


def fingerprint(certificate):
    done = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"],
                          check=True, capture_output=True, text=True)
    return done.stdout.strip().split("=", 1)[1]


def test_in_a_folder(folder):
    if os.geteuid() == 0 and not unprivileged():
        pytest.skip("another user cannot reach the program")
    done = setup(folder, "--user", "alice")
    assert done.returncode == 0, done.stderr
    etc = folder / "etc/postern"
    assert fingerprint(etc / "tls/cert.pem") in done.stdout
    assert (etc / "tls/key.pem").stat().st_mode & 0o777 == 0o600
    assert re.search(r"587 465", done.stdout)
    text = (etc / "postern.conf").read_text()
    assert f'hostname = "{HOST}"' in text and "# message_size = 50M" in text
    unit = (folder / "etc/systemd/system/postern.service").read_text()
    assert f"ExecStart={Path(PROGRAM).resolve()} serve" in unit and "@" not in unit.replace("@system-service", "")
    password = re.search(r"^password: (\S+)$", done.stdout, re.M).group(1)

    def command(*arguments, **options):
        return run([PROGRAM, "-c", etc / "postern.conf", *arguments], **unprivileged(), **options)

    assert command("user", "test", "alice", input=password + "\n").returncode == 0
    assert command("user", "test", "alice", input=password + "x\n").returncode == 1
    for path in folder.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path
    assert fingerprint(etc / "tls/cert.pem") in command("tls", "show").stdout


def test_nothing_is_overwritten(folder):
    if os.geteuid() == 0 and not unprivileged():
        pytest.skip("another user cannot reach the program")
    assert setup(folder).returncode == 0
    conf, cert = folder / "etc/postern/postern.conf", folder / "etc/postern/tls/cert.pem"
    before, certificate = conf.read_text(), cert.read_text()
    again = setup(folder, host="other.example.org")
    assert again.returncode == 1 and "--force" in again.stderr, again
    assert conf.read_text() == before
    forced = setup(folder, "--force", host="other.example.org")
    assert forced.returncode == 0 and "there already" in forced.stdout, forced
    assert "other.example.org" in conf.read_text()
    assert cert.read_text() == certificate


def test_wrong_usage(folder):
    done = run([PROGRAM, "setup", HOST, "--root", folder], **unprivileged())
    assert done.returncode == 2 and "--yes" in done.stderr
    done = setup(folder, host='x" state_dir = "/')
    assert done.returncode == 1 and "host name" in done.stderr
    assert list(folder.iterdir()) == []


def on_a_machine(script):
    """Runs a shell script as root on what looks like a fresh machine, its network included."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    probe = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("no namespaces here")
    scratch = tempfile.mkdtemp(prefix="postern-machine-")
    try:
        return run(["unshare", "--mount", "--net", "sh", "-c", MACHINE.format(scratch=scratch, script=script)],
                   timeout=120)
    finally:
        os.rmdir(scratch)


def test_as_root():
    done = on_a_machine(f"""
{PROGRAM} setup --yes {HOST} --user alice
stat -c '%U %a %n' /etc/postern/tls/key.pem /var/lib/postern/auth /var/lib/postern/queue /var/lib/postern/auth/*
{PROGRAM} user list
{PROGRAM} check
{PROGRAM} setup --yes {HOST} --user alice --force
getent passwd postern-smtpd postern-auth postern-queue postern-relay postern-control | wc -l
""")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "root 600 /etc/postern/tls/key.pem" in done.stdout
    assert "postern-auth 700 /var/lib/postern/auth\n" in done.stdout
    assert "postern-queue 700 /var/lib/postern/queue\n" in done.stdout
    assert "postern-auth 600 /var/lib/postern/auth/accounts.db" in done.stdout
    assert "alice@mail.example.org" in done.stdout and "postern.conf is good" in done.stdout
    assert done.stdout.count("password: ") == 1 and "alice (there already)" in done.stdout
    assert done.stdout.rstrip().endswith("\n5"), done.stdout


def test_what_setup_made_starts():
    """On the real ports, as root, each process its own user; systemd would start it just so."""
    done = on_a_machine(f"""
trap 'cat /run/log >&2' EXIT
ip link set lo up || ifconfig lo up
{PROGRAM} setup --yes {HOST} --user alice
{PROGRAM} serve 2>/run/log &
server=$!
for n in $(seq 200); do {PROGRAM} status >/run/status 2>&1 && break; sleep 0.1; done
cat /run/status
openssl s_client -connect 127.0.0.1:587 -starttls smtp -brief </dev/null 2>&1 || true
kill $server
wait $server
""")
    assert done.returncode == 0, done.stdout + done.stderr
    for process in ["master", "auth", "queue", "relay"]:
        assert re.search(rf"^{process}\b", done.stdout, re.M), done.stdout + done.stderr
    assert "CONNECTION ESTABLISHED" in done.stdout, done.stdout + done.stderr
