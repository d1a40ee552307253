# SPDX-License-Identifier: Apache-2.0
"""Logins that a directory decides: Debian's slapd by search and bind, by bind alone, and servers that are none."""
import contextlib
import socket
import threading

import pytest
from support.openldap import MANAGER, MANAGER_PASSWORD, SUFFIX, OpenLdap
from support.postern import CONF, PASSWORD, Postern
from support.process import wait_for
from test_cyrus import login, status, words

PEOPLE = [("carol", "people", "password of carol", "carol@example.org"),
          ("twin", "people", "password of twin", "twin@example.org"),
          ("twin", "more", "password of twin", "twin2@example.org"),
          ("o'neil", "people", "password of o'neil", "oneil@example.org"),
          ("dora", "people", "password of dora", "dora@other.example")]
BACKEND = """
backend "campus" {{{{ type = "ldap"  servers = {servers}  ca_file = "{ca}"  {more}  timeout = 3s  processes = 1 }}}}
"""
SEARCH = f"""base = "{SUFFIX}"  bind_dn = "{MANAGER}"  bind_password_file = "{{folder}}/manager.password" """


def backend(ldap, servers, more=SEARCH, ca=None):
    named = ", ".join(f'"{server}"' for server in servers)
    return CONF + BACKEND.format(servers="{{" + named + "}}",
                                 ca=ca or ldap.folder / "ca.pem", more=more)


class World:
    def __init__(self):
        self.ldap = OpenLdap(PEOPLE)
        self.server = Postern(conf=backend(self.ldap, [self.ldap.ldaps]))
        self.password(MANAGER_PASSWORD)

    def password(self, text):
        (self.server.folder / "manager.password").write_text(text + "\n")
        self.server.own()

    @contextlib.contextmanager
    def configured(self, *arguments, **options):
        """The server with another back end, and with this one again."""
        kept = self.server.template
        self.server.template = backend(self.ldap, *arguments, **options)
        self.server.configure()
        self.server.command("reload", check=True)
        try:
            yield self.server
        finally:
            self.server.template = kept
            self.server.configure()
            self.server.command("reload", check=True)


@pytest.fixture(scope="module")
def world(unpacked):
    made = World()
    with made.ldap, made.server:
        yield made


class FakeServer:
    """Takes connections and answers each with these bytes, or with none for ever."""

    def __init__(self, answer):
        self.answer, self.held = answer, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ldap://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                self.held.append(connection)
                if self.answer is not None and connection.recv(4096):
                    connection.sendall(self.answer)
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        for connection in [self.listener, *self.held]:
            connection.close()


def test_search_and_bind(world):
    """Each as whom the search found, with TLS and its certificate; with and without the domain."""
    server = world.server
    assert login(server, "carol", "password of carol") == 235
    assert login(server, "Carol@Example.org", "password of carol") == 235
    assert login(server, "carol", "password of twin") == 535
    assert login(server, "nobody-has-this", "password of carol") == 535
    assert login(server, "alice", PASSWORD) == 235
    told = words(server, "carol", "password of carol")
    assert f"(uid=carol) is uid=carol,ou=people,{SUFFIX}; bind: Success (0)" in told, told
    assert "bind: Invalid credentials (49)" in words(server, "carol", "wrong")
    assert f"nobody is (uid=nobody) below {SUFFIX}" in words(server, "nobody", "wrong")
    # Two that the filter is true of: neither, and no password is tried.
    assert login(server, "twin", "password of twin") == 535
    assert "more than one is (uid=twin)" in words(server, "twin", "password of twin")
    # A name of another domain is not the same name of ours.
    assert login(server, "carol@other.example", "password of carol") == 535


def test_c6_names_in_filters(world):
    """What would be more than a name is never asked for; what is escaped is the same name for the directory."""
    def searches():
        return world.ldap.log().count("SRCH base=")
    before = searches()
    for name in ["*", "car*", "*)(uid=*", "carol)(objectclass=*", "c*rol", "carol\\", "\\63arol"]:
        assert login(world.server, name, "password of carol") == 535, name
    assert login(world.server, "carol", "") == 535
    assert searches() == before
    assert login(world.server, "o'neil", "password of o'neil") == 235
    assert searches() == before + 1
    assert "(uid=o\\27neil) is uid=o'neil," in words(world.server, "o'neil", "password of o'neil")


