# SPDX-License-Identifier: Apache-2.0
"""Start, reload, stop, limits, time-outs, TLS."""
import select
import socket
import ssl
import threading
import time
from pathlib import Path

from case import HEAD, PROGRAM, Case, main
from server import PLAIN, STORED, Client


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

    def test_nobody_comes_in_before_auth_says_so(self):
        server = self.serve()
        server.auth.admits = False
        one, two = Client(server.ports["submission"]), Client(server.ports["submission"])
        first, second = server.auth.expect("KNOCK"), server.auth.expect("KNOCK")
        self.assertEqual((first.client, first.inside), ("127.0.0.1", False))
        self.assertNotEqual(first.id, second.id)
        self.assertEqual(select.select([one.socket, two.socket], [], [], 0.3)[0], [])
        server.auth.send("ADMIT", id=first.id)
        server.auth.send("TURN_AWAY", id=second.id, code=421, status="4.3.2", text="No room", reason="a limit")
        one.expect(220)
        two.expect("421 4.3.2 No room")
        two.closed()
        self.assertEqual(server.wait_event("connect-refused")["reason"], "a limit")
        # One that is in makes room; its number is told as gone, whoever ended it.
        server.auth.send("TURN_AWAY", id=first.id, code=421, status="4.3.2", text="Make room", reason="another")
        one.expect("421 4.3.2 Make room")
        one.closed()
        self.assertEqual(server.auth.expect("LEFT").id, first.id)
        self.assertEqual(server.wait_event("refused")["reason"], "another")
        server.auth.send("ADMIT", id=first.id)  # of nobody: no harm
        server.auth.admits = True
        server.client().command("NOOP", 250)

    def test_m1_who_hangs_up_at_the_door_waits_no_more(self):
        """However it hangs up, and whatever it has sent before."""
        server = self.serve()
        server.auth.admits = False
        waiting = [Client(server.ports[name]) for name in ["submission", "mta", "submission"]]
        knocks = [server.auth.expect("KNOCK") for _ in waiting]
        waiting[1].send("EHLO too.early\r\n")
        waiting[0].close()
        waiting[1].close()
        self.assertEqual({server.auth.expect("LEFT").id for _ in range(2)}, {knocks[0].id, knocks[1].id})
        server.auth.send("ADMIT", id=knocks[0].id)  # crossed the news
        server.auth.send("ADMIT", id=knocks[2].id)
        waiting[2].expect(220)
        waiting[2].command("NOOP", 250)

    def test_auth_hears_who_leaves_as_all_ends(self):
        server = self.serve()
        server.auth.admits = False
        waiting = Client(server.ports["submission"])
        knock = server.auth.expect("KNOCK")
        server.master.send("SHUTDOWN", within_in_ms=2000)
        waiting.expect("421 4.3.2 Shutting down")
        self.assertEqual(server.auth.expect("LEFT").id, knock.id)
        self.assertEqual(server.process.wait(10), 0)

    def test_a_new_auth_hears_of_all(self):
        server = self.serve()
        inside = server.client()
        server.auth.admits = False
        waiting = Client(server.ports["submission"])
        server.auth.expect("KNOCK")
        server.auth.close()
        inside.command("NOOP", 250)
        server.start_auth(admits=False)
        knocks = [server.auth.expect("KNOCK") for _ in range(2)]
        self.assertEqual([k.inside for k in knocks], [True, False])
        server.auth.send("ADMIT", id=knocks[1].id)
        waiting.expect(220)

    def test_timeouts(self):
        server = self.serve("timeouts { command = 1s  data_block = 1s  handshake = 1s  login = 1s }")
        quiet = server.client("mta")
        half = socket.create_connection(("127.0.0.1", server.ports["submissions"]))
        half.sendall(b"\x16\x03\x01")
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
        self.assertEqual(plain.recv(100),
                         b"421 4.7.0 This port expects TLS at once; use port 587 for STARTTLS\r\n")
        plain.close()
        self.assertIn("speaks SMTP in clear", server.wait_event("refused", 2)["reason"])

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

    def test_no_reply_is_forgotten_at_the_end(self):
        """Many commands in one go: the last reply goes out, too, before the server closes."""
        server = self.serve()
        client = server.client("mta")
        client.command("EHLO x.example", 250)
        threading.Thread(target=client.send, args=["NOOP\r\n" * 9000 + "QUIT\r\n"]).start()
        time.sleep(0.3)
        for _ in range(9000):
            client.expect("250 2.0.0")
        client.expect(221)
        client.closed()

    def test_no_reply_crosses_into_tls(self):
        """What was said in clear is answered in clear, however much of it there is."""
        server = self.serve()
        client = server.client("mta")
        client.command("EHLO x.example", 250)
        client.send("NOOP\r\n" * 9000 + "STARTTLS\r\n")
        for _ in range(9000):
            client.expect("250 2.0.0")
        client.expect("220 2.0.0")
        client.wrap()
        client.command("EHLO x.example", "250-mail")

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
        if b"__asan_init" not in Path(PROGRAM).read_bytes():
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
    main()
