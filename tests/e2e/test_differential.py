# SPDX-License-Identifier: Apache-2.0
"""The same dialogues to Postfix and to postern, both set up as a server for one domain that does not
know its clients: the codes are compared. Where the two differ, DIFFERENCES says why; a difference that
is not there fails, and so does one that is there and no longer shows."""
import pytest
from support.differential import check, check_table, codes
from support.postern import Postern

EHLO = "EHLO client.example"
FROM = "MAIL FROM:<a@far.example>"
TO = "RCPT TO:<bob@example.org>"
BODY = b"From: a@far.example\r\nSubject: x\r\n\r\ntext\r\n.\r\n"
LONG = "x" * 64

# Each step is a command (text, CR LF is added) or bytes as they are; one reply is read after each.
DIALOGUES = {
    "quit": ["QUIT"],
    "helo": ["HELO client.example", "QUIT"],
    "helo-without-name": ["HELO", "EHLO", "QUIT"],
    "ehlo-twice": [EHLO, EHLO, "HELO again.example", "QUIT"],
    "ehlo-resets": [EHLO, FROM, EHLO, TO, "QUIT"],
    "ehlo-literal": ["EHLO [127.0.0.1]", "QUIT"],
    "ehlo-odd-name": ["EHLO _x y", "EHLO a_b.example", "QUIT"],
    "mail-before-helo": [FROM, TO, "DATA", "QUIT"],
    "message": [EHLO, FROM, TO, "DATA", BODY, "QUIT"],
    "two-messages": [EHLO, FROM, TO, "DATA", BODY, FROM, TO, "DATA", BODY, "QUIT"],
    "lower-case": ["ehlo client.example", "mail from:<a@far.example>", "rcpt to:<bob@example.org>", "data", BODY,
                   "quit"],
    "relay": [EHLO, FROM, "RCPT TO:<bob@other.example>", "DATA", "QUIT"],
    "relay-percent": [EHLO, FROM, "RCPT TO:<bob%other.example@example.org>", "QUIT"],
    "relay-bang": [EHLO, FROM, "RCPT TO:<other.example!bob@example.org>", "QUIT"],
    "relay-quoted": [EHLO, FROM, 'RCPT TO:<"bob@other.example"@example.org>', "QUIT"],
    "relay-route": [EHLO, FROM, "RCPT TO:<@example.org:bob@other.example>", "QUIT"],
    "two-ats": [EHLO, FROM, "RCPT TO:<bob@example.org@other.example>", "QUIT"],
    "rcpt-first": [EHLO, TO, "DATA", "QUIT"],
    "nested-mail": [EHLO, FROM, FROM, TO, "QUIT"],
    "data-without-rcpt": [EHLO, FROM, "DATA", "QUIT"],
    "data-with-argument": [EHLO, FROM, TO, "DATA now", "QUIT"],
    "rset": [EHLO, FROM, TO, "RSET", TO, "RSET now", "QUIT"],
    "noop": ["NOOP", "NOOP with words", "QUIT"],
    "null-sender": [EHLO, "MAIL FROM:<>", TO, "DATA", BODY, "QUIT"],
    "null-recipient": [EHLO, FROM, "RCPT TO:<>", "QUIT"],
    "postmaster": [EHLO, FROM, "RCPT TO:<postmaster>", "QUIT"],
    "no-brackets": [EHLO, "MAIL FROM:a@far.example", "RCPT TO:bob@example.org", "QUIT"],
    "blank-after-colon": [EHLO, "MAIL FROM: <a@far.example>", "RCPT TO: <bob@example.org>", "QUIT"],
    "two-blanks-after-colon": [EHLO, "MAIL FROM:  <a@far.example>", "QUIT"],
    "no-colon": [EHLO, "MAIL <a@far.example>", "MAIL FROM", "MAIL", "RCPT", "QUIT"],
    "bare-sender": [EHLO, "MAIL FROM:<a>", "QUIT"],
    "empty-local": [EHLO, "MAIL FROM:<@far.example>", "QUIT"],
    "empty-domain": [EHLO, "MAIL FROM:<a@>", "QUIT"],
    "dots": [EHLO, "MAIL FROM:<.a@far.example>", "MAIL FROM:<a..b@far.example>", "MAIL FROM:<a.@far.example>", "QUIT"],
    "quoted": [EHLO, 'MAIL FROM:<"a b"@far.example>', "QUIT"],
    "unclosed-quote": [EHLO, 'MAIL FROM:<"a@far.example>', "QUIT"],
    "literal-sender": [EHLO, "MAIL FROM:<a@[192.0.2.1]>", "QUIT"],
    "literal-recipient": [EHLO, FROM, "RCPT TO:<bob@[192.0.2.1]>", "QUIT"],
    "long-local": [EHLO, f"MAIL FROM:<{LONG}@far.example>", "RSET", f"MAIL FROM:<{LONG}x@far.example>", "QUIT"],
    "long-label": [EHLO, f"MAIL FROM:<a@{LONG}.example>", "QUIT"],
    "size": [EHLO, FROM + " SIZE=100", "RSET", FROM + " SIZE=99999999", "RSET", FROM + " SIZE=x", "RSET",
             FROM + " SIZE=", "RSET", FROM + " SIZE=-1", "QUIT"],
    "size-huge": [EHLO, FROM + " SIZE=99999999999999999999999", "QUIT"],
    "body": [EHLO, FROM + " BODY=8BITMIME", "RSET", FROM + " BODY=7BIT", "RSET", FROM + " BODY=BINARYMIME", "RSET",
             FROM + " BODY=x", "QUIT"],
    "unknown-parameter": [EHLO, FROM + " FOO=1", FROM, TO + " FOO", "QUIT"],
    "parameters-after-helo": ["HELO client.example", FROM + " SIZE=100", "QUIT"],
    "dsn": [EHLO, FROM + " RET=HDRS ENVID=abc", TO + " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.org", "QUIT"],
    "dsn-bad-ret": [EHLO, FROM + " RET=ALL", FROM + " RET=FULL RET=FULL", FROM + " ENVID=a+ZZ", "QUIT"],
    "dsn-bad-notify": [EHLO, FROM, TO + " NOTIFY=NEVER,SUCCESS", TO + " NOTIFY=", TO + " ORCPT=bob", "QUIT"],
    "auth-parameter": [EHLO, FROM + " AUTH=<>", "QUIT"],
    "smtputf8": [EHLO, "MAIL FROM:<ä@far.example>", "RSET", "MAIL FROM:<ä@far.example> SMTPUTF8", "QUIT"],
    "smtputf8-value": [EHLO, FROM + " SMTPUTF8=1", "QUIT"],
    "bdat": [EHLO, FROM, TO, b"BDAT 5\r\nabc\r\n", b"BDAT 10 LAST\r\nabcdefgh\r\n", "QUIT"],
    "bdat-without-mail": [EHLO, b"BDAT 6\r\nNOOP\r\n", "NOOP", "QUIT"],
    "bdat-then-data": [EHLO, FROM, TO, b"BDAT 5\r\nabc\r\n", "DATA", "RSET", "QUIT"],
    "bdat-bad-size": [EHLO, FROM, TO, "BDAT x", "QUIT"],
    "bdat-no-size": [EHLO, FROM, TO, "BDAT", "QUIT"],
    "bdat-empty": [EHLO, FROM, TO, "BDAT 0", "BDAT 0 LAST", "QUIT"],
    "too-many-recipients": [EHLO, FROM, *[f"RCPT TO:<bob{n}@example.org>" for n in range(6)], "QUIT"],
    "too-large": [EHLO, FROM, TO, "DATA", b"From: a@far.example\r\n\r\n" + (b"x" * 78 + b"\r\n") * 300 + b".\r\n",
                  "QUIT"],
    "bare-lf": [EHLO, FROM, TO, "DATA", b"From: a@far.example\r\n\r\na\nb\r\n.\r\n", "NOOP"],
    "smuggling": [EHLO, FROM, TO, "DATA", b"From: a@far.example\r\n\r\na\n.\nMAIL FROM:<x@y.example>\r\n.\r\n", "NOOP"],
    "vrfy": ["VRFY bob", EHLO, "VRFY bob", "VRFY", "QUIT"],
    "expn": [EHLO, "EXPN list", "QUIT"],
    "help": [EHLO, "HELP", "QUIT"],
    "turn": [EHLO, "TURN", "SEND FROM:<a@far.example>", "SAML FROM:<a@far.example>", "QUIT"],
    "xclient": [EHLO, "XCLIENT ADDR=192.0.2.1", "XFORWARD ADDR=192.0.2.1", "QUIT"],
    "etrn": [EHLO, "ETRN example.org", "QUIT"],
    "auth-in-clear": [EHLO, "AUTH PLAIN AGEAYg==", "QUIT"],
    "starttls-argument": [EHLO, "STARTTLS now", "QUIT"],
    "unknown": ["FOO", "FOO BAR", "", "QUIT"],
    "http": [b"GET / HTTP/1.1\r\n"],
    "unknown-many": ["X1", "X2", "X3", "X4"],
    "quit-argument": ["QUIT now"],
    "8bit-command": [b"NO\xffOP\r\n", "QUIT"],
    "nul-in-command": [b"NOOP a\0b\r\n", "QUIT"],
    "long-command": [b"NOOP " + b"x" * 1500 + b"\r\n", "QUIT"],
    "longer-command": [b"NOOP " + b"x" * 3000 + b"\r\n", "QUIT"],
}

