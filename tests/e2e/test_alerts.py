# SPDX-License-Identifier: Apache-2.0
"""What an administrator must know at once reaches a program of his, by itself and not through the queue."""
import base64
import json
import os
import pwd
import shutil
import socket
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest
from support import mail
from support.behind import IN_CLEAR, Behind
from support.postern import PASSWORD, Postern
from support.process import wait_for
from support.sink import Sink

HOME, DAY = "192.0.2.7", 86400000
BEHIND = IN_CLEAR + """\
auth {{ iterations = 4096  freeze_networks = 1 }}
relay "nowhere" {{ host = "127.0.0.1:{nobody}"  tls = "none" }}
{alert}
"""
# What comes on standard input and in the environment, one run a line; then what the test wants to happen.
PROGRAM = """\
#!/usr/bin/python3
import json, os, subprocess, sys, time
alert = json.load(sys.stdin)
with open({out!r}, "a") as out:
    out.write(json.dumps({{"alert": alert, "env": dict(os.environ), "argv": sys.argv[1:], "uid": os.getuid(),
                           "groups": os.getgroups(), "cwd": os.getcwd(),
                           "fds": sorted(int(n) for n in os.listdir("/proc/self/fd"))}}) + "\\n")
how = open({how!r}).read() if os.path.exists({how!r}) else ""
if how == "fail":
    print("no route to the pager\\x1b[2J", file=sys.stderr)
    sys.exit(3)
if how == "hang":
    child = subprocess.Popen(["/bin/sleep", "600"])
    open({out!r} + ".child", "w").write(str(child.pid))
    time.sleep(600)
"""


class World(Behind):
    extra = ("behind", "nobody")

    def __init__(self, **how):
        super().__init__(conf=BEHIND, routes='route "all" {{ via = "relay:nowhere" }}', **how)

    def configure(self, **parts):
        self.values.setdefault("alert", "")
        super().configure(**parts)

    def alerts(self, alert):
        """Another alert section, in force if the server runs."""
        self.values["alert"] = alert.format(**self.values)
        self.configure()
        if self.process is not None:
            self.command("reload", check=True)

    def program(self, how=""):
        path = self.folder / "pager"
        path.write_text(PROGRAM.format(out=str(self.folder / "pages"), how=str(self.folder / "how")))
        path.chmod(0o755)
        (self.folder / "how").write_text(how)
        self.own()

    def pages(self, kind=None):
        path = self.folder / "pages"
        pages = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [page for page in pages if kind is None or page["alert"]["kind"] == kind]

    def wait_page(self, kind, state):
        return wait_for(lambda: [p for p in self.pages(kind) if p["alert"]["state"] == state],
                        lambda: f"{kind} {state}; {self.pages()}\n{self.tail()}")[-1]


