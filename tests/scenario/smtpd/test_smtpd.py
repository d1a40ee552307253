# SPDX-License-Identifier: Apache-2.0
"""
smtpd against peers that are quick, slow, hostile or dead. usage: test_smtpd.py SMTPD ENCODER
"""
import re
import socket
import ssl
import struct
import sys
import time
import unittest

sys.dont_write_bytecode = True

from channels import Channel, encode  # noqa: E402
from server import (BAD_SENDER, DISK_FULL, NO_GRANT, OVER_BUDGET, PLAIN, STORE_ERROR, STORE_UNSURE, STORED,  # noqa: E402
                    Client, Server)

PROGRAM = ENCODER = None
HEAD = ("From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n"
        "Date: Thu, 01 Jan 2026 12:00:00 +0100\r\nMessage-ID: <1@client.example>\r\n\r\n")
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def key_of(reply):
    """The key in "250 2.0.0 Accepted as KEY-RANDOM"."""
    text = re.match(r"250 2\.0\.0 Accepted as ([0-9a-z]+)-[0-9a-z]{20}\n", reply).group(1)
    value = 0
    for digit in text:
        value = value * 32 + DIGITS.index(digit)
    return value


class Case(unittest.TestCase):
    def serve(self, settings="", **options):
        server = Server(PROGRAM, ENCODER, settings, **options)
        self.addCleanup(server.stop)
        return server

    def submit(self, server, client, body="Hello.\r\n", head=HEAD, verdict=STORED, expect=250):
        """A whole message in one SUBMIT; what queue got."""
        client.send(head + body + ".\r\n")
        submit = server.queue.expect("SUBMIT")
        server.queue.send("SUBMITTED", key=submit.key, verdict=verdict, text="")
        reply = client.expect(expect)
        if expect == 250:
            self.assertEqual(key_of(reply), submit.key)
        return submit


