# SPDX-License-Identifier: Apache-2.0
"""What clients ask for beyond plain mail, and the words for the administrator where they err."""
import time

from case import HEAD, Case, main
from server import STORED


class Extensions(Case):
    def user(self, settings="", listener="submissions"):
        server = self.serve(settings)
        return server, server.client(listener, login=["alice@example.org"])

    def test_offer(self):
        server, client = self.user()
        lines = client.command("EHLO client.example", 250).replace("250-", "").replace("250 ", "").split("\n")
        for word in ["SMTPUTF8", "CHUNKING", "DSN", "DELIVERBY", "MT-PRIORITY", "REQUIRETLS", "ETRN",
                     "LIMITS RCPTMAX=500", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"]:
            self.assertIn(word, lines)
        self.assertNotIn("BINARYMIME", lines)
        seconds, until = next(line for line in lines if line.startswith("FUTURERELEASE")).split()[1:]
        self.assertEqual(int(seconds), 30 * 86400)
        wall = time.mktime(time.strptime(until, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        self.assertLess(abs(wall - time.time() - 30 * 86400), 60)
        # A stranger may ask for less, and without TLS for less still.
        stranger = server.client("mta")
        lines = stranger.command("EHLO mx.example", 250).replace("250-", "").replace("250 ", "").split("\n")
        for word in ["SMTPUTF8", "CHUNKING", "DSN", "LIMITS RCPTMAX=500"]:
            self.assertIn(word, lines)
        for word in ["DELIVERBY", "MT-PRIORITY", "REQUIRETLS", "ETRN"]:
            self.assertNotIn(word, lines)

    def test_terms_reach_the_queue(self):
        server, client = self.user()
        before = time.time()
        client.command("MAIL FROM:<alice@example.org> RET=HDRS ENVID=QQ+2B1 HOLDFOR=60 BY=3600;RT MT-PRIORITY=-4 "
                       "REQUIRETLS SMTPUTF8 BODY=8BITMIME", 250)
        client.command("RCPT TO:<bob@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@example.com", 250)
        client.command("RCPT TO:<caf\u00e9@b\u00fccher.example> NOTIFY=NEVER".encode().decode("latin-1"), 250)
        client.command("DATA", 354)
        got = self.submit(server, client)
        after = time.time()
        self.assertEqual((got.envid, got.ret, got.priority, got.by_mode, got.by_trace), ("QQ+2B1", 2, 6, 1, 1))
        self.assertTrue(before + 60 <= got.release_at / 1000 + 0.01 and got.release_at / 1000 <= after + 60)
        self.assertTrue(before + 3600 <= got.deliver_by / 1000 + 0.01 and got.deliver_by / 1000 <= after + 3600)
        self.assertEqual([(r.address, r.notify, r.orcpt) for r in got.recipients],
                         [("bob@example.net", 10, "rfc822;bob+2Bx@example.com"),
                          ("caf\u00e9@xn--bcher-kva.example", 1, "")])

    def test_f2_chunks(self):
        server, client = self.user()
        client.command("MAIL FROM:<alice@example.org>", 250)
        client.command("RCPT TO:<bob@example.net>", 250)
        head = HEAD.encode()
        body = b"x\r\n.\r\nMAIL FROM:<evil@example.net>\r\nQUIT\r\n"
        client.send(b"BDAT %d\r\n" % len(head) + head)
        client.expect(250)
        client.send(b"BDAT %d LAST\r\n" % len(body) + body)
        got = server.queue.expect("SUBMIT")
        self.assertTrue(got.body.endswith(head + body))
        server.queue.send("SUBMITTED", key=got.key, verdict=STORED, text="")
        client.expect(250)
        # One that is refused: its octets are no commands, and the session goes on.
        client.command("MAIL FROM:<alice@example.org>", 250)
        client.send(b"BDAT %d LAST\r\n" % len(body) + body)
        client.expect("554 5.5.1")
        client.command("NOOP", 250)

    def test_large_chunks(self):
        server, client = self.user()
        client.command("MAIL FROM:<alice@example.org>", 250)
        client.command("RCPT TO:<bob@example.net>", 250)
        line = b"0123456789" * 7 + b"\r\n"
        part = line * 3000
        client.send(b"BDAT %d\r\n" % len(HEAD) + HEAD.encode())
        client.expect(250)
        for _ in range(3):
            client.send(b"BDAT %d\r\n" % len(part))
            client.send(part)
        client.send(b"BDAT 0 LAST\r\n")
        opened = server.queue.expect("SUBMIT_OPEN")
        data, name = b"", ""
        while name != "SUBMIT_END":
            name, msg = server.queue.next()
            if name == "SUBMIT_CHUNK":
                data += msg.data
        self.assertTrue(data.endswith(HEAD.encode() + 3 * part))
        server.queue.send("SUBMITTED", key=opened.key, verdict=STORED, text="")
        for _ in range(4):
            client.expect(250)

    def test_d14_etrn(self):
        server, client = self.user()
        for done, recipients, code in [(253, 3, "253 2.0.0 3 recipients"), (251, 0, "251 2.0.0"),
                                       (250, 0, "250 2.0.0 Its mail is being tried")]:
            client.send("ETRN Example.NET\r\n")
            asked = server.queue.expect("ETRN")
            self.assertEqual(asked.domain, "example.net")
            server.queue.send("ETRN_DONE", session=asked.session, code=done, recipients=recipients)
            client.expect(code)
        client.send("ETRN example.net\r\n")
        asked = server.queue.expect("ETRN")
        server.queue.send("ETRN_DONE", session=asked.session, code=459, recipients=0)
        client.expect("458 4.3.0")
        self.assertEqual(server.wait_event("etrn", 3)["domain"], "example.net")
        # queue dies over it.
        client.send("ETRN example.net\r\n")
        server.queue.expect("ETRN")
        server.kill_queue()
        client.expect("458 4.3.0")
        # Another listener does not allow it, and answers for sessions that are gone hurt nobody.
        server.start_queue()
        server.queue.send("ETRN_DONE", session=1 << 40, code=250, recipients=1)
        other = server.client("submission", login=["alice@example.org"])
        other.command("ETRN example.net", "502 5.5.1")

    def test_line_rules_are_settings(self):
        server, client = self.user('limits { long_lines = "refuse"  bare_newline = "refuse" }')
        client.envelope()
        client.send(HEAD + "x" * 999 + "\r\n.\r\n")
        client.expect("554 5.6.0")
        client.envelope()
        self.submit(server, client, "x" * 998 + "\r\n")
        client.envelope()
        client.send(HEAD + "bare\nnewline\r\n.\r\n")
        client.expect("521 5.5.2")
        client.closed()

    def last_reason(self, server, reply):
        """The reason in the last line about a refusal with this reply."""
        lines = [line for line in server.events("refused") if line.get("reply", "").startswith(reply)]
        self.assertTrue(lines, server.log_text())
        return lines[-1]["reason"]

    def test_what_clients_did_wrong(self):
        server = self.serve()
        client = server.client("submission")
        client.command("EHLO client.example", 250)
        client.command("AUTH PLAIN AGFsaWNlAHJpZ2h0", "538 5.7.11")
        self.assertIn("without TLS: turn on STARTTLS", self.last_reason(server, "538"))
        client = server.client("submissions")
        client.command("EHLO client.example", 250)
        client.command("MAIL FROM:<alice@example.org>", "530 5.7.0")
        self.assertIn("settings lack user name and password", self.last_reason(server, "530"))
        client.command("AUTH DIGEST-MD5", "504 5.5.4")
        self.assertIn("mechanism that is not offered", self.last_reason(server, "504"))
        client.command("AUTH PLAIN !!!", "501 5.5.2")
        self.assertIn("not base64", self.last_reason(server, "501 5.5.2"))
        client.command("c2VjcmV0", "500 5.5.1")
        self.assertIn("no command", self.last_reason(server, "500 5.5.1"))
        self.assertNotIn("c2VjcmV0", server.log_text())
        server.login(client)
        client.command("MAIL FROM:alice@example.org", "501 5.1.7")
        self.assertIn("angle brackets", self.last_reason(server, "501 5.1.7"))
        client.command("MAIL FROM:<alice>", "501 5.1.7")
        self.assertIn("has no domain", self.last_reason(server, "501 5.1.7"))
        client.command("MAIL FROM:<\u00e9@example.org>".encode().decode("latin-1"), "553 5.6.7")
        self.assertIn("without SMTPUTF8", self.last_reason(server, "553 5.6.7"))
        client.command("MAIL FROM:<alice@example.org> X-PRIVATE=1", "555 5.5.4")
        self.assertIn("extension that was not offered", self.last_reason(server, "555"))
        client.command("RCPT TO:<bob@example.net>", "503 5.5.1")
        self.assertIn("wrong order", self.last_reason(server, "503 5.5.1"))
        client.send("NOOP\nNOOP\r\n")
        client.expect("500 5.5.2")
        self.assertIn("LF alone", self.last_reason(server, "500 5.5.2"))
        client.command("MAIL FROM:<alice@example.org>", 250)
        client.command("RCPT TO:<bob@example.net>", 250)
        client.send("DATA\r\nSubject: too early\r\n")
        client.expect("554 5.5.0")
        self.assertIn("does not wait", self.last_reason(server, "554 5.5.0"))
        browser = server.client("submission")
        browser.send("GET / HTTP/1.1\r\n\r\n")
        browser.expect("421 4.7.0")
        self.assertIn("does not speak SMTP", self.last_reason(server, "421 4.7.0"))
        lf = server.client("submission")
        lf.send("EHLO x\n")
        lf.expect("500 5.5.2")
        self.assertIn("LF alone", self.last_reason(server, "500 5.5.2"))


if __name__ == "__main__":
    main()
