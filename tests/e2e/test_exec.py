# SPDX-License-Identifier: Apache-2.0
"""Logins that a program of the administrator's decides, with the interface of checkpassword."""
import contextlib
import json
import os
import smtplib
import threading
from pathlib import Path

import pytest
from support.postern import CONF, PASSWORD, Postern
from support.process import children, name_of, wait_for
from test_cyrus import login, words

PROGRAM = r"""#!/usr/bin/python3 -I
import json, os, subprocess, sys, time
data = os.read(3, 600)
name, password, when, rest = data.split(b"\0")
assert rest == b"" and os.read(3, 1) == b"" and abs(int(when) - time.time()) < 60, data
if name == b"slow":
    child = subprocess.Popen(["/bin/sleep", "100"])
    with open(sys.argv[1] + "/pids", "w") as out:
        json.dump([os.getpid(), child.pid], out)
    time.sleep(100)
if name == b"curious":
    with open(sys.argv[1] + "/seen", "w") as out:
        json.dump([sorted(os.environ.items()), sorted(os.listdir("/proc/self/fd")), sys.argv[1:], os.getcwd(),
                   os.read(0, 10).decode(), os.getpgid(0) == os.getpid()], out)
if name == b"loud":
    print("x" * 3000000)
if name == b"telltale":
    print("no luck with", password.decode(), flush=True)
    sys.exit(111)
if name == b"crash":
    os.kill(os.getpid(), 9)
if name == b"lost":
    print("the database is away\nand so on", file=sys.stderr)
    sys.exit(int(password))
sys.exit(0 if password == b"open" else 1)
"""


def make(timeout):
    section = 'backend "own" {{ type = "exec"  command = {{ "{folder}/decide", "{folder}", "a b" }}  timeout = TIME }}'
    server = Postern(conf=CONF + section.replace("TIME", timeout), accounts=())
    program = server.folder / "decide"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    server.own()
    server.add_account("alice")
    return server


@pytest.fixture(scope="module")
def server():
    with make("2s") as made:
        yield made


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_what_its_status_says(server):
    assert login(server, "carol", "open") == 235
    assert login(server, "carol", "shut") == 535
    assert login(server, "dora", "x" * 490) == 535
    assert "not asked: name and password are longer" in words(server, "dora", "x" * 510)
    assert login(server, "loud", "open") == 235
    assert login(server, "alice", PASSWORD) == 235
    assert "no such user, or password wrong (exit status 1)" in words(server, "dora", "shut")
    # It finds nothing but what it needs, and its own descriptors.
    assert login(server, "curious", "open") == 235
    environment, descriptors, arguments, folder, nothing, group = json.loads((server.folder / "seen").read_text())
    given = {name: value for name, value in environment if name != "LC_CTYPE"}  # which Python sets
    assert given == {"PATH": "/usr/local/bin:/usr/bin:/bin", "PROTO": "TCP", "TCPREMOTEIP": "127.0.0.1"}
    assert set(descriptors) <= {"0", "1", "2", "3", "4", "5"} and arguments == [str(server.folder), "a b"]
    assert folder == "/" and nothing == "" and group


def test_programs_that_cannot_tell(server):
    """454 and never 535; what it prints is shown, but no password."""
    for name, password, sentence in [("lost", "111", "(exit status 111); it says: the database is away"),
                                     ("lost", "2", "(exit status 2)"),
                                     ("crash", "x", "was ended by signal 9"),
                                     ("telltale", "sesame-4711", "(not shown: the password is in it)")]:
        assert login(server, name, password) == 454, name
        told = words(server, name, password)
        assert sentence in told and "sesame" not in told, told
    assert "sesame" not in server.process.log()
    os.rename(server.folder / "decide", server.folder / "kept")
    assert login(server, "carol", "open") == 454
    assert "it cannot be run" in words(server, "carol", "open")
    os.rename(server.folder / "kept", server.folder / "decide")
    assert login(server, "carol", "open") == 235


def test_a_program_that_hangs(server):
    """It ends by the deadline with all that it started, and nothing of it is left to be waited for."""
    assert login(server, "slow", "x") == 454
    assert "took too long and was ended" in words(server, "slow", "x")
    pids = json.loads((server.folder / "pids").read_text())
    wait_for(lambda: not any(map(alive, pids)), "the end of the program and its child")
    assert login(server, "carol", "open") == login(server, "alice", PASSWORD) == 235
    assert "decide" not in map(name_of, children(server.process.pid))


def test_the_end_of_the_server_is_the_program_s():
    with make("60s") as server:
        def log_in():
            with contextlib.suppress(smtplib.SMTPException, OSError):
                login(server, "slow", "x")
        thread = threading.Thread(target=log_in)
        thread.start()
        pids = wait_for(lambda: (server.folder / "pids").exists() and (server.folder / "pids").read_text(), "its numbers")
        server.stop()
        wait_for(lambda: not any(map(alive, json.loads(pids))), "the end of the program and its child")
        thread.join()