def test_other_ways_to_ask(world):
    ldap = world.ldap
    with world.configured([ldap.ldap], SEARCH + 'starttls = yes  filter = "(&(objectClass=person)(mail=%s))" ') as server:
        assert login(server, "dora@other.example", "password of dora") == 235
        assert login(server, "dora", "password of dora") == 535
        assert login(server, "carol", "password of carol") == 235
    with world.configured([ldap.ldap], f'bind_template = "uid=%u,ou=people,{SUFFIX}" ') as server:
        assert login(server, "twin", "password of twin") == 235
        assert login(server, "twin", "") == login(server, "twin", "password of carol") == 535
        assert login(server, "o'neil", "password of o'neil") == 235
    # Directory and password file are not what they should be: nobody's password is wrong.
    for more, sentence in [(f'base = "{SUFFIX}" ', "not shown to strangers (set bind_dn)"),
                           (SEARCH.replace(SUFFIX + '"  bind_dn', 'dc=elsewhere"  bind_dn'), "No such object"),
                           (SEARCH + 'filter = "(uid=%u" ', "filter")]:
        with world.configured([ldap.ldap], more) as server:
            assert login(server, "erin", "password of erin") == 454, sentence
            assert sentence in words(server, "erin", "x"), words(server, "erin", "x")


def test_certificates_that_do_not_fit(world):
    ldap, server = world.ldap, world.server
    for servers, ca, more in [([ldap.ldaps], server.folder / "cert.pem", SEARCH),
                              ([ldap.ldap], server.folder / "cert.pem", SEARCH + "starttls = yes "),
                              ([ldap.misnamed], None, SEARCH)]:
        before = ldap.log().count("BIND dn=")
        with world.configured(servers, more, ca=ca):
            assert login(server, "carol", "password of carol") == 454
            assert "no TLS: its certificate is not of an authority" in words(server, "carol", "x")
        assert ldap.log().count("BIND dn=") == before


def test_bind_password_file(world):
    """A changed file is taken up by itself; with a wrong password nobody can be looked for."""
    server = world.server
    world.password("wrong")
    server.command("reload", check=True)
    world.ldap.process.stop()  # else the connection that is there serves on
    world.ldap.start()
    assert login(server, "carol", "password of carol") == 454
    assert "bind_dn cannot log in: bind: Invalid credentials (49)" in words(server, "carol", "x")
    world.password("")
    done = server.command("reload")
    assert done.returncode != 0 and "the password of bind_dn belongs there" in done.stdout + done.stderr
    world.password(MANAGER_PASSWORD)
    server.command("reload", check=True)
    assert login(server, "carol", "password of carol") == 235


def test_servers_that_are_down_slow_or_lie(world):
    """The next one is asked; with none left it is 454, said once, and over when one is back."""
    ldap, server = world.ldap, world.server
    before = len(server.events("backend-down", backend="campus"))
    with FakeServer(None) as mute, FakeServer(b"HTTP/1.1 400 Bad Request\r\n\r\n") as liar:
        with world.configured(["ldap://127.0.0.1:1", liar.url, ldap.ldap]):
            assert login(server, "carol", "password of carol") == 235
        with world.configured([mute.url, ldap.ldap]):
            assert login(server, "carol", "password of carol") == 235
            # It stays with who answers.
            assert login(server, "carol", "password of carol") == 235
            assert len(mute.held) == 1
        for url in [mute.url, liar.url, "ldap://127.0.0.1:1"]:
            with world.configured([url]):
                assert login(server, "carol", "password of carol") == 454
                assert login(server, "alice", PASSWORD) == 235
    assert login(server, "carol", "password of carol") == 235
    ldap.process.stop()
    for _ in range(2):
        assert login(server, "carol", "password of carol") == 454
    assert "Can't contact LDAP server" in words(server, "carol", "password of carol")
    (row,) = [r for r in status(server) if r.get("backend") == "campus"]
    assert row["state"] == "down" and ldap.ldaps in row["why"]
    ldap.start()
    wait_for(lambda: login(server, "carol", "password of carol") == 235, "the directory again")
    assert len(server.events("backend-down", backend="campus")) > before
