# SPDX-License-Identifier: Apache-2.0
"""What happens when auth or queue does not answer for minutes: time passes 400 times as fast here."""
import ssl
import threading

from case import HEAD, Case, main

PATIENT = "timeouts { command = 1h  data_block = 1h  handshake = 10m  login = 1h }"


class Fast(Case):
    def test_stalled_session_ends(self):
        """Its place among those that wait for credit goes with it."""
        server = self.serve(PATIENT)
        server.kill_queue()
        server.start_queue(credit=False)
        server.synced()
        client = server.client(login=["alice@example.org"])
        client.envelope()
        sender = threading.Thread(target=self.send_much, args=[client])
        sender.start()
        owed, count = 0, 0
        while (got := server.queue.next(5)) is not None:
            if got[0] != "SUBMIT_ABORT":
                owed, count = owed + got[1].payload_size, count + 1
        sender.join(20)
        self.assertFalse(sender.is_alive())
        server.wait_event("refused")
        server.queue.send("CREDIT", bytes=owed, messages=count)
        server.client("mta").command("EHLO x.example", 250)

    @staticmethod
    def send_much(client):
        try:
            client.send(HEAD + "A line of the message.\r\n" * 1000000)
        except (ssl.SSLError, OSError):
            pass


if __name__ == "__main__":
    main()
