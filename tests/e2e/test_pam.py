# SPDX-License-Identifier: Apache-2.0
"""Logins that PAM decides: real modules of Debian, named by service files of the test."""
import os
import smtplib
import stat

import pytest
from support.postern import CONF, PASSWORD, Postern

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
