# SPDX-License-Identifier: Apache-2.0
"""Logins, and an auth process that lies or dies."""
import socket
import struct
import time

from case import HEAD, Case, main
from channels import encode
from server import NO_GRANT, PLAIN, STORED, Client


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
        self.assertEqual((failed["account"], failed["reason"], failed["client"], failed["mech"]),
                         ("alice", "bad password", "127.0.0.1", "LOGIN"))
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

    def revocable(self, server, grant):
        client = server.client("submissions")
        client.command("EHLO client.example", 250)
        server.login(client, grant=grant)
        return client

    def test_c14_a_login_that_is_taken_back_ends_at_once(self):
        server = self.serve()
        keeps, client = self.revocable(server, 4), self.revocable(server, 5)
        server.auth.send("GRANT_LOST", grant=0, reason="nobody's")
        server.auth.send("GRANT_LOST", grant=99, reason="frozen")
        client.envelope()
        self.submit(server, client)
        server.auth.send("GRANT_LOST", grant=5, reason="frozen")
        client.expect("421 4.3.0")
        client.closed()
        self.assertEqual(server.wait_event("note")["reason"], "frozen")
        keeps.command("NOOP", 250)

    def test_c14_a_message_under_way_is_answered_before_the_end(self):
        server = self.serve()
        envelope, body, sent = (self.revocable(server, grant) for grant in (6, 7, 8))
        envelope.command("MAIL FROM:<alice@example.org>", 250)
        body.envelope()
        body.send(HEAD + "half")
        sent.envelope()
        sent.send(HEAD + "all.\r\n.\r\n")
        first = server.queue.expect("SUBMIT")
        for grant in (6, 7, 8):
            server.auth.send("GRANT_LOST", grant=grant, reason="frozen")
        server.wait_event("note", 3)
        body.send("\r\n.\r\n")
        second = server.queue.expect("SUBMIT")
        for client, key, verdict, reply in [(sent, first.key, STORED, 250), (body, second.key, NO_GRANT, "451 4.3.0")]:
            server.queue.send("SUBMITTED", key=key, verdict=verdict, text="")
            client.expect(reply)
            client.expect("421 4.3.0")
            client.closed()
        # Nothing is begun any more: who gives a message up is out as well.
        envelope.command("RSET", 250)
        envelope.expect("421 4.3.0")
        envelope.closed()

    def test_c14_etrn_and_pipelines_end_too(self):
        server = self.serve()
        asks, writes = self.revocable(server, 5), self.revocable(server, 6)
        asks.send("ETRN example.org\r\n")
        server.queue.expect("ETRN")
        writes.send("MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\nRSET\r\nNOOP\r\n")
        for _ in range(4):
            writes.expect(250)
        for grant in (5, 6):
            server.auth.send("GRANT_LOST", grant=grant, reason="frozen")
        for client in (asks, writes):
            client.expect("421 4.3.0")
            client.closed()

    def counting(self, server, client):
        """A recipient of a new message, about which auth was asked and has not answered; the question."""
        client.command("MAIL FROM:<alice@example.org>", 250)
        server.auth.admits = False
        client.send("RCPT TO:<bob@example.net>\r\n")
        return server.auth.expect("COUNT")

    def counted(self, server, asked, code=0, status="", text="", reason=""):
        server.auth.send("COUNTED", session=asked.session, grant=asked.grant, code=code, status=status, text=text, reason=reason)

    def test_c19_auth_counts_recipients(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        asked = self.counting(server, client)
        self.assertEqual((asked.grant, asked.in_message, asked.recipient), (5, 0, "bob@example.net"))
        self.counted(server, asked, 452, "4.7.1", "That is enough for now", "a limit")
        client.expect("452 4.7.1 That is enough for now")
        self.assertEqual(server.wait_event("refused")["reason"], "a limit")
        for known in range(2):
            client.send(f"RCPT TO:<bob{known}@example.net>\r\n")
            asked = server.auth.expect("COUNT")
            self.assertEqual((asked.in_message, asked.recipient), (known, f"bob{known}@example.net"))
            self.counted(server, asked)
            client.expect(250)
        client.command("RSET", 250)
        given_up = server.auth.expect("UNCOUNT")
        self.assertEqual((given_up.grant, given_up.recipients), (5, 2))

    def test_c19_an_answer_that_comes_too_late_counts_for_nobody(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        asked = self.counting(server, client)
        server.auth.send("TURN_AWAY", id=asked.session, code=421, status="4.3.2", text="Make room", reason="a limit")
        client.expect("421 4.3.2 Make room")
        client.closed()
        self.assertEqual(server.auth.expect("GRANT_END").grant, 5)
        self.assertEqual(server.auth.expect("LEFT").id, asked.session)
        self.counted(server, asked)
        late = server.auth.expect("UNCOUNT")
        self.assertEqual((late.grant, late.recipients), (5, 1))

    def test_c19_auth_dies_before_it_answers(self):
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        self.counting(server, client)
        server.auth.close()
        client.expect("451 4.3.0 Your sending limits cannot be looked up right now")
        client.command("RSET", 250)
        client.command("MAIL FROM:<alice@example.org>", "421 4.3.0")

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


if __name__ == "__main__":
    main()
