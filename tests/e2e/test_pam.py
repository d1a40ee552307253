# SPDX-License-Identifier: Apache-2.0
"""Logins that PAM decides: real modules of Debian, named by service files of the test."""
import os
import smtplib
import stat

import pytest
from support.cyrus import hashed
from support.postern import CONF, PASSWORD, PROCESSES, Postern
from support.root import CONF_OF_ROOT, RootPostern, need

BACKEND = 'backend "unix" {{ type = "pam"  config_path = "{folder}/pam.d"  timeout = 2s }}\n'
# pam_exec gives the password to a program, which says yes, no, or nothing for long.
SCRIPT = """#!/bin/sh
read -r password
case "$PAM_USER:$password" in
carol:open) exit 0 ;;
slow:*) sleep 30 ;;
esac
exit 1
"""


def login(server, user, password):
    try:
        server.client(user=user, password=password).quit()
        return 235
    except smtplib.SMTPAuthenticationError as error:
        return error.smtp_code


@pytest.fixture(scope="module")
def server():
    made = Postern(conf=CONF + BACKEND)
    folder = made.folder / "pam.d"
    folder.mkdir()
    script = made.folder / "decide"
    script.write_text(SCRIPT)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    service(made, f"auth [success=1 default=ignore] pam_exec.so expose_authtok quiet {script}",
            "auth requisite pam_deny.so", "auth required pam_permit.so", "account required pam_permit.so")
    with made:
        yield made


def service(server, *lines):
    (server.folder / "pam.d/postern").write_text("\n".join(lines) + "\n")
    server.own()


def test_what_the_modules_say(server):
    assert login(server, "carol", "open") == 235
    assert login(server, "carol", "shut") == 535
    assert login(server, "alice", PASSWORD) == 235
    assert {row["name"] for row in server.json("user", "list")} == {"alice", "carol"}


def test_a_module_that_hangs(server):
    """Its login is answered 454, and those to come are asked of another process."""
    assert login(server, "slow", "any") == 454
    assert login(server, "carol", "open") == 235


def test_services_that_cannot_be_used(server):
    kept = (server.folder / "pam.d/postern").read_text().splitlines()
    try:
        for lines, code, sentence in [
                (["auth required pam_permit.so", "account required pam_deny.so"], 535, "PAM (account)"),
                (["auth required pam_no_such_module.so"], 454, "the journal says which module")]:
            service(server, *lines)
            assert login(server, "dave", "any") == code, sentence
            done = server.command("user", "test", "dave", input="any\n")
            assert sentence in done.stdout, done
        os.unlink(server.folder / "pam.d/postern")
        assert login(server, "dave", "any") == 454
        done = server.command("user", "test", "dave", input="any\n")
        assert "PAM has no service postern: write" in done.stdout, done
    finally:
        service(server, *kept)
    assert login(server, "carol", "open") == 235


def test_shadow_through_its_group():
    """pam_unix with the least that it needs: a user of its own, who is in the group shadow."""
    need()
    backend = BACKEND.replace("timeout = 2s", 'group = "shadow"')
    server = RootPostern([f"postern-{name}" for name in [*PROCESSES, "backend"]],
                         shadow={"carol": hashed("password of carol"), "dave": "!" + hashed("password of dave")},
                         conf=CONF_OF_ROOT + backend)
    (server.folder / "pam.d").mkdir()
    service(server, "auth required pam_unix.so", "account required pam_unix.so")
    with server:
        assert login(server, "carol", "password of carol") == 235
        assert login(server, "carol", "password of dave") == 535
        assert login(server, "dave", "password of dave") == 535
        assert login(server, "root", "") == 535
        # Without the group nobody's password can be read, and nobody's is wrong.
        server.conf.write_text(server.conf.read_text().replace('group = "shadow"', ""))
        server.command("reload", check=True)
        assert login(server, "carol", "password of carol") == 454
        assert 'group = "shadow" in the backend section' in server.command(
            "user", "test", "carol", input="password of carol\n").stdout
