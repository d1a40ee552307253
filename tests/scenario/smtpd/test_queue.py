# SPDX-License-Identifier: Apache-2.0
"""Bodies on their way, and a queue process that is slow, lies or dies."""
import contextlib
import os
import re
import socket
import ssl
import struct
import threading
import time

from case import HEAD, Case, key_of, main
from channels import encode
from server import DISK_FULL, STORED, offers


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

    def test_refused_at_the_end(self):
        """A full disk, most often: the session goes on, and so do all others of the process."""
        server = self.serve()
        client = server.client(login=["alice@example.org"])
        for _ in range(2):
            client.envelope()
            client.send(HEAD + self.body(300000) + ".\r\n")
            open_message = server.queue.expect("SUBMIT_OPEN")
            self.collect(server, open_message)
            server.queue.send("SUBMITTED", key=open_message.key, verdict=DISK_FULL, text="")
            client.expect("452 4.3.1")
        client.command("NOOP", 250)

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
        time.sleep(0.3)
        client.send(HEAD + "x\r\n.\r\n")  # its name is of the old queue
        client.expect("451 4.3.0")
        server.queue.silent()

    def test_hostile(self):
        for frame in [b"\0" * 64, encode("AUTH_OFFER", offers=offers("X")), struct.pack("=IHH", 3, 68, 0) + b"abc"]:
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

    def test_descriptors_that_nobody_asked_for(self):
        server = self.serve()
        folder = f"/proc/{server.process.pid}/fd"
        server.client("mta").command("QUIT", 221)  # served: it has all its channels
        before = len(os.listdir(folder))
        for _ in range(3):
            for neighbour in (server.queue, server.auth):
                with contextlib.suppress(BrokenPipeError):
                    neighbour.send("PEER", fd=server.log_file.fileno(), role=1, index=0, incarnation=1)
                neighbour.closed()
            server.start_auth()
            server.start_queue()
        server.synced()
        server.client("mta").command("QUIT", 221)
        self.assertLessEqual(len(os.listdir(folder)), before + 2)  # the client's may still be open

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


if __name__ == "__main__":
    main()