# dialogue -> (step, Postfix's code, ours, why). One row per step that differs; "end": closed without a reply.
DIFFERENCES = {
    "relay": [
        (2, "554", "550", "550 5.7.1 says what RFC 5321 3.6.2 wants said; Postfix's 554 is its setting"),
    ],
    "relay-percent": [
        (2, "554", "550", "as relay; the address asks a server behind us to send it on"),
    ],
    "relay-bang": [
        (2, "554", "550", "as relay-percent"),
    ],
    "relay-quoted": [
        (2, "554", "550", "as relay-percent"),
    ],
    "relay-route": [
        (2, "554", "553", "a source route is refused as such, 553 5.1.3 (RFC 5321 F.2)"),
    ],
    "two-ats": [
        (2, "554", "501", "two unquoted @ are no address: a syntax error, before anybody asks where it goes"),
    ],
    "postmaster": [
        (2, "250", "550", "there is no local mailbox here; Postfix completes the name with its own host"),
    ],
    "two-blanks-after-colon": [
        (1, "250", "501", "RFC 5321 3.3 allows none; one is taken because devices send it, more is not"),
    ],
    "bare-sender": [
        (1, "250", "501", "a sender without domain cannot be answered; Postfix takes any"),
    ],
    "empty-local": [
        (1, "501", "553", "@domain is a source route without its end"),
    ],
    "dots": [
        (1, "250", "501", "dots that RFC 5321 4.1.2 does not allow: Postfix takes the first, hence its later 503"),
        (2, "503", "501", "as above, another one"),
        (3, "503", "501", "as above, another one"),
    ],
    "literal-recipient": [
        (2, "554", "550", "as relay"),
    ],
    "long-local": [
        (3, "250", "501", "64 octets at most (RFC 5321 4.5.3.1.1); Postfix does not look"),
    ],
    "size-huge": [
        (1, "552", "501", "more than 19 digits are no number here, too large a number there"),
    ],
    "body": [
        (5, "555", "501", "the parameter is known, its value is not: 501 5.5.4 is about the value"),
        (7, "555", "501", "as above, another one"),
    ],
    "smtputf8": [
        (1, "250", "553", "bytes above 127 need SMTPUTF8 (RFC 6531 3.5): 553 5.6.7; Postfix takes them"),
    ],
    "smtputf8-value": [
        (1, "555", "501", "as body: the parameter is known, its form is not"),
    ],
    "bdat-bad-size": [
        (3, "521", "501", "501 5.5.4, then both close: nobody knows how many bytes follow"),
    ],
    "bdat-no-size": [
        (3, "521", "501", "as bdat-bad-size"),
    ],
    "bdat-empty": [
        (3, "551", "250", "an empty chunk is one (RFC 3030 2); Postfix calls one abuse unless it is the last"),
        (4, "551", "250", "as above, another one"),
    ],
    "bare-lf": [
        (4, "550", "521", "521 and the end, so that nothing behind it is read; Postfix goes on after its 550"),
        (5, "250", "end", "as above, another one"),
    ],
    "smuggling": [
        (4, "550", "521", "as bare-lf"),
        (5, "250", "end", "as above, another one"),
    ],
    "vrfy": [
        (0, "554", "252", "252 tells nothing; Postfix asks the restrictions for recipients"),
        (2, "554", "252", "as above, another one"),
    ],
    "expn": [
        (1, "500", "502", "known and not done: 502 (RFC 5321 4.2.4); Postfix does not know it"),
    ],
    "help": [
        (1, "500", "214", "HELP is answered (RFC 5321 4.1.1.8); Postfix does not know it"),
    ],
    "turn": [
        (1, "500", "502", "as expn"),
        (2, "500", "502", "as above, another one"),
        (3, "500", "502", "as above, another one"),
    ],
    "xclient": [
        (1, "550", "502", "nobody may; Postfix knows clients that may"),
        (2, "550", "502", "as above, another one"),
    ],
    "etrn": [
        (1, "459", "502", "not on this listener: 502; Postfix has no queue for the domain"),
    ],
    "auth-in-clear": [
        (1, "503", "538", "538: AUTH wants TLS first (RFC 4954 6); Postfix here has no AUTH at all"),
    ],
    "unknown": [
        (0, "500", "421", "a first line that is no verb is no mail client: 421 and the end"),
        (1, "500", "end", "as above, another one"),
    ],
    "http": [
        (0, "221", "421", "as unknown; Postfix says 221"),
    ],
    "unknown-many": [
        (0, "500", "421", "as unknown"),
        (1, "500", "end", "as above, another one"),
    ],
    "8bit-command": [
        (0, "500", "421", "as unknown"),
        (1, "221", "end", "as above, another one"),
    ],
    "nul-in-command": [
        (0, "250", "500", "NUL is refused (RFC 5321 4.5.2 has no room for it); Postfix cuts the line there"),
    ],
    "longer-command": [
        (0, "250", "500", "2 KiB are kept of a command, then it is refused; Postfix cuts it"),
    ],
}


