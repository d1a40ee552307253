# SPDX-License-Identifier: Apache-2.0
"""Reverse names of clients: for the log alone, checked, and never waited for."""
import os
import signal
import socket
import threading
import time

import pytest
from support import mail
from support.behind import Behind
from support.nsd import Nsd
from support.postern import CONF, PASSWORD
from support.process import free_ports, wait_for

BEHIND = CONF + 'listen "behind" {{ address = "127.0.0.1:{behind}"  auth = "optional"  proxy_from = "127.0.0.1" }}\n'
NIBBLES = ".".join(reversed("20010db8000000000000000000000007"))
ZONES = {
    "100.51.198.in-addr.arpa": "7 IN PTR mail.client.example.\n"
                               "8 IN PTR liar.client.example.\n"
                               "9 IN PTR a\\032b.client.example.\n"
                               "10 IN PTR a\\013\\010event=login.client.example.\n"
                               "11 IN PTR a\\000b.client.example.\n"
                               "12 IN PTR /\\046\\046/\\046\\046/etc.client.example.\n"
                               "13 IN PTR \\027[2J\\226\\128\\174.client.example.\n"
                               "14 IN PTR unknown.\n"
                               "15 IN PTR liar.client.example.\n15 IN PTR mail2.client.example.\n"
                               "16 IN PTR MAIL3.Client.Example.\n",
    "8.b.d.0.1.0.0.2.ip6.arpa": f"{NIBBLES[:-16]} IN PTR six.client.example.\n",
    "client.example": "mail IN A 198.51.100.7\nmail2 IN A 192.0.2.1\nmail2 IN A 198.51.100.15\nmail3 IN A 198.51.100.16\n"
                      "liar IN A 192.0.2.99\nsix IN AAAA 2001:db8::7\n"
                      "a\\032b IN A 198.51.100.9\n",
}


class Named(Behind):
    def __init__(self, resolver, **options):
        self.resolver = resolver
        routes = ('route "all" {{ via = "capture:{folder}/capture" }}\n'
                  f'delivery {{{{ resolvers = "{resolver}" }}}}')
        super().__init__(conf=BEHIND, routes=routes, **options)

    def connect(self, client):
        raw = self.come(client)
        began = time.monotonic()
        assert raw.reply().startswith("220")
        return raw, time.monotonic() - began


def name_in_log(server, client):
    """Asks for what is refused until the name is in the line that tells of it."""
    raw, _ = server.connect(client)
    with raw:
        raw.command("EHLO client.example", 250)

        def seen():
            raw.command("MAIL FROM:<x@elsewhere.example>", 250)
            assert raw.command("RCPT TO:<y@elsewhere.example>").startswith("550")
            raw.command("RSET", 250)
            return [e["client_name"] for e in server.events("refused", client=client) if "client_name" in e]
        return wait_for(seen, lambda: server.tail(), pause=0.2)[0]


@pytest.fixture(scope="module")
def server(unpacked):
    with Nsd(ZONES) as nsd, Named(nsd.resolver, limits="errors = 1000  bad_recipients = 0") as s:
        yield s


@pytest.mark.parametrize("client, name", [
    ("198.51.100.7", "mail.client.example"), ("2001:db8::7", "six.client.example"),
    ("198.51.100.15", "mail2.client.example"), ("198.51.100.16", "mail3.client.example"),
    ("198.51.100.8", "unknown"),  # the name has another address
    ("198.51.100.99", "unknown"), ("203.0.113.1", "unknown"),  # no such name
    ("198.51.100.14", "unknown")])  # a name that says nothing
def test_names_are_looked_up_and_checked(server, client, name):
    assert name_in_log(server, client) == name


@pytest.mark.parametrize("client", ["198.51.100.9", "198.51.100.10", "198.51.100.11", "198.51.100.12", "198.51.100.13"],
                         ids=["space", "crlf", "nul", "path", "escapes"])
def test_k7_names_that_are_none_of_a_host(server, client):
    assert name_in_log(server, client) == "unknown"


def test_names_are_in_the_lines_of_logins_and_messages(server):
    name_in_log(server, "198.51.100.7")  # from now on it is known at once
    raw, _ = server.connect("198.51.100.7")
    with raw:
        raw.starttls()
        raw.login("alice", PASSWORD)
        raw.envelope()
        raw.send(mail.message("With a name") + b"\r\n.\r\n")
        assert raw.reply().startswith("250")
    assert server.wait_event("login", client="198.51.100.7")["client_name"] == "mail.client.example"
    assert server.wait_event("accepted", client="198.51.100.7")["client_name"] == "mail.client.example"
    assert not [e for e in server.events() if e.get("client") == "127.0.0.1" and "client_name" in e]


class Silent:
    """A name server that takes questions and says nothing."""

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.asked, self.over = 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.over:
            try:
                self.socket.recv(4096)
                self.asked += 1
            except TimeoutError:
                pass

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.socket.close()


def greets_many(server, first, count):
    """More clients than look-ups are done at a time: each is greeted while none has its answer."""
    began = time.monotonic()
    held = [server.connect(f"198.51.100.{first + n}")[0] for n in range(count)]
    with server.client() as client:
        client.sendmail("alice@example.org", ["bob@sink.example"], mail.message("Meanwhile"))
    for raw in held:
        raw.command("NOOP", 250)
        raw.close()
    return time.monotonic() - began


def test_names_silent_server_delays_nobody():
    with Silent() as silent, Named(f"127.0.0.1@{silent.socket.getsockname()[1]}") as server:
        took = greets_many(server, 1, 100)
        assert took < 15, f"{took:.1f} s, as if somebody waited for the look-ups"
        wait_for(lambda: silent.asked > 0, "a question to the name server")  # they were really asked
        assert not [e for e in server.events() if "client_name" in e]


def test_names_no_server_delays_nobody():
    with Named(f"127.0.0.1@{free_ports(1)[0]}") as server:
        assert greets_many(server, 1, 70) < 15


def test_names_can_be_switched_off():
    with Silent() as silent:
        with Named(f"127.0.0.1@{silent.socket.getsockname()[1]}") as server:
            conf = server.conf.read_text().replace('format = "json"', 'format = "json"  reverse_lookup = no')
            server.conf.write_text(conf)
            server.command("reload", check=True)
            before = silent.asked
            raw, _ = server.connect("198.51.100.7")
            with raw:
                raw.command("EHLO client.example", 250)
                raw.command("MAIL FROM:<x@elsewhere.example>", 250)
                raw.command("RCPT TO:<y@elsewhere.example>", 550)
            server.wait_event("refused", client="198.51.100.7")
            assert silent.asked == before


def test_names_without_relay_nothing_changes(unpacked):
    with Nsd(ZONES) as nsd, Named(nsd.resolver) as server:
        server.expect_deaths = True
        os.kill(server.pid("relay"), signal.SIGKILL)
        raw, _ = server.connect("198.51.100.7")
        with raw:
            raw.command("EHLO client.example", 250)
            raw.command("NOOP", 250)

        def later_client():
            fresh, _ = server.connect("198.51.100.7")
            with fresh:
                fresh.command("EHLO client.example", 250)
                fresh.command("MAIL FROM:<x@elsewhere.example>", 250)
                for _ in range(3):
                    fresh.command("RCPT TO:<y@elsewhere.example>", 550)
                    time.sleep(0.1)  # the answer may come meanwhile
            return server.events("refused", client="198.51.100.7", client_name="mail.client.example")
        wait_for(later_client, lambda: server.tail())  # the relay that came in its place is asked again
