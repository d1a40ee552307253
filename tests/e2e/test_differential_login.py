# SPDX-License-Identifier: Apache-2.0
"""What test_differential.py does for strangers, for people who log in: Postfix with Cyrus SASL and sasldb, and
postern, both for one account that may send as itself."""
import base64
import os

import pytest
from support.differential import check, check_table, codes
from support.postern import PASSWORD, Postern
from support.process import run

EHLO = "EHLO client.example"
FROM = "MAIL FROM:<alice@example.org>"
TO = "RCPT TO:<bob@far.example>"
MESSAGE = b"From: alice@example.org\r\nSubject: x\r\n\r\ntext\r\n"
BODY = MESSAGE + b".\r\n"


def b64(text):
    return base64.b64encode(text.encode()).decode()


NAME, SECRET = b64("alice"), b64(PASSWORD)
LOGIN = "AUTH PLAIN " + b64(f"\0alice\0{PASSWORD}")
IN = [EHLO, LOGIN]


def bdat(data, last=False):
    return f"BDAT {len(data)}{' LAST' if last else ''}\r\n".encode() + data


DIALOGUES = {
    "plain": [EHLO, LOGIN, "QUIT"],
    "plain-challenge": [EHLO, "AUTH PLAIN", b64(f"\0alice\0{PASSWORD}"), "QUIT"],
    "plain-as-oneself": [EHLO, "AUTH PLAIN " + b64(f"alice\0alice\0{PASSWORD}"), "QUIT"],
    "plain-as-another": [EHLO, "AUTH PLAIN " + b64(f"bob\0alice\0{PASSWORD}"), "QUIT"],
    "plain-wrong": [EHLO, "AUTH PLAIN " + b64("\0alice\0wrong password"), "NOOP", LOGIN, "QUIT"],
    "plain-unknown": [EHLO, "AUTH PLAIN " + b64(f"\0nobody\0{PASSWORD}"), "QUIT"],
    "plain-malformed": [EHLO, "AUTH PLAIN " + b64("alice"), "AUTH PLAIN " + b64("\0alice"), "AUTH PLAIN =", "QUIT"],
    "login": [EHLO, "AUTH LOGIN", NAME, SECRET, "QUIT"],
    "login-name-inline": [EHLO, "AUTH LOGIN " + NAME, SECRET, "QUIT"],
    "login-wrong": [EHLO, "AUTH LOGIN", NAME, b64("wrong password"), "QUIT"],
    "login-lower-case": [EHLO, "auth login", NAME, SECRET, "QUIT"],
    "cancel": [EHLO, "AUTH LOGIN", "*", "AUTH LOGIN", NAME, "*", "NOOP", "QUIT"],
    "no-base64": [EHLO, "AUTH PLAIN !!!", "AUTH LOGIN", "!!!", "QUIT"],
    "no-mechanism": [EHLO, "AUTH", "QUIT"],
    "unknown-mechanism": [EHLO, "AUTH FOO", "AUTH ANONYMOUS", "AUTH NTLM", "QUIT"],
    "three-words": [EHLO, LOGIN + " x", "QUIT"],
    "before-ehlo": [LOGIN, "QUIT"],
    "after-helo": ["HELO client.example", LOGIN, "QUIT"],
    "twice": [*IN, LOGIN, "QUIT"],
    "in-transaction": [*IN, FROM, LOGIN, TO, "QUIT"],
    "ehlo-again": [*IN, EHLO, FROM, TO, "QUIT"],
    "helo-again": [*IN, "HELO client.example", FROM, TO, "QUIT"],
    "no-login": [EHLO, FROM, "QUIT"],
    "message": [*IN, FROM, TO, "DATA", BODY, "QUIT"],
    "two-messages": [*IN, FROM, TO, "DATA", BODY, FROM, TO, "DATA", BODY, "QUIT"],
    "rset": [*IN, FROM, TO, "RSET", "DATA", FROM, TO, "DATA", BODY, "QUIT"],
    "data-first": [*IN, "DATA", FROM, "DATA", "QUIT"],
    "relay-percent": [*IN, FROM, "RCPT TO:<bob%other.example@far.example>", "QUIT"],
    "literal": [*IN, FROM, "RCPT TO:<bob@[192.0.2.1]>", "QUIT"],
    "not-the-own": [*IN, "MAIL FROM:<bob@example.org>", TO, "QUIT"],
    "null-sender": [*IN, "MAIL FROM:<>", TO, "QUIT"],
    "capital-sender": [*IN, "MAIL FROM:<ALICE@EXAMPLE.ORG>", TO, "QUIT"],
    "auth-parameter": [*IN, FROM + " AUTH=<>", "RSET", FROM + " AUTH=a@b.example", "RSET", FROM + " AUTH=a+ZZ",
                       "RSET", FROM + " AUTH=", "QUIT"],
    "dsn": [*IN, FROM + " RET=HDRS ENVID=a+2B", TO + " NOTIFY=SUCCESS ORCPT=rfc822;b@c.example", "DATA", BODY, "QUIT"],
    "size": [*IN, FROM + " SIZE=100", TO, "DATA", BODY, FROM + " SIZE=99999999", "QUIT"],
    "too-large": [*IN, FROM, TO, "DATA", MESSAGE + (b"x" * 78 + b"\r\n") * 300 + b".\r\n", "NOOP", "QUIT"],
    "smtputf8": [*IN, FROM + " SMTPUTF8", "RCPT TO:<ä@far.example>", "QUIT"],
    "too-many-recipients": [*IN, FROM, *[f"RCPT TO:<bob{n}@far.example>" for n in range(6)], "QUIT"],
    "foreign-from": [*IN, FROM, TO, "DATA", b"From: bob@example.org\r\n\r\ntext\r\n.\r\n", "QUIT"],
    "no-header": [*IN, FROM, TO, "DATA", b"\r\ntext\r\n.\r\n", "QUIT"],
    "no-message": [*IN, FROM, TO, "DATA", b".\r\n", "QUIT"],
    "dots": [*IN, FROM, TO, "DATA", MESSAGE + b"..\r\n...\r\n.x\r\n.\r\n", "QUIT"],
    "bdat": [*IN, FROM, TO, bdat(MESSAGE), bdat(b"more\r\n", True), "NOOP", "QUIT"],
    "bdat-one": [*IN, FROM, TO, bdat(MESSAGE, True), FROM, TO, bdat(MESSAGE, True), "QUIT"],
    "bdat-dot": [*IN, FROM, TO, bdat(MESSAGE + b".\r\n.\r\nRSET\r\n", True), "NOOP", "QUIT"],
    "bdat-cut-line": [*IN, FROM, TO, bdat(MESSAGE[:-1]), bdat(b"\n", True), "QUIT"],
    "bdat-no-line-end": [*IN, FROM, TO, bdat(MESSAGE + b"end", True), "QUIT"],
    "bdat-ends-with-nothing": [*IN, FROM, TO, bdat(MESSAGE), "BDAT 0 LAST", "QUIT"],
    "bdat-rset": [*IN, FROM, TO, bdat(MESSAGE), "RSET", bdat(b"x\r\n", True), FROM, TO, "QUIT"],
    "bdat-then-data": [*IN, FROM, TO, bdat(MESSAGE), "DATA", "QUIT"],
    "bdat-then-mail": [*IN, FROM, TO, bdat(MESSAGE), FROM, TO, "QUIT"],
    "bdat-without-recipient": [*IN, FROM, bdat(MESSAGE, True), "QUIT"],
    "bdat-too-large": [*IN, FROM, TO, bdat(MESSAGE + (b"x" * 78 + b"\r\n") * 300, True), "NOOP", "QUIT"],
    "bdat-lower-case": [*IN, FROM, TO, b"bdat 4 last\r\na\r\n\n", "QUIT"],
    "bdat-nonsense": [*IN, FROM, TO, "BDAT 1 FIRST", "QUIT"],
    "bare-lf": [*IN, FROM, TO, "DATA", MESSAGE + b"a\nb\r\n.\r\n", "NOOP"],
    "vrfy": [*IN, "VRFY bob@far.example", "EXPN list", "HELP", "QUIT"],
}

