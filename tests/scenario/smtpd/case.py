# SPDX-License-Identifier: Apache-2.0
"""What the scenarios of smtpd share. usage of each: test_NAME.py SMTPD ENCODER [test ...]"""
import re
import sys
import unittest

from server import STORED, Server

HEAD = ("From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n"
        "Date: Thu, 01 Jan 2026 12:00:00 +0100\r\nMessage-ID: <1@client.example>\r\n\r\n")
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
PROGRAM, ENCODER = sys.argv[1:3]


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


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], warnings="ignore")
