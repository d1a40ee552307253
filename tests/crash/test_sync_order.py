# SPDX-License-Identifier: Apache-2.0
"""No 250 after a final dot before the sync of its commit: seen from outside, call by call.

The messages come in clear on port 25, so that the replies can be read in the trace; how a message is
committed does not depend on how it came.
"""
import os
import threading

import pytest
import syncs
from support import mail
from support.postern import Postern
from support.process import BUILD, ROOT, run
from support.raw import Raw

SETTINGS = 'accept_for = {{ "ours.example" }}'


def send(server, sizes, messages, name):
    """Each message with a token of its own; keeps (token, reply)."""
    with Raw(server.mta) as raw:
        raw.command("EHLO client.example", 250)
        for number, size in enumerate(sizes):
            token = f"TOKEN-{name}-{number}-{os.urandom(6).hex()}"
            data = mail.message(token, recipient="bob@ours.example", body=(
                f"{token}\r\n".encode() + b"filling of the body, line by line\r\n" * (size // 35)))
            raw.envelope("someone@elsewhere.example", "bob@ours.example")
            raw.send(data + b".\r\n")
            messages.append((token, raw.reply()))


def traced(server, file):
    watch = syncs.Strace([*server.pids("queue"), *server.pids("smtpd")], file)
    messages = []
    try:
        threads = [threading.Thread(target=send, args=(server, [500, 3000, 500, 100000, 40000, 500], messages, n))
                   for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        watch.stop()
    assert len(messages) == 24 and all(reply.startswith("250") for _, reply in messages), messages
    assert len({reply for _, reply in messages}) == 24, "replies must name the message"
    return syncs.violations(syncs.read(file), messages)


def can_trace():
    if not syncs.available():
        pytest.skip("strace is not installed")
    if os.geteuid() != 0:
        pytest.skip("the processes are closed to debuggers but root's")


def test_no_reply_before_the_sync(tmp_path):
    can_trace()
    with Postern(settings=SETTINGS) as server:
        wrong = traced(server, tmp_path / "trace")
    assert not wrong, wrong


def unsafe_program():
    """The same sources, but the queue is opened with synchronous=OFF."""
    folder = BUILD.parent / "unsafe" if BUILD != ROOT / "build" else BUILD / "unsafe"
    if not (folder / "build.ninja").exists():
        run(["meson", "setup", folder, "-Dunsafe_sync=true", "-Dtests=false", "-Dbuildtype=release"], cwd=ROOT,
            timeout=300, check=True)
    run(["ninja", "-C", folder], timeout=600, check=True)
    run(["meson", "install", "-C", folder, "--quiet", "--destdir", "stage"], timeout=120, check=True)
    return folder / "stage/usr/local/bin/postern"


def test_the_trace_test_sees_a_server_that_does_not_sync(tmp_path, monkeypatch):
    can_trace()
    monkeypatch.setattr("support.postern.PROGRAM", unsafe_program())
    with Postern(settings=SETTINGS) as server:
        wrong = traced(server, tmp_path / "trace")
    assert len(wrong) == 24, f"only {len(wrong)} of 24 were found: {wrong}"
