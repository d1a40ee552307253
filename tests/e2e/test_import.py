# SPDX-License-Identifier: Apache-2.0
"""Accounts that come from other programs, with their hashes; and what becomes of these at logins."""
import json
import smtplib
import subprocess

import pytest
from support import dovecot
from support.cyrus import Sasldb, hashed
from support.postern import Postern
from support.process import run, wait_for

SCHEMES = ["SSHA", "SSHA256", "SSHA512", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "PBKDF2", "SCRAM-SHA-1"]


def yescrypt(password):
    return run(["perl", "-e", 'print crypt($ARGV[0], q($y$j9T$saltsaltsalt$))', password], check=True).stdout


def code(server, user, password):
    try:
        server.client(user=user, password=password).quit()
        return 235
    except smtplib.SMTPAuthenticationError as error:
        return error.smtp_code


def offered(server):
    with server.client(user=None) as client:
        client.ehlo()
        return client.esmtp_features["auth"].split()


def scram(server, user, password):
    """Whether the real gsasl logs in by SCRAM-SHA-256."""
    done = subprocess.run(["gsasl", "--client", "--smtp", "--mechanism", "SCRAM-SHA-256", "--no-cb",
                           "--x509-ca-file", server.folder / "cert.pem", "--connect", f"localhost:{server.submission}",
                           "-a", user, "-p", password], input="", capture_output=True, text=True, timeout=60, check=False)
    return "235" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def server(unpacked):
    with Postern(settings="auth {{ iterations = 4096  cache = 0 }}") as running:
        yield running


def write(server, name, text):
    file = server.folder / name
    file.write_text(text)
    server.own()
    return file


def test_dovecots_accounts_log_in_and_then_have_verifiers(server):
    lines = [f"{scheme.lower()}:{dovecot.hashed(scheme, 'password of ' + scheme)}:1000:1000::/srv::" for scheme in SCHEMES]
    lines += ["clear:{PLAIN}password of clear::::::", "weak:" + dovecot.hashed("MD5-CRYPT", "password of weak"),
              "locked:!:::::", "# a comment", "", "no colon", "limited:{PLAIN}password::::::allow_nets=192.0.2.0/24"]
    file = write(server, "users", "\n".join(lines) + "\n")
    assert "SCRAM-SHA-256" in offered(server)
    done = server.command("user", "import", "--dovecot", file, "--dry-run", check=True)
    assert "Dry run, nothing was changed: 9 imported, 0 replaced, 0 kept as they were, 4 left out" in done.stdout
    assert len(server.json("user", "list")) == 1
    done = server.command("user", "import", "--dovecot", file, check=True)
    assert "9 imported, 0 replaced, 0 kept as they were, 4 left out" in done.stdout
    assert "8 of them have a hash" in done.stdout
    for word in ["too weak", "it is locked", "there is no colon", "allow_nets"]:
        assert word in done.stdout, done.stdout
    assert "password of" not in done.stdout + done.stderr and "$2y$" not in done.stdout + done.stderr
    # Now not all can use it.
    wait_for(lambda: "SCRAM-SHA-256" not in offered(server), "SCRAM is not offered")
    missing = next(row for row in server.json("status") if row.get("process") == "auth")["mechanisms_missing"]
    assert "8 accounts cannot use SCRAM" in missing and "8 of them have an imported hash" in missing
    for scheme in SCHEMES:
        assert code(server, scheme.lower(), "password of x") == 535, scheme
        assert "imported hash" in server.json("user", "show", scheme.lower())["verifier"]
        assert code(server, scheme.lower(), "password of " + scheme) == 235, scheme
        assert server.json("user", "show", scheme.lower())["verifier"] == "SCRAM-SHA-256, 4096 iterations"
        assert code(server, scheme.lower(), "password of x") == 535, scheme
    assert code(server, "clear", "password of clear") == 235
    assert [code(server, name, "password of " + name) for name in ["weak", "locked", "limited"]] == [535] * 3
    # With the last hash gone, it is offered again, and works.
    wait_for(lambda: "SCRAM-SHA-256" in offered(server), "SCRAM is offered")
    assert len(server.events("hash-replaced")) == len(SCHEMES)
    assert scram(server, "ssha", "password of SSHA") and not scram(server, "ssha", "password of x")
    # The same once more changes nothing: the accounts have their own verifiers by now.
    rows = server.json("user", "import", "--dovecot", file)
    assert {row["result"] for row in rows} == {"kept", "left out"}
    assert code(server, "ssha", "password of SSHA") == 235


