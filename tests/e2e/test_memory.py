# SPDX-License-Identifier: Apache-2.0
"""A password that was used, and the certificate's key as text, lie in no process's memory afterwards."""
import base64
import os
import re
import resource
import signal
import smtplib
import ssl
import time
from pathlib import Path

import pytest
from support.postern import Postern
from support.process import name_of, wait_for

SECRET = "Zq7-unusual-secret-9x"


def memory(pid):
    """The readable parts of a process's memory."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    if "libasan" in maps:
        pytest.skip("a sanitizer's memory is too large to be read")
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in maps.splitlines():
            start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
            if rights[0] != "r" or line.endswith(("[vvar]", "[vvar_vclock]", "[vsyscall]")):
                continue
            file.seek(int(start, 16))
            try:
                yield file.read(int(end, 16) - int(start, 16))
            except OSError:
                continue  # a guard page


def found(pid, needles):
    return sorted({name for part in memory(pid) for name, needle in needles.items() if needle in part})


def log_in(server, mechanism):
    context = ssl.create_default_context(cafile=server.folder / "cert.pem")
    client = smtplib.SMTP("localhost", server.submission)
    client.starttls(context=context)
    client.ehlo()
    client.user, client.password = "alice", SECRET
    if mechanism == "PLAIN":
        client.auth("PLAIN", client.auth_plain)
    else:
        client.auth("LOGIN", client.auth_login, initial_response_ok=False)
    return client


def test_secrets_are_forgotten():
    server = Postern(accounts=()).start()
    try:
        server.add_account("alice", SECRET)
        try:
            assert found(server.process.pid, {"hostname": b"mail.example.org"}) == ["hostname"]
        except PermissionError:
            pytest.skip("memory of others may not be read here")
        clients = [log_in(server, mechanism) for mechanism in ["PLAIN", "LOGIN"] * 3]
        assert server.command("user", "test", "alice", input=SECRET + "\n").returncode == 0
        time.sleep(2.5)  # idle sessions give their buffers back
        secret = SECRET.encode()
        needles = {
            "password": secret,
            "its end": secret[8:],
            "PLAIN": base64.b64encode(b"\0alice\0" + secret)[12:-4],
            "LOGIN": base64.b64encode(secret)[:-4],
        }
        key = (server.folder / "key.pem").read_bytes().splitlines()[1]
        for pid in [server.process.pid, *server.pids()]:
            master = pid == server.process.pid  # it keeps the key for processes that it starts anew
            assert not found(pid, needles | ({} if master else {"key": key})), name_of(pid)
        for client in clients:
            client.quit()
    finally:
        server.stop()


def logs_in(server):
    try:
        server.client().quit()
        return True
    except (OSError, smtplib.SMTPException):
        return False


def test_c17_a_process_that_dies_leaves_no_core():
    """Whatever the limits were that the server was started with."""
    server = Postern(accounts=("alice",))
    server.expect_deaths = True
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with server:
        server.client().quit()
        for pid in [server.process.pid, *server.pids()]:
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"^Max core file size +0 +0 ", limits, re.M), (name_of(pid), limits)
        os.kill(server.pid("auth"), signal.SIGABRT)
        server.wait_event("died", process="auth")
        wait_for(lambda: logs_in(server), "a login at the next one")
        places = [*server.folder.rglob("core*"), *Path.cwd().glob("core*")]
        assert not [path for path in places if path.is_file()]