# dialogue -> (step, Postfix's code, ours, why), as in test_differential.py.
DIFFERENCES = {
    "no-base64": [
        (1, "535", "501", "what is no base64 is a syntax error (RFC 4954 4), no wrong password"),
        (3, "535", "501", "as above, another one"),
    ],
    "unknown-mechanism": [
        (1, "535", "504", "504: the mechanism is not offered (RFC 4954 4); Postfix passes Cyrus SASL's refusal on"),
        (2, "535", "504", "as above, another one"),
        (3, "535", "504", "as above, another one"),
    ],
    "no-login": [
        (1, "553", "530", "530: log in first (RFC 4954 6); Postfix looks at the sender before it"),
    ],
    "literal": [
        (3, "250", "550", "mail to an address in numbers is not relayed: the reply asks for the name of the domain"),
    ],
    "null-sender": [
        (2, "250", "553", "a null sender is for reports, which people do not write; * in their rights allows it"),
        (3, "250", "503", "as above, another one"),
    ],
    "auth-parameter": [
        (6, "250", "501", "neither <> nor xtext (RFC 4954 5); Postfix takes anything, and forgets it"),
        (8, "250", "501", "as above, another one"),
    ],
    "foreign-from": [
        (5, "250", "550", "From in the header is somebody else's; Postfix looks at the envelope only"),
    ],
    "bdat-nonsense": [
        (4, "521", "501", "501 5.5.4, then both close: nobody knows how many bytes follow"),
    ],
    "bare-lf": [
        (5, "550", "250", "who is logged in gets CR LF for a lone LF, which old programs send; nobody else does"),
    ],
    "vrfy": [
        (3, "500", "502", "known and not done: 502 (RFC 5321 4.2.4); Postfix does not know it"),
        (4, "500", "214", "HELP is answered (RFC 5321 4.1.1.8); Postfix does not know it"),
    ],
}