def test_shadow_and_passwd_file_while_the_server_is_down(server):
    shadow = write(server, "shadow", "\n".join([
        "root:" + hashed("password of root") + ":19000:0:99999:7:::", "daemon:*:19000:0:99999:7:::",
        "erin:" + yescrypt("password of erin") + ":19000:0:99999:7:::",
        "old:" + hashed("password of old") + ":19000:0:99999:7::19100:",
        "frank:" + hashed("password of frank") + ":19000:0:99999:7::40000:"]) + "\n")
    htpasswd = write(server, "htpasswd", "grace:$2y$05$D3mHdCr44zl\nhenry:plain words\n")
    server.stop()
    try:
        rows = {row["name"]: row for row in server.json("user", "import", "--shadow", shadow)}
        assert {name for name, row in rows.items() if row["result"] == "imported"} == {"erin", "frank"}
        assert "not for mail" in rows["root"]["note"] and "locked" in rows["daemon"]["note"]
        assert "expired" in rows["old"]["note"] and rows["erin"]["password"] == "yescrypt"
        rows = {row["name"]: row for row in server.json("user", "import", "--passwd-file", htpasswd)}
        assert "not whole" in rows["grace"]["note"] and "{PLAIN}" in rows["henry"]["note"]
        rows = server.json("user", "import", "--passwd-file", "--scheme", "PLAIN", htpasswd)
        assert [row["result"] for row in rows] == ["left out", "imported"]
        assert server.json("user", "show", "frank")["expires"].startswith("2079-")
    finally:
        server.start()
    assert code(server, "erin", "password of erin") == 235
    assert code(server, "henry", "plain words") == 235
    assert code(server, "old", "password of old") == 535
    assert code(server, "frank", "password of frank") == 235


def test_sasldb2_brings_its_passwords_along(server):
    sasldb = Sasldb("mail.example.org")
    try:
        sasldb.add("ivan", "password of ivan")
        sasldb.add("judy", "password of judy", realm="judys.example")
        database = server.folder / "sasldb2"
        database.write_bytes(sasldb.path.read_bytes())
        server.own()
        before = database.read_bytes()
        rows = {row["name"]: row for row in server.json("user", "import", "--sasldb2", database)}
        assert rows["ivan"]["password"] == rows["judy@judys.example"]["password"] == "verifier"
        assert code(server, "ivan", "password of ivan") == 235
        assert code(server, "judy@judys.example", "password of judy") == 235
        assert scram(server, "ivan", "password of ivan")
        assert database.read_bytes() == before
    finally:
        sasldb.close()


@pytest.mark.parametrize("arguments, words", [
    ([], "what is it to import?"),
    (["--dovecot"], "needs the name of a file"),
    (["--dovecot", "--shadow", "x"], "two sources"),
    (["--shadow", "--scheme", "SSHA", "x"], "--scheme is of no use"),
    (["--shadow", "{folder}/not-there"], "no such file"),
    (["--sasldb2", "{folder}/postern.conf"], "cannot be read as Cyrus SASL's database"),
    (["--sasldblistusers2", "{folder}/postern.conf"], "no backend section"),
])
def test_what_cannot_be_imported_is_told(server, arguments, words):
    done = server.command("user", "import", *[a.format(folder=server.folder) for a in arguments])
    assert done.returncode != 0 and words.lower() in done.stderr.lower(), done.stderr


def test_c17_nothing_of_the_passwords_is_in_the_log(server):
    log = json.dumps(server.events())
    assert "password of" not in log and "$6$" not in log and "{SSHA" not in log
