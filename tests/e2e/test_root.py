# SPDX-License-Identifier: Apache-2.0
"""Started by root: low ports, each process as a user of its own, locked in, files of nobody else's.

The users are in a passwd file that only this server sees (a mount namespace): the machine's stays as it is.
"""
import os
import socket

import pytest
from support import mail, postern
from support.postern import PROCESSES
from support.process import answers, name_of
from support.root import CONF_OF_ROOT, RootPostern, need

USERS = ["postern-smtpd", "postern-auth", "postern-queue", "postern-relay", "postern-control"]


@pytest.fixture(scope="module")
def server():
    need()
    server = RootPostern(USERS, conf=CONF_OF_ROOT, routes='route "all" {{ via = "capture:{folder}/capture" }}')
    os.chown(server.folder / "capture", 59004, 59004)
    server.add_account("alice")
    with server:
        yield server


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_mail_goes_through(server):
    data = mail.awkward()
    server.send(data)
    mail.trace_of(server.wait_captured(1)[0].read_bytes(), data)


def test_each_process_is_a_user_of_its_own(server):
    for process in PROCESSES:
        for pid in server.pids(process):
            status = status_of(pid)
            wanted = str(59001 + USERS.index(f"postern-{process}"))
            assert set(status["Uid"].split()) == {wanted}, (process, status["Uid"])
            assert set(status["Gid"].split()) == {wanted} and status["Groups"].strip() in ("", wanted)
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) & 0 or \
                int(status["CapEff"], 16) == 0
            assert status["NoNewPrivs"] == "1"


def test_each_process_is_in_a_sandbox(server):
    if any(symbol in open(postern.PROGRAM, "rb").read() for symbol in [b"__asan_init"]):
        pytest.skip("sanitizers need system calls that the filter forbids")
    for process in PROCESSES:
        for pid in server.pids(process):
            assert status_of(pid)["Seccomp"] == "2", process


def test_files_belong_to_one_user_each(server):
    for folder, user in [("queue", 59003), ("auth", 59002)]:
        info = os.stat(server.folder / "state" / folder)
        assert info.st_uid == user and info.st_mode & 0o777 == 0o700, (folder, oct(info.st_mode), info.st_uid)
    socket_info = os.stat(server.folder / "run/control.sock")
    assert socket_info.st_mode & 0o077 == 0


def test_the_control_socket_is_not_for_everybody(server):
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(server.folder / "run/control.sock"))
            os._exit(1)
        except OSError:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def test_low_ports(server):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.9", 587))
        except OSError:
            pytest.skip("port 587 is taken")
    text = server.conf.read_text()
    server.conf.write_text(text.replace(f"127.0.0.1:{server.mta}", "127.0.0.9:587"))
    server.stop()
    server.spawn()
    server.process.wait_ready(lambda: answers(587, host="127.0.0.9"), "port 587")
    assert name_of(server.process.pid)
