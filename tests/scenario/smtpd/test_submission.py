# SPDX-License-Identifier: Apache-2.0
"""Messages of people who are logged in, from MAIL to the final reply."""
import socket
import struct
import time

from case import HEAD, Case, main
from channels import encode
from server import BAD_SENDER, DISK_FULL, NO_GRANT, OVER_BUDGET, PLAIN, STORED, STORE_ERROR, STORE_UNSURE


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
        self.assertRegex(trace, r"^Received: from authenticated-user \(account alice\)\r\n\tby mail\.example\.org with ESMTPSA id [0-9a-z-]+"
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
        for field in ["From: alice@example.org bob@example.org", "From : alice@example.org", "From:",
                      "From: alice@example.org\r\nFrom: alice@example.org", " From: alice@example.org",
                      "From: <@evil.example:alice@example.org>", "From: bob@example.org <alice@example.org>"]:
            client.envelope()
            client.send(field + "\r\n\r\nx\r\n.\r\n")
            client.expect("550 5.6.0")
        server.queue.silent()

    def test_what_queue_is_told_of_a_message(self):
        """Flags that come of the header and the body: 8BIT 1, TLS_OPTIONAL 32; REQUIRETLS 16 has the last word."""
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        optional = HEAD.replace("Subject:", "TLS-Required: No\r\nSubject:")
        for head, body, parameters, flags in [
                (HEAD, "plain\r\n", "", 0), (HEAD, "gr\u00fcn\r\n", "", 1), (optional, "plain\r\n", "", 32),
                (optional, "plain\r\n", " REQUIRETLS", 16), (optional.replace("No", "Yes"), "plain\r\n", "", 0)]:
            client.command("MAIL FROM:<alice@example.org>" + parameters, 250)
            client.command("RCPT TO:<bob@example.net>", 250)
            client.command("DATA", 354)
            got = self.submit(server, client, body, head=head)
            self.assertEqual(got.flags & (1 | 16 | 32), flags, (head, parameters))

    def test_long_message_with_a_late_surprise(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        client.send(HEAD + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 2000 + "gr\u00fcn\r\n.\r\n")
        opened = server.queue.expect("SUBMIT_OPEN")
        self.assertEqual(opened.flags & 1, 0)
        name = ""
        while name != "SUBMIT_END":
            name, message = server.queue.next()
        self.assertEqual(message.flags & 1, 1)
        server.queue.send("SUBMITTED", key=opened.key, verdict=STORED, text="")
        client.expect(250)

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


if __name__ == "__main__":
    main()