class Submission(Case):
    def test_one_message(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        got = self.submit(server, client, "..dot\r\nHello.\r\n")
        self.assertEqual(got.grant, 5)
        self.assertEqual(got.sender, "alice@example.org")
        self.assertEqual([r.address for r in got.recipients], ["bob@example.net"])
        self.assertEqual(got.flags & 8, 8)
        text = got.body.decode()
        trace, rest = text[:text.index("From: ")], text[text.index("From: "):]
        self.assertEqual(rest, HEAD + ".dot\r\nHello.\r\n")
        self.assertRegex(trace, r"^Received: from authenticated-user\r\n\tby mail\.example\.org with ESMTPSA id [0-9a-z-]+"
                                r"\r\n\t\(TLSv1\.3 with cipher TLS_\w+\)\r\n\tfor <bob@example\.net>;\r\n\t\w+, .*\r\n$")
        accepted = server.wait_event("accepted")
        login = server.events("login")[-1]
        self.assertEqual(accepted["session"], login["session"])
        self.assertEqual((login["account"], login["mech"], login["listener"]), ("alice", "PLAIN", "submission"))
        self.assertEqual(accepted["account"], "alice")
        self.assertEqual(accepted["message-id"], "<1@client.example>")
        self.assertEqual(int(accepted["size"]), len(got.body))
        self.assertIn("TLSv1.3", accepted["tls"])
        # A second one on the same connection has a name of its own.
        client.envelope()
        self.assertNotEqual(self.submit(server, client).key, got.key)
        client.command("QUIT", 221)
        client.closed()
        self.assertEqual(server.auth.expect("GRANT_END").grant, 5)

    def test_byte_by_byte(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        for byte in HEAD + "x\r\n.\r\n":
            client.send(byte)
        got = server.queue.expect("SUBMIT")
        self.assertTrue(got.body.endswith((HEAD + "x\r\n").encode()))
        server.queue.send("SUBMITTED", key=got.key, verdict=STORED, text="")
        client.expect(250)

    def test_missing_fields_are_added(self):
        server = self.serve()
        client = server.client("submissions", login=["alice@example.org"])
        client.envelope(recipients=("bob@example.net", "carol@example.net"))
        got = self.submit(server, client, head="Subject: x\r\nBcc: carol@example.net\r\n\r\n")
        text = got.body.decode()
        self.assertNotIn("Bcc", text)
        self.assertNotIn("for <", text)
        self.assertRegex(text, r"\r\nSubject: x\r\nDate: .* \+0000\r\nFrom: <alice@example\.org>\r\n"
                               r"Message-ID: <[0-9a-z.]+@mail\.example\.org>\r\n\r\nHello\.\r\n$")
        self.assertEqual(server.wait_event("accepted")["added"], "date,message-id,from")

    def test_senders(self):
        server = self.serve()
        client = server.client(login=["alice@example.org", "*@lab.example.org"])
        reply = client.command("MAIL FROM:<bob@example.org>", "553 5.7.1")
        self.assertEqual(reply, "553 5.7.1 alice may not send as bob@example.org (allowed: alice@example.org, "
                                "*@lab.example.org; ask postmaster@example.org)\n")
        refused = server.wait_event("refused")
        self.assertEqual((refused["account"], refused["sender"]), ("alice", "bob@example.org"))
        client.command("MAIL FROM:<>", "553 5.7.1")
        client.envelope("any@lab.example.org")
        self.submit(server, client)
        client.envelope("Alice+tag@Example.org")
        client.send("From: bob@example.org\r\n\r\nx\r\n.\r\n")
        self.assertIn("may not send as bob@example.org", client.expect("550 5.7.1"))
        for field in ["From: alice@example.org, bob@example.org", "From : alice@example.org", "From:",
                      "From: alice@example.org\r\nFrom: alice@example.org", " From: alice@example.org",
                      "From: <@evil.example:alice@example.org>", "From: bob@example.org <alice@example.org>"]:
            client.envelope()
            client.send(field + "\r\n\r\nx\r\n.\r\n")
            client.expect("550 5.6.0")
        server.queue.silent()

    def test_null_sender_needs_all_rights(self):
        server = self.serve()
        client = server.client(login=["*"])
        client.command("MAIL FROM:<>", 250)
        client.command("RCPT TO:<bob@example.net>", 250)
        client.command("RCPT TO:<carol@example.net>", "452 4.5.3")
        client.command("DATA", 354)
        self.assertEqual(self.submit(server, client).sender, "")

    def test_many_recipients_keep_their_numbers(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        names = [f"u{i}@example.net" for i in range(300)]
        client.send("".join(["MAIL FROM:<alice@example.org>\r\n"] + [f"RCPT TO:<{n}>\r\n" for n in names] + ["DATA\r\n"]))
        for _ in range(301):
            client.expect(250)
        client.expect(354)
        got = self.submit(server, client)
        self.assertEqual([r.address for r in got.recipients], names)
        self.assertEqual(len({r.n for r in got.recipients}), 300)

    def test_verdicts(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        for verdict, reply in [(BAD_SENDER, "550 5.7.1"), (OVER_BUDGET, "450 4.7.1"), (DISK_FULL, "452 4.3.1"),
                               (STORE_ERROR, "451 4.3.0"), (77, "451 4.3.0")]:
            client.envelope()
            self.submit(server, client, verdict=verdict, expect=reply)
        client.envelope()
        self.submit(server, client, verdict=NO_GRANT, expect="451 4.3.0")
        client.command("MAIL FROM:<alice@example.org>", "421 4.3.0")
        client.closed()

    def test_unsure_is_no_reply(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + "x\r\n.\r\n")
        key = server.queue.expect("SUBMIT").key
        server.queue.send("SUBMITTED", key=key, verdict=STORE_UNSURE, text="the sync failed")
        client.closed()
        self.assertEqual(server.wait_event("refused")["reason"], "the sync failed")

    def test_client_that_leaves(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + "half a message\r\n")
        client.close()  # no dot: no message
        server.auth.expect("GRANT_END")
        server.queue.silent()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + "x\r\n.\r\n")
        key = server.queue.expect("SUBMIT").key
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        time.sleep(0.1)
        server.queue.send("SUBMITTED", key=key, verdict=STORED, text="")
        server.wait_event("accepted")

    def test_half_closed_client_gets_its_reply(self):
        server = self.serve()
        client = server.client("mta")
        client.command("EHLO c.example", 250)
        client.envelope("x@evil.example", ["bob@example.org"])
        client.send(HEAD + "x\r\n.\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        key = server.queue.expect("SUBMIT").key
        time.sleep(0.2)
        server.queue.send("SUBMITTED", key=key, verdict=STORED, text="")
        client.expect(250)
        client.closed()


class Strangers(Case):
    def test_relaying(self):
        server = self.serve()
        client = server.client("mta")
        client.command("EHLO mx.example.com", 250)
        client.command("MAIL FROM:<x@evil.example>", 250)
        for address in ["bob@example.net", "bob@example.org.evil.example", "bob%example.net@example.com", "a@ours.example"]:
            client.command(f"RCPT TO:<{address}>", "550 5.7.1 Relaying denied")
        client.command("RCPT TO:<bob@EXAMPLE.org>", 250)
        client.command("RCPT TO:<bob@a.ours.example>", 250)
        client.command("DATA", 354)
        got = self.submit(server, client, head="Bcc: x\r\nno field\r\n\r\n")
        self.assertEqual(got.grant, 900)
        self.assertEqual(got.flags & 8, 0)
        self.assertRegex(got.body.decode(), r"^Received: from mx\.example\.com \(\[127\.0\.0\.1\]\)\r\n\tby mail\.example\.org "
                                            r"with ESMTP id [^\r]*;\r\n\t[^\r]*\r\nBcc: x\r\nno field\r\n\r\nHello\.\r\n$")
        refused = server.events("refused")[0]
        self.assertEqual((refused["sender"], refused["recipient"], refused["reply"], refused["client"]),
                         ("x@evil.example", "bob@example.net", "550 5.7.1 Relaying denied", "127.0.0.1"))

    def test_submission_needs_a_login(self):
        server = self.serve()
        client = server.client("submission")
        client.command("EHLO c.example", 250)
        client.command("MAIL FROM:<alice@example.org>", "530 5.7.0")

    def test_no_standing_grant_no_mail(self):
        server = self.serve()
        server.auth.close()
        server.start_auth(standing=0)
        client = server.client("mta")
        client.command("EHLO c.example", 250)
        client.command("MAIL FROM:<x@evil.example>", "451 4.3.0")

    def test_bare_newline_is_refused(self):
        server = self.serve()
        client = server.client("mta")
        client.command("EHLO c.example", 250)
        client.envelope("x@evil.example", ["bob@example.org"])
        client.send(HEAD + "x\n.\r\nMAIL FROM:<a@b>\r\n.\r\n")
        client.expect("521 5.5.2")
        client.closed()
        server.queue.silent()


class Auth(Case):
    def test_exchange(self):
        server = self.serve()
        client = server.client()
        client.starttls()
        client.command("EHLO c.example", 250)
        client.send("AUTH LOGIN\r\n")
        start = server.auth.expect("AUTH_START")
        self.assertEqual((start.mechanism, start.has_token, start.tls, start.listener, start.client),
                         ("LOGIN", 0, 1, "submission", "127.0.0.1"))
        self.assertRegex(start.log_id, "^[0-9a-z]{8}$")
        server.auth.send("AUTH_CHALLENGE", session=start.session, token=b"Username:")
        client.expect("334 VXNlcm5hbWU6")
        client.send("YWxpY2U=\r\n")
        self.assertEqual(server.auth.expect("AUTH_TOKEN").token, b"alice")
        server.auth.send("AUTH_FAIL", session=start.session, code=535, status="5.7.8", text="Wrong name or password",
                         account="alice", reason="bad password")
        client.expect("535 5.7.8 Wrong name or password")
        failed = server.wait_event("login-failed")
        self.assertEqual((failed["account"], failed["reason"], failed["client"]), ("alice", "bad password", "127.0.0.1"))
        client.send("AUTH LOGIN\r\n")
        start = server.auth.expect("AUTH_START")
        server.auth.send("AUTH_CHALLENGE", session=start.session, token=b"Username:")
        client.expect(334)
        client.command("*", 501)
        self.assertEqual(server.auth.expect("AUTH_CANCEL").session, start.session)
        server.login(client)

    def test_answer_for_a_session_that_is_gone(self):
        server = self.serve()
        client = server.client()
        client.starttls()
        client.command("EHLO c.example", 250)
        client.send(f"AUTH PLAIN {PLAIN}\r\n")
        start = server.auth.expect("AUTH_START")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        time.sleep(0.2)
        # The reset is seen at the latest when the answer is sent; the grant ends either way.
        server.auth.send("AUTH_OK", session=start.session, grant=6, account="alice", mechanism="PLAIN", senders=[])
        names = [server.auth.next()[0]]
        if names == ["AUTH_CANCEL"]:
            names.append(server.auth.next()[0])
        self.assertEqual(names[-1], "GRANT_END")
        server.auth.send("AUTH_OK", session=1 << 40, grant=7, account="x", mechanism="PLAIN", senders=[])
        self.assertEqual(server.auth.expect("GRANT_END").grant, 7)

    def test_death(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        other = server.client()
        other.starttls()
        other.command("EHLO c.example", 250)
        other.send(f"AUTH PLAIN {PLAIN}\r\n")
        server.auth.expect("AUTH_START")
        server.auth.close()
        other.expect("454 4.7.0")
        other.send(f"AUTH PLAIN {PLAIN}\r\n")
        other.expect("454 4.7.0")
        client.command("MAIL FROM:<alice@example.org>", "421 4.3.0")
        client.closed()
        # Nobody is let in meanwhile; whoever waited is when it is back.
        waiting = Client(server.ports["submission"])
        with self.assertRaises(TimeoutError):
            waiting.reply(0.3)
        server.start_auth()
        waiting.expect(220)
        server.login(other)

    def test_lost_grant(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        keeps = server.client(login=["alice@example.org"])
        keeps.command("NOOP", 250)
        server.auth.send("GRANT_LOST", grant=0, reason="nobody's")
        server.auth.send("GRANT_LOST", grant=99, reason="frozen")
        client.envelope()
        self.submit(server, client)
        server.auth.send("GRANT_LOST", grant=5, reason="frozen")
        server.wait_event("note")
        client.command("MAIL FROM:<alice@example.org>", "421 4.3.0")
        client.closed()

    def test_hostile(self):
        for frame in [b"\xff" * 64, encode("PREPARE", generation=1), struct.pack("=IHH", 3, 24, 0) + b"abc",
                      struct.pack("=IHH", 0xffffffff, 24, 0), encode("KEYS", first=1, count=1)]:
            with self.subTest(frame=frame[:16]):
                server = self.serve()
                client = server.client(login=["alice@example.org"])
                server.auth.raw(frame)
                server.auth.closed()
                client.command("NOOP", 250)
                client.command("MAIL FROM:<alice@example.org>", "421 4.3.0")
                server.start_auth()
                server.client(login=["alice@example.org"]).command("NOOP", 250)


class Queue(Case):
    def body(self, size):
        line = "0123456789" * 7 + "\r\n"
        return line * (size // len(line) + 1)

    def collect(self, server, open_message):
        data = b""
        while True:
            name, got = server.queue.next()
            self.assertEqual(got.key, open_message.key)
            if name == "SUBMIT_CHUNK":
                data += got.data
            else:
                self.assertEqual(name, "SUBMIT_END")
                self.assertEqual(got.size, len(data))
                return data

    def test_large_message_streams(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.command("MAIL FROM:<alice@example.org> SIZE=1000000", 250)
        client.command("RCPT TO:<bob@example.net>", 250)
        client.command("DATA", 354)
        body = self.body(1000000)
        client.send(HEAD + body + ".\r\n")
        open_message = server.queue.expect("SUBMIT_OPEN")
        self.assertEqual(open_message.size_hint, 1000000)
        data = self.collect(server, open_message)
        self.assertTrue(data.decode().endswith(HEAD + body))
        server.queue.send("SUBMITTED", key=open_message.key, verdict=STORED, text="")
        self.assertEqual(key_of(client.expect(250)), open_message.key)

    def test_every_size_around_a_chunk(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        trace = len(self.submit(server, client, "").body) - len(HEAD)
        for size in [65535, 65536, 65537, 131071, 131072, 131073]:
            body = "y" * (size - trace - len(HEAD) - 2)
            body = re.sub("(.{900})..", "\\1\r\n", body) + "\r\n"
            client.envelope()
            client.send(HEAD + body + ".\r\n")
            name, got = server.queue.next()
            self.assertEqual(name, "SUBMIT" if size <= 65536 else "SUBMIT_OPEN")
            data = got.body if size <= 65536 else self.collect(server, got)
            self.assertTrue(data.decode().endswith(HEAD + body))
            self.assertLessEqual(abs(len(data) - size), 2)  # the ID's length may differ
            server.queue.send("SUBMITTED", key=got.key, verdict=STORED, text="")
            client.expect(250)

    def test_slow_disk_slows_the_client(self):
        server = self.serve()
        server.kill_queue()
        server.start_queue(credit=False)
        server.synced()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        body = self.body(20000000).encode()
        data = memoryview(HEAD.encode() + body + b".\r\n")
        client.socket.settimeout(1)
        sent = 0
        with self.assertRaises((TimeoutError, ssl.SSLError)):
            while sent < len(data):
                sent += client.socket.send(data[sent:sent + 16384])
        self.assertLess(sent, 16000000)
        self.assertLess(server.rss(), 120 << 20)
        other = server.client("mta")  # everybody else is served
        other.command("EHLO x.example", 250)
        server.queue.credit = True
        owed = server.queue.next()[1]
        self.assertEqual(owed.sender, "alice@example.org")

    def test_slow_disk_then_goes_on(self):
        server = self.serve()
        server.kill_queue()
        server.start_queue(credit=False)
        server.synced()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        body = self.body(9000000)
        client.socket.settimeout(30)
        import threading
        sender = threading.Thread(target=lambda: client.send(HEAD + body + ".\r\n"))
        sender.start()
        open_message = server.queue.expect("SUBMIT_OPEN")
        server.queue.send("CREDIT", bytes=open_message.payload_size, messages=1)
        time.sleep(0.5)
        data = b""
        while True:
            name, got = server.queue.next()
            server.queue.send("CREDIT", bytes=got.payload_size, messages=1)
            if name == "SUBMIT_END":
                break
            data += got.data
        sender.join()
        self.assertTrue(data.decode().endswith(HEAD + body))
        server.queue.send("SUBMITTED", key=got.key, verdict=STORED, text="")
        client.expect(250)

    def test_refused_in_the_middle(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + self.body(200000))
        key = server.queue.expect("SUBMIT_OPEN").key
        server.queue.send("SUBMITTED", key=key, verdict=DISK_FULL, text="")
        server.wait_event("refused")
        client.send(self.body(200000) + ".\r\n")
        client.expect("452 4.3.1")
        client.envelope()
        while server.queue.next(0.2):
            pass
        self.submit(server, client)

    def test_client_that_leaves_in_a_stream(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + self.body(200000))
        key = server.queue.expect("SUBMIT_OPEN").key
        client.close()
        while True:
            name, got = server.queue.next()
            self.assertEqual(got.key, key)
            if name == "SUBMIT_ABORT":
                break
            self.assertEqual(name, "SUBMIT_CHUNK")
        self.assertIn("inside the message", server.wait_event("refused")["reason"])

    def test_too_large_for_the_machine(self):
        server = self.serve("limits { message_size = 100K }")
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + self.body(300000) + ".\r\n")
        client.expect("552 5.3.4")
        names = []
        while (got := server.queue.next(0.3)) is not None:
            names.append(got[0])
        self.assertEqual((names[0], names[-1]), ("SUBMIT_OPEN", "SUBMIT_ABORT"))
        client.envelope()
        self.submit(server, client)

    def test_not_accepting(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.command("MAIL FROM:<alice@example.org>", 250)
        client.command("RCPT TO:<bob@example.net>", 250)
        server.queue.send("ACCEPTING", ok=False, code=452, status="4.3.1", text="The disk is full", largest=0)
        time.sleep(0.1)
        client.command("DATA", "452 4.3.1 The disk is full")
        client.command("RSET", 250)
        client.command("MAIL FROM:<alice@example.org>", "452 4.3.1 The disk is full")
        server.queue.send("ACCEPTING", ok=True, code=0, status="", text="", largest=5000)
        time.sleep(0.1)
        client.command("MAIL FROM:<alice@example.org> SIZE=5001", "452 4.3.1")
        client.command("MAIL FROM:<alice@example.org> SIZE=5000", 250)

    def test_keys_run_out(self):
        server = self.serve(ready=False)
        server.configure()
        server.start_auth()
        server.start_queue(keys=2)
        client = server.client(login=["alice@example.org"])
        client.envelope()
        self.assertEqual(server.queue.expect("KEYS_WANTED").count, 1024)
        self.submit(server, client)
        client.envelope()
        self.submit(server, client)
        client.command("MAIL FROM:<alice@example.org>", "451 4.3.0")
        server.queue.send("KEYS", first=5000, count=1)
        time.sleep(0.1)
        client.envelope()
        server.queue.expect("KEYS_WANTED")
        self.assertEqual(self.submit(server, client).key, 5000)

    def at_dot(self, server):
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + "x\r\n.\r\n")
        return client, server.queue.expect("SUBMIT")

    def test_death_behind_the_dot(self):
        server = self.serve()
        for stored, reply in [(True, 250), (False, "451 4.3.0")]:
            client, submit = self.at_dot(server)
            server.kill_queue()
            with self.assertRaises(TimeoutError):
                client.reply(0.3)
            server.start_queue()
            ask = server.queue.expect("ASK")
            self.assertEqual((ask.key, ask.random), (submit.key, submit.random))
            server.queue.send("KNOWN", key=submit.key, stored=stored)
            client.expect(reply)
            # Nothing new before auth has given the new queue our grants.
            client.command("MAIL FROM:<alice@example.org>", "451 4.3.0")
            server.synced()
            time.sleep(0.1)
            client.envelope()
            self.submit(server, client)
            client.close()
            server.auth.expect("GRANT_END")

    def test_two_deaths(self):
        server = self.serve()
        client, submit = self.at_dot(server)
        server.kill_queue()
        server.start_queue()
        server.queue.expect("ASK")
        server.kill_queue()
        server.start_queue()
        self.assertEqual(server.queue.expect("ASK").key, submit.key)
        server.queue.send("KNOWN", key=submit.key, stored=True)
        client.expect(250)

    def test_nobody_can_say(self):
        server = self.serve()
        client, _ = self.at_dot(server)
        server.kill_queue()
        started = time.monotonic()
        client.closed(15)
        self.assertGreater(time.monotonic() - started, 9)
        self.assertIn("nobody can say", server.wait_event("refused")["reason"])

    def test_client_leaves_while_held(self):
        server = self.serve()
        client, submit = self.at_dot(server)
        server.kill_queue()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        time.sleep(0.1)
        server.start_queue()
        got = server.queue.next(1)
        if got is not None:
            server.queue.send("KNOWN", key=submit.key, stored=True)
            server.wait_event("accepted")

    def test_death_in_a_stream(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + self.body(200000))
        server.queue.expect("SUBMIT_OPEN")
        server.kill_queue()
        server.start_queue()
        server.synced()
        client.send(self.body(200000) + ".\r\n")
        client.expect("451 4.3.0")
        server.queue.silent()
        client.envelope()
        self.submit(server, client)

    def test_death_before_the_dot(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        server.kill_queue()
        server.start_queue()
        server.synced()
        client.send(HEAD + "x\r\n.\r\n")  # its name is of the old queue
        client.expect("451 4.3.0")
        server.queue.silent()

    def test_hostile(self):
        for frame in [b"\0" * 64, encode("AUTH_OFFER", mechanisms="X"), struct.pack("=IHH", 3, 68, 0) + b"abc"]:
            with self.subTest(frame=frame[:16]):
                server = self.serve()
                client, submit = self.at_dot(server)
                server.queue.send("SUBMITTED", key=submit.key + 1, verdict=STORED, text="")  # nobody's
                server.queue.send("KNOWN", key=submit.key, stored=True)  # was not asked
                with self.assertRaises(TimeoutError):
                    client.reply(0.2)
                server.queue.raw(frame)
                server.queue.closed()
                server.start_queue()
                server.queue.expect("ASK")
                server.queue.send("KNOWN", key=submit.key, stored=False)
                client.expect("451 4.3.0")

    def test_stored_before_the_end_is_a_lie(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + self.body(200000))
        key = server.queue.expect("SUBMIT_OPEN").key
        server.queue.send("SUBMITTED", key=key, verdict=STORED, text="")
        server.queue.closed()
        client.send(".\r\n")
        client.expect("451 4.3.0")


class Life(Case):
    def test_nobody_is_let_in_too_early(self):
        server = self.serve(ready=False)
        server.configure()
        client = Client(server.ports["submission"])
        server.start_auth()
        with self.assertRaises(TimeoutError):
            client.reply(0.3)
        server.start_queue()
        client.expect(220)

    def test_reload(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.command("MAIL FROM:<alice@example.org>", 250)
        old = dict(server.ports)
        server.settings = "limits { message_size = 12345 }"
        server.listen()
        server.configure()
        fresh = server.client()
        self.assertIn("SIZE 12345", fresh.command("EHLO x.example", 250))
        client.command("RCPT TO:<bob@example.net>", 250)
        client.command("DATA", 354)
        self.submit(server, client)
        self.assertIn("SIZE 12345", client.command("EHLO x.example", 250))
        for s in server.sockets[:3]:
            s.close()
        with self.assertRaises(ConnectionRefusedError):
            Client(old["submission"])

    def test_refused_reload_changes_nothing(self):
        server = self.serve()
        good = (server.folder / "key.pem").read_bytes()
        (server.folder / "key.pem").write_text("no key")
        server.prepare()
        prepared = server.master.expect("PREPARED")
        self.assertFalse(prepared.ok)
        self.assertIn("certificate", prepared.error)
        server.master.send("ROLLBACK", generation=server.generation)
        (server.folder / "key.pem").write_bytes(good)
        server.client("submissions").command("EHLO x.example", 250)
        server.client("submission").starttls()
        server.configure()
        server.client("submissions").command("EHLO x.example", 250)

    def test_shutdown(self):
        server = self.serve()
        idle = server.client()
        idle.command("EHLO x.example", 250)
        silent = Client(server.ports["submissions"])
        busy = server.client(login=["alice@example.org"])
        busy.envelope()
        busy.send(HEAD + "half")
        waiting = server.client("mta")
        waiting.command("EHLO x.example", 250)
        waiting.envelope("x@evil.example", ["bob@example.org"])
        waiting.send(HEAD + "x\r\n.\r\n")
        first = server.queue.expect("SUBMIT")
        server.master.send("SHUTDOWN", within_in_ms=8000)
        idle.expect("421 4.3.2")
        idle.closed()
        silent.closed()
        time.sleep(0.2)
        busy.send("\r\n.\r\n")
        second = server.queue.expect("SUBMIT")
        for key, client in [(second.key, busy), (first.key, waiting)]:
            self.assertIsNone(server.process.poll())
            server.queue.send("SUBMITTED", key=key, verdict=STORED, text="")
            client.expect(250)
            client.expect("421 4.3.2")
            client.closed()
        self.assertEqual(server.process.wait(2), 0)

    def test_shutdown_waits_no_longer_than_told(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        started = time.monotonic()
        server.master.send("SHUTDOWN", within_in_ms=1500)
        self.assertEqual(server.process.wait(5), 0)
        self.assertGreater(time.monotonic() - started, 1)
        client.closed()

    def test_master_dies(self):
        server = self.serve()
        client = server.client()
        server.master.ours.close()
        client.expect("421 4.3.2")
        self.assertEqual(server.process.wait(5), 0)

    def test_too_many_sessions(self):
        server = self.serve("limits { sessions = 2 }")
        one, two = server.client(), server.client("submissions")
        three = Client(server.ports["submission"])
        three.expect("421 4.3.2")
        three.closed()
        self.assertEqual(server.wait_event("connect-refused")["reason"], "limits.sessions is reached")
        one.command("QUIT", 221)
        one.closed()
        server.client().command("NOOP", 250)
        two.command("NOOP", 250)

    def test_timeouts(self):
        server = self.serve("timeouts { command = 1s  data_block = 1s  handshake = 1s  login = 1s }")
        quiet = server.client("mta")
        half = Client(server.ports["submissions"]) if False else socket.create_connection(
            ("127.0.0.1", server.ports["submissions"]))
        late = server.client()  # talks, but does not log in
        body = server.client(login=["alice@example.org"])
        body.envelope()
        body.send(HEAD)
        started = time.monotonic()
        for _ in range(3):
            late.command("NOOP", 250)
            time.sleep(0.25)
        quiet.expect("421 4.4.2")
        quiet.closed()
        late.expect("421 4.4.2")
        late.closed()
        body.closed()
        half.settimeout(5)
        self.assertEqual(half.recv(10), b"")
        half.close()
        self.assertLess(time.monotonic() - started, 4)
        self.assertTrue(any("handshake" in e["reason"] for e in server.events("connect-refused")))

    def test_tls_where_it_does_not_belong(self):
        server = self.serve()
        with self.assertRaises(ssl.SSLError):
            Client(server.ports["submission"], implicit=True)
        self.assertIn("speaks TLS at once", server.wait_event("refused")["reason"])
        plain = socket.create_connection(("127.0.0.1", server.ports["submissions"]))
        plain.sendall(b"EHLO x.example\r\n")
        plain.settimeout(5)
        try:
            plain.recv(100)
        except ConnectionResetError:
            pass
        plain.close()
        self.assertIn("speaks no TLS", server.wait_event("connect-refused")["reason"])

    def test_starttls_forgets(self):
        server = self.serve()
        client = server.client("mta")
        client.command("EHLO before.example", 250)
        client.command("MAIL FROM:<x@evil.example>", 250)
        client.command("STARTTLS", 220)
        client.wrap()
        client.command("MAIL FROM:<x@evil.example>", 503)
        client.command("HELO after.example", 250)
        client.envelope("x@evil.example", ["bob@example.org"])
        self.assertIn("from after.example", self.submit(server, client).body.decode())

    def test_injection_before_tls(self):
        server = self.serve()
        client = server.client("mta")
        client.command("EHLO before.example", 250)
        client.send("STARTTLS\r\nNOOP\r\n")
        client.expect("554 5.5.0")
        client.closed()

    def test_idle_connections_are_small(self):
        server = self.serve("limits { sessions = 2000 }")
        first = [server.client(login=["alice@example.org"]) for _ in range(20)]
        time.sleep(2.2)
        before = server.rss()
        started = time.monotonic()
        clients = [server.client(login=["alice@example.org"]) for _ in range(300)]
        # Memory is given back in rounds that are 10 s apart.
        while (each := (server.rss() - before) / len(clients)) > 20 * 1024 and time.monotonic() < started + 14:
            time.sleep(0.5)
        if "sanitize" not in ENCODER:
            self.assertLess(each, 24 * 1024, f"{each:.0f} bytes")
        for client in first + clients:
            client.close()

    def test_passwords_are_not_logged(self):
        server = self.serve()
        client = server.client("mta")
        client.command("EHLO x.example", 250)
        client.command(f"AUTH PLAIN {PLAIN}", 538)
        client.command("hunter2secret", 500)
        client.starttls()
        client.command("EHLO x.example", 250)
        server.login(client)
        time.sleep(0.1)
        log = server.log_text()
        for secret in [PLAIN, "hunter2secret", "secret"]:
            self.assertNotIn(secret, log)


if __name__ == "__main__":
    PROGRAM, ENCODER = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], warnings="ignore")
