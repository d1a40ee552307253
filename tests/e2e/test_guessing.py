# SPDX-License-Identifier: Apache-2.0
"""Who guesses passwords is held off, from one source and from thousands, while people log in (C11)."""
import base64
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import mail
from support.behind import IN_CLEAR, Behind
from support.process import BUILD, PATIENCE, run, wait_for
from support.raw import Raw

ROOT = Path(__file__).resolve().parents[2]

# The guessers come through a balancer and in clear, so that TLS is not what is measured here.
BEHIND = IN_CLEAR + "auth {{ iterations = 4096  workers = 2 }}\n"


@pytest.fixture(scope="module")
def server():
    with Behind(conf=BEHIND, accounts=("alice", "bob", "carol"), limits="sessions = 4000") as s:
        yield s


def guess(server, client, name, password):
    """One connection from this client, one login; the code of its answer."""
    with server.come(client) as raw:
        if not raw.reply().startswith("220"):
            return "at the door"
        raw.command("EHLO client.example", 250)
        token = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        return raw.command(f"AUTH PLAIN {token}")[:3]


class Person(threading.Thread):
    """Logs in, sends a message and logs out, over and over; how long each time takes is kept."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.over, self.times, self.failure = server, threading.Event(), [], None

    def run(self):
        try:
            while not self.over.is_set():
                begin = time.monotonic()
                self.server.send(mail.message("Meanwhile"))
                self.times.append(time.monotonic() - begin)
        except Exception as why:  # told by the test
            self.failure = why

    def __enter__(self):
        self.server.send(mail.message("Before"))
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(PATIENCE)
        assert self.failure is None, self.failure
        assert len(self.times) >= 3 and max(self.times) < 10, self.times


def attack(server, tries, count, threads=16):
    """Makes all tries, given by their number as (client, name, password); counts the answers."""
    answers = {}
    with ThreadPoolExecutor(threads) as pool:
        for code in pool.map(lambda i: guess(server, *tries(i)), range(count)):
            answers[code] = answers.get(code, 0) + 1
    return answers


def counted(server, key):
    return sum(row.get(key, 0) for row in server.json("status"))


def test_c11_ten_thousand_guesses_from_one_source(server):
    with Person(server):
        answers = attack(server, lambda i: ("203.0.113.1", ["alice", "bob", f"user{i}"][i % 3], f"guess {i}"), 10000)
    # 10 failures and no more; those who came at the same time waited for them.
    assert answers["535"] == 10 and answers["421"] == 9990, answers
    assert guess(server, "203.0.113.1", "carol", "correct horse battery") == "421"
    assert guess(server, "203.0.113.2", "carol", "correct horse battery") == "235"
    assert counted(server, "logins_blocked") >= 9990
    assert server.wait_event("blocked", source="203.0.113.1")["failures"] == 10


def test_c11_two_thousand_sources(server):
    """In as many networks, all at alice, and in one network, at anybody."""
    assert guess(server, "198.51.100.7", "alice", "correct horse battery") == "235"
    with Person(server):
        begin = time.monotonic()
        answers = attack(server, lambda i: (f"10.{i % 200}.{i // 200}.1", "alice", f"guess {i}"), 2000, threads=200)
        # 20 at once and 10 a minute; the others are told to come later.
        assert 20 <= answers["535"] <= 21 + (time.monotonic() - begin) / 6, answers
        assert answers["535"] + answers["454"] == 2000, answers
        assert guess(server, "198.51.100.7", "alice", "correct horse battery") == "235"
        assert guess(server, "10.77.7.1", "bob", "correct horse battery") == "235"
        answers = attack(server, lambda i: (f"2001:db8:7:{i:x}::1", f"user{i}", f"guess {i}"), 2000)
        assert answers["535"] == 50 and answers["421"] == 1950, answers


def test_blocked_and_unblock(server):
    assert guess(server, "203.0.113.1", "carol", "correct horse battery") == "421"
    rows = server.json("auth", "blocked")
    one = [row for row in rows if row["source"] == "203.0.113.1" and row["account"] == ""]
    assert len(one) == 1 and one[0]["failures"] >= 10 and one[0]["since"] < one[0]["until"], rows
    assert one[0]["reason"] in ("bad-password", "unknown-user")
    assert [row for row in rows if row["source"] == "2001:db8:7::/48"], rows
    assert "203.0.113.1" in server.command("auth", "blocked", check=True).stdout
    done = server.command("auth", "unblock", "nonsense/7")
    assert done.returncode == 1 and "expected an address" in done.stderr
    assert "unblocked" in server.command("auth", "unblock", "203.0.113.1", check=True).stdout
    assert guess(server, "203.0.113.1", "carol", "correct horse battery") == "235"


def test_three_failures_on_a_connection(server):
    token = base64.b64encode(b"\0alice\0the old one").decode()
    with Raw(server.submission) as raw:
        raw.starttls()
        for _ in range(3):
            raw.command(f"AUTH PLAIN {token}", 535)
        raw.command(f"AUTH PLAIN {token}", 421)
        with pytest.raises((EOFError, ConnectionResetError)):
            raw.line()


def test_known_sources_outlive_the_server(server):
    assert guess(server, "203.0.113.50", "carol", "correct horse battery") == "235"
    server.stop()
    server.start()
    assert attack(server, lambda i: ("203.0.113.50", "bob", f"guess {i}"), 20)["535"] == 10
    assert guess(server, "203.0.113.50", "bob", "correct horse battery") == "421"
    assert guess(server, "203.0.113.50", "carol", "correct horse battery") == "235"


@pytest.fixture(scope="module")
def fail2ban():
    """The package of Debian, unpacked and not installed: no service of it runs here."""
    folder = BUILD / "fail2ban"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        done = run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "fail2ban"], cwd=folder)
        packages = list(folder.glob("fail2ban_*.deb"))
        if done.returncode != 0 or not packages:
            pytest.skip(f"fail2ban cannot be downloaded: {done.stderr.strip()[-300:]}")
        run(["dpkg-deb", "-x", packages[0], folder], check=True)
        (folder / "done").touch()
    return folder


def test_fail2ban_reads_our_lines(fail2ban, tmp_path):
    """The real fail2ban-regex, with the filter that we ship."""
    with Behind(conf=BEHIND.replace('format = "json"', 'format = "text"')) as server:
        for i in range(3):
            guess(server, "203.0.113.9", "alice", f"guess {i}")
        guess(server, "2001:db8::9", 'x" client=198.51.100.66 ', "guess")
        assert guess(server, "203.0.113.9", "alice", "correct horse battery") == "235"
        wait_for(lambda: sum("login-failed" in line for line in server.log().splitlines()) >= 4, server.tail)
        log = tmp_path / "postern.log"
        log.write_text("\n".join(server.log().splitlines()) + "\n")
    done = run(["/usr/bin/python3", fail2ban / "usr/bin/fail2ban-regex", "--print-all-matched", log,
                ROOT / "packaging/fail2ban/postern.conf"],
               env={"PYTHONPATH": str(fail2ban / "usr/lib/python3/dist-packages"), "PATH": "/usr/bin:/bin"})
    assert re.search(r"Failregex: 4 total", done.stdout), done.stdout + done.stderr
    assert "198.51.100.66" not in re.findall(r"^\s+\d+\s+(\S+)", done.stdout, re.M)