def ended(pid):
    """A process that was killed may be left for init to take away."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture(scope="module")
def server():
    with World(accounts=("alice", "bob")) as s:
        s.stop()
        store, now = sqlite3.connect(s.folder / "state/auth/accounts.db"), int(time.time() * 1000)
        home = b"\0" * 10 + b"\xff\xff" + socket.inet_pton(socket.AF_INET, HOME)
        store.execute("INSERT INTO seen (account, source, first, last) SELECT id, ?, ?, ? FROM account",
                      (home, now - 7 * DAY, now - 1000))
        store.commit()
        store.close()
        s.program()
        s.alerts('alert {{ command = "{folder}/pager" }}')
        s.start()
        yield s


def login(server, client, name):
    raw = server.come(client)
    with raw:
        raw.reply()
        raw.command("EHLO client.example", 250)
        token = base64.b64encode(f"\0{name}\0{PASSWORD}".encode()).decode()
        return int(raw.command(f"AUTH PLAIN {token}")[:3])


def test_the_program_gets_the_alert_and_nothing_else(server):
    done = server.command("alert", "test", check=True)
    assert "exit status 0" in done.stdout, done.stdout
    page = server.wait_page("test", "test")
    assert page["env"].keys() <= {"POSTERN_HOST", "POSTERN_KIND", "POSTERN_SUBJECT", "POSTERN_TEXT", "POSTERN_STATE",
                                  "LC_CTYPE"}, page["env"]  # the last is Python's own
    assert page["env"]["POSTERN_KIND"] == page["alert"]["kind"] == "test"
    assert page["env"]["POSTERN_HOST"] == page["alert"]["host"] == "mail.example.org"
    assert page["argv"] == [] and page["cwd"] == "/"
    assert [fd for fd in page["fds"] if fd > 4] == [], page["fds"]  # 3 and 4: its own, open just then


def test_c19_an_account_that_is_frozen_and_thawed(server):
    for client in ["203.0.113.1", "198.51.100.1"]:
        assert login(server, client, "alice") == 235
    alert = server.wait_page("account-frozen", "new")["alert"]
    assert alert["subject"] == alert["evidence"]["account"] == "alice"
    assert "2 networks" in alert["evidence"]["reason"] and "203.0.113.0/24" in alert["evidence"]["reason"]
    assert "postern user show alice" in alert["text"] and "postern user thaw alice" in alert["text"]
    assert server.wait_event("alert", kind="account-frozen")["subject"] == "alice"
    assert [row["subject"] for row in server.json("status") if row.get("alert") == "account-frozen"] == ["alice"]
    server.command("user", "thaw", "Alice@example.org", check=True)
    assert server.wait_page("account-frozen", "over")["alert"]["subject"] == "alice"
    assert not [row for row in server.json("status") if row.get("alert") == "account-frozen"]


def test_a_back_end_that_is_down(server):
    down = 'backend "campus" {{ type = "saslauthd"  socket = "{folder}/none"  processes = 1 }}'
    server.alerts('alert {{ command = "{folder}/pager" }}\n' + down)
    assert login(server, HOME, "erin") == 454
    alert = server.wait_page("backend-down", "new")["alert"]
    assert alert["subject"] == "campus" and "start it" in alert["evidence"]["reason"], alert
    assert login(server, HOME, "erin") == 454
    server.alerts('alert {{ command = "{folder}/pager" }}')
    server.wait_page("backend-down", "over")
    assert len([p for p in server.pages("backend-down") if p["alert"]["state"] == "new"]) == 1


def test_mail_that_is_damaged(server):
    with server.client("bob") as client:
        client.sendmail("bob@example.org", ["r@sink.example"], mail.message("Broken", sender="bob@example.org"))
    server.stop()
    store = sqlite3.connect(server.folder / "state/queue/queue.db")
    assert store.execute("UPDATE message SET body = body || 'x'").rowcount == 1
    store.execute("UPDATE recipient SET due = 0")
    store.execute("UPDATE destination SET due = 0, failures = 0")
    store.commit()
    store.close()
    server.own()
    server.start()
    alert = server.wait_page("mail-damaged", "new")["alert"]
    assert alert["evidence"]["recipients"] == 1 and str(alert["evidence"]["key"]) == alert["subject"], alert


def test_c19_mail_to_people_who_do_not_exist(server):
    def judge(argument, _):
        return "550 5.1.1 There is nobody of that name" if "nobody" in argument else None

    def send(names):
        with server.client("bob") as client:
            client.sendmail("bob@example.org", [f"{name}@sink.example" for name in names],
                            mail.message("Buy", sender="bob@example.org"))

    with Sink({"RCPT": judge}, port=server.values["nobody"]) as sink:
        server.command("queue", "retry", "--all")
        send([f"somebody{i}" for i in range(14)])
        sink.wait(1)
        send([f"nobody{i}" for i in range(5)])
        wait_for(lambda: len(server.events("failed", account="bob", status="5.1.1")) == 5, server.tail)
        assert login(server, HOME, "bob") == 235
        send([f"nobody-else{i}" for i in range(3)])
        alert = wait_for(lambda: [p["alert"] for p in server.pages("account-frozen") if p["alert"]["subject"] == "bob"],
                         server.tail)[0]
        assert "8 of 22 recipients within an hour (36 percent)" in alert["evidence"]["reason"], alert
        assert login(server, HOME, "bob") == 535
    server.command("user", "thaw", "bob", check=True)


def test_a_process_that_died(server):
    os.kill(server.pid("relay"), 9)
    server.expect_deaths = True
    alert = server.wait_page("process-died", "new")["alert"]
    assert alert["subject"] == "relay" and "signal 9" in alert["text"], alert


def test_a_program_that_fails_hangs_or_is_not_there(server):
    server.program("fail")
    done = server.command("alert", "test", check=False)
    assert done.returncode == 1 and "exit status 3; it said: no route to the pager" in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    failed = server.wait_event("alert-command", result="exit status 3")
    assert failed["level"] == "error" and failed["said"].startswith("no route"), failed
    server.program("hang")
    server.alerts('alert {{ command = "{folder}/pager"  timeout = "1s" }}')
    done = server.command("alert", "test", check=False)
    assert done.returncode == 1 and "killed, as it did not end within 1 s" in done.stdout + done.stderr, done
    # And what it had started.
    child = int((server.folder / "pages.child").read_text())
    wait_for(lambda: ended(child), f"process {child} is left")
    server.program()
    (server.folder / "pager").write_text("#!/nowhere\n")
    done = server.command("alert", "test", check=False)
    assert done.returncode == 1 and "cannot be run: No such file" in done.stdout + done.stderr, done


def test_none_and_wrong_ones(server):
    server.alerts("")
    done = server.command("alert", "test", check=False)
    assert done.returncode == 1 and 'set alert { command = "/path/to/program" }' in done.stdout + done.stderr, done
    (server.folder / "text").write_text("hello")
    for path, words in [("/nowhere/at/all", "/nowhere"), ("{folder}/text", "chmod a+x"), ("/usr", "not a program")]:
        server.values["alert"] = 'alert {{ command = "%s" }}' % path
        server.values["alert"] = server.values["alert"].format(**server.values)
        server.configure()
        done = server.command("check", check=False)
        assert done.returncode != 0 and words in done.stdout + done.stderr, done
    server.values["alert"] = ""
    server.configure()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_another_user():
    nobody = pwd.getpwnam("nobody")
    folder = Path(tempfile.mkdtemp(prefix="postern-alert-"))
    try:
        pager = folder / "pager"
        pager.write_text(PROGRAM.format(out=str(folder / "pages"), how=str(folder / "how")))
        pager.chmod(0o755)
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        routes = 'route "all" {{ via = "capture:{folder}/capture" }}\n'
        with Postern(routes=routes + f'alert {{{{ command = "{pager}"  user = "nobody" }}}}', as_root=True) as s:
            s.command("alert", "test", check=True)
        pages = [json.loads(line) for line in (folder / "pages").read_text().splitlines()]
        # The certificate of a test ends soon, which is told by itself.
        assert {page["alert"]["kind"] for page in pages} == {"certificate-ends", "test"}
        for page in pages:
            assert page["uid"] == nobody.pw_uid and set(page["groups"]) <= {nobody.pw_gid}, page
    finally:
        shutil.rmtree(folder)