@pytest.fixture(scope="module")
def postfix(unpacked):
    from support import peers
    from support.postfix import POSTFIX, Postfix
    it = Postfix({"mynetworks": "192.0.2.1/32", "smtpd_relay_restrictions": "permit_sasl_authenticated, reject",
                  "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_security_options": "noanonymous",
                  "smtpd_sasl_local_domain": "postfix.example",
                  "smtpd_sender_restrictions": "reject_sender_login_mismatch", "smtpd_delay_reject": "no",
                  "smtpd_client_restrictions": "", "smtpd_helo_required": "yes", "smtpd_forbid_bare_newline": "reject",
                  "smtpd_forbid_bare_newline_exclusions": "", "smtpd_forbid_unauth_pipelining": "yes",
                  "strict_rfc821_envelopes": "yes", "smtputf8_enable": "yes", "smtpd_error_sleep_time": "0",
                  "smtpd_soft_error_limit": "100", "smtpd_hard_error_limit": "100", "message_size_limit": "10240",
                  "smtpd_recipient_limit": "5", "smtpd_recipient_overshoot_limit": "1000", "smtpd_timeout": "20",
                  "smtpd_sender_login_maps":
                      "inline:{ { alice@example.org = alice@postfix.example } { bob@example.org = bob } }",
                  "default_transport": "discard:"})
    # Debian's Postfix has Cyrus SASL look in the folder of main.cf.
    (it.folder / "etc/sasl").mkdir()
    (it.folder / "etc/sasl/smtpd.conf").write_text("pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
                                                   f"sasldb_path: {it.inner}/sasldb2\nmech_list: PLAIN LOGIN\n")
    run(peers.inside(["/usr/sbin/saslpasswd2", "-f", f"{it.inner}/sasldb2", "-p", "-c", "-u", "postfix.example",
                      "alice"]), input=PASSWORD, check=True)
    os.chown(it.folder / "sasldb2", POSTFIX, 0)
    with it:
        yield it


@pytest.fixture(scope="module")
def postern():
    conf = ('hostname = "mail.example.org"\ndomain = "example.org"\nstate_dir = "{folder}/state"\n'
            'runtime_dir = "{folder}/run"\nuser_prefix = ""\n{settings}\n'
            'listen "mta" {{ address = "127.0.0.1:{mta}" tls = "starttls" auth = "optional" }}\n'
            'listen "submission" {{ address = "127.0.0.1:{submission}" tls = "starttls" auth = "required"\n'
            '  clear_auth_from = "127.0.0.1" }}\n'
            'listen "submissions" {{ address = "127.0.0.1:{submissions}" tls = "implicit" auth = "required" }}\n'
            'tls {{ certificate = "{folder}/cert.pem" key = "{folder}/key.pem" }}\nlog {{ format = "json" }}\n'
            'limits {{ disk_reserve = 1M {limits} }}\n{routes}\n')
    with Postern(conf=conf, limits="message_size = 10K recipients = 5 errors = 100") as it:
        yield it


@pytest.mark.parametrize("name", DIALOGUES)
def test_codes_are_postfixs_or_explained(postfix, postern, name):
    check(name, codes(postfix.port, DIALOGUES[name]), codes(postern.submission, DIALOGUES[name]), DIFFERENCES)


def test_the_table_explains_only_what_there_is():
    check_table(DIFFERENCES, DIALOGUES)