@pytest.fixture(scope="module")
def postfix(unpacked):
    from support.postfix import Postfix
    with Postfix({"mynetworks": "192.0.2.1/32", "smtpd_relay_restrictions": "reject_unauth_destination",
                  "smtpd_helo_required": "yes", "smtpd_forbid_bare_newline": "reject",
                  "smtpd_forbid_bare_newline_exclusions": "", "smtpd_forbid_unauth_pipelining": "yes",
                  "strict_rfc821_envelopes": "yes", "smtputf8_enable": "yes", "smtpd_error_sleep_time": "0",
                  "smtpd_soft_error_limit": "100", "smtpd_hard_error_limit": "100", "message_size_limit": "10240",
                  "smtpd_recipient_limit": "5", "smtpd_recipient_overshoot_limit": "1000",
                  "smtpd_timeout": "20"}, mailboxes=["example.org"]) as it:
        yield it


@pytest.fixture(scope="module")
def postern():
    with Postern(settings='accept_for = {{"example.org"}}\n',
                 limits="message_size = 10K recipients = 5 errors = 100") as it:
        yield it


@pytest.mark.parametrize("name", DIALOGUES)
def test_codes_are_postfixs_or_explained(postfix, postern, name):
    check(name, codes(postfix.port, DIALOGUES[name]), codes(postern.mta, DIALOGUES[name]), DIFFERENCES)


def test_the_table_explains_only_what_there_is():
    check_table(DIFFERENCES, DIALOGUES)
