# SPDX-License-Identifier: Apache-2.0
"""How many may come in, from where, as whom and how fast; and that each limit says what it does."""
import base64
import time

import pytest
from support.postern import CONF, PASSWORD, Postern
from support.process import wait_for
from support.raw import Raw


def source(number):
    return f"127.0.{number // 250 + 1}.{number % 250 + 1}"


def login(raw, user="alice", expect="235"):
    """TLS, and a login, on a connection to submission."""
    raw.command("EHLO client.example", 250)
    raw.command("STARTTLS", 220)
    raw._wrap()
    raw.command("EHLO client.example", 250)
    plain = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
    return raw.command(f"AUTH PLAIN {plain}", expect)


def inside(port, number, user=None):
    raw = Raw(port, source=source(number))
    assert raw.greeting.startswith("220"), raw.greeting
    if user:
        login(raw, user)
    return raw


def close(connections):
    for raw in connections:
        raw.socket.close()


def until_gone(server, port, number):
    """Until a place is free again: auth has heard that a session is over."""
    def enters():
        raw = Raw(port, source=source(number))
        ok = raw.greeting.startswith("220")
        raw.socket.close()
        return ok
    wait_for(enters, "a free place")


def test_sessions_in_total_are_exact_over_all_processes():
    with Postern(limits="sessions = 6", settings="smtpd_processes = 3", accounts=("alice",)) as server:
        people = [inside(server.submission, n, "alice") for n in range(6)]
        late = Raw(server.submission, source=source(9))
        assert late.greeting.startswith("421 4.3.2 Too many connections"), late.greeting
        with pytest.raises(EOFError):
            late.line()
        server.wait_event("connect-refused", reason="limits.sessions is reached")
        people.pop().command("QUIT", 221)
        until_gone(server, server.submission, 9)
        close(people)


def test_sessions_per_source():
    with Postern(limits="sessions = 100  sessions_per_source = 3") as server:
        held = [inside(server.submission, 1) for _ in range(3)]
        refused = Raw(server.submission, source=source(1))
        assert refused.greeting.startswith("421 4.7.0 Too many connections from your address")
        server.wait_event("connect-refused", reason="limits.sessions_per_source is reached", client=source(1))
        inside(server.submission, 2, "alice").socket.close()
        close(held)


def test_sessions_per_account():
    with Postern(limits="sessions_per_account = 2", accounts=("alice", "bob")) as server:
        held = [inside(server.submission, n, "alice") for n in range(2)]
        third = inside(server.submission, 3)
        reply = login(third, "alice", expect="454")
        assert reply.startswith("454 4.7.0 This account has too many sessions open"), reply
        server.wait_event("login-failed", reason="limits.sessions_per_account is reached", account="alice")
        held += [inside(server.submission, 4, "bob")]
        held.pop(0).command("QUIT", 221)

        def again():
            raw = inside(server.submission, 5)
            try:
                return login(raw, "alice", expect="").startswith("235")
            finally:
                raw.socket.close()
        wait_for(again, "a login in the place of the one that ended")
        close(held + [third])


def test_m1_who_does_not_log_in_makes_room():
    """Nine of ten places are taken by two sources that say nothing: people come in and log in all the same."""
    with Postern(limits="sessions = 20  sessions_per_source = 12") as server:
        crowd = [inside(server.submission, 1) for _ in range(12)] + [inside(server.submission, 2) for _ in range(6)]
        people = [inside(server.submission, 10 + n, "alice") for n in range(14)]
        # The first of them found the strangers' places taken: the oldest of the larger source is gone.
        assert crowd[0].line().startswith("421 4.3.2 The server is busy and you have not logged in")
        assert server.wait_event("refused", client=source(1))["reason"].startswith("made room for a new connection")
        for raw in people:
            raw.command("NOOP", 250)
        assert not server.events("connect-refused", reason="limits.sessions is reached")
        close(crowd + people)


def test_connection_rate_delays_and_refuses_nobody():
    with Postern(limits="connection_rate = 3", settings="smtpd_processes = 2") as server:
        time.sleep(1.1)  # what start-up's own looks at the ports have used of the rate comes back
        started = time.monotonic()
        held = [Raw(server.submission, source=source(n), greet=False) for n in range(9)]
        times = []
        for raw in held:
            assert raw.reply().startswith("220")
            times.append(time.monotonic() - started)
        # Three at once, the others one every third of a second: two seconds for the last.
        assert 1.5 <= times[-1], times
        close(held)


def test_m1_sixteen_of_a_source_wait_and_those_who_gave_up_do_not_count():
    with Postern(limits="connection_rate_per_source = 1") as server:
        inside(server.submission, 1).socket.close()
        held = [Raw(server.submission, source=source(1), greet=False) for _ in range(16)]
        wait_for(lambda: struck(server, "connections waiting")["now"] >= 15, "those who wait")
        wait_for(lambda: Raw(server.submission, source=source(1)).greeting.startswith("421 4.7.0"), "a full house")
        assert server.wait_event("connect-refused", client=source(1))["reason"].startswith("too many of this address wait")
        close(held)
        wait_for(lambda: struck(server, "connections waiting")["now"] == 0, "all to be gone")
        inside(server.submission, 2, "alice").socket.close()


def test_connection_rate_per_source_holds_up_nobody_else():
    with Postern(limits="connection_rate_per_source = 1") as server:
        held = [Raw(server.submission, source=source(1), greet=False) for _ in range(6)]
        other = inside(server.submission, 2)
        held[0].reply()
        held[-1].socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            held[-1].line()  # five seconds are its turn
        close(held + [other])


def test_refuse_load():
    """The load of any machine that runs tests is above 0.01, and below a million hundredths."""
    burn = time.monotonic() + 8
    with Postern(limits="refuse_load = off") as server:
        wait_for(lambda: time.monotonic() > burn or float(open("/proc/loadavg").read().split()[0]) >= 0.02, "load", 20)
        inside(server.submission, 1).socket.close()
        server.configure(limits="refuse_load = 0.01")
        server.command("reload", check=True)
        raw = Raw(server.submission)
        assert raw.greeting.startswith("421 4.3.2 The server is overloaded"), raw.greeting
        server.wait_event("connect-refused", reason="the load average is above limits.refuse_load")
        said = [e for e in server.events("note") if "limits.refuse_load: 0.01" in e["text"]]
        assert len(said) == 1, said
        server.configure(limits="refuse_load = 100000")
        server.command("reload", check=True)
        inside(server.submission, 1).socket.close()


def struck(server, limit):
    rows = [row for row in server.json("status") if row.get("limit") == limit]
    assert len(rows) == 1, rows
    return rows[0]


def test_status_shows_each_limit():
    with Postern(limits="sessions = 40  sessions_per_source = 2  connection_rate = 100") as server:
        # Those who looked whether it is there may have been more than two at once.
        before = struck(server, "sessions_per_source")["struck"]
        held = [inside(server.submission, 1), inside(server.submission, 2, "alice")]
        held.append(inside(server.submission, 1))
        assert Raw(server.submission, source=source(1)).greeting.startswith("421")
        assert struck(server, "sessions") == {"process": "auth", "limit": "sessions", "value": "40", "now": 3, "struck": 0}
        row = struck(server, "sessions_per_source")
        assert (row["value"], row["now"], row["struck"]) == ("2", 2, before + 1), row
        assert struck(server, "sessions_per_account")["now"] == 1
        assert struck(server, "sessions_reserve")["now"] == 2
        assert float(struck(server, "refuse_load")["now"]) >= 0
        names = {row["limit"] for row in server.json("status") if "limit" in row}
        assert names >= {"connection_rate", "connection_rate_per_source", "bad_recipients", "errors", "recipients",
                         "message_size", "min_rate", "timeouts", "timeouts.login", "timeouts.handshake",
                         "descriptors", "PROXY headers awaited", "connections waiting per source"}, names
        assert struck(server, "auth.waiting") == {"process": "auth", "limit": "auth.waiting", "value": "1000", "now": 0,
                                                  "struck": 0}
        assert struck(server, "connections waiting")["now"] == 0
        text = server.command("status", check=True).stdout
        assert "sessions_per_source" in text and "limit" in text and "struck" in text, text
        close(held)


def test_bad_recipients_slow_down():
    """After two refused ones each answer to RCPT takes a second: for good addresses, too, and for nothing else."""
    with Postern(limits="bad_recipients = 2", settings='accept_for = {{ "ours.example" }}') as server:
        raw = Raw(server.mta)
        raw.command("EHLO client.example", 250)
        raw.command("MAIL FROM:<x@far.example>", 250)
        started = time.monotonic()
        for n in range(2):
            raw.command(f"RCPT TO:<x{n}@elsewhere.example>", 5)
        assert time.monotonic() - started < 0.9
        raw.send(b"RCPT TO:<a@ours.example>\r\nRCPT TO:<x@elsewhere.example>\r\nRCPT TO:<b@ours.example>\r\n")
        started, took = time.monotonic(), []
        for code in ["250", "55", "250"]:
            assert raw.reply().startswith(code)
            took.append(time.monotonic() - started)
        assert all(at >= 0.95 * (n + 1) for n, at in enumerate(took)), took
        started = time.monotonic()
        raw.command("NOOP", 250)
        assert time.monotonic() - started < 0.9
        raw.socket.close()
        wait_for(lambda: struck(server, "bad_recipients")["struck"] == 3, "three late answers")


def test_a_client_that_waits_for_a_slow_answer_may_go():
    with Postern(limits="bad_recipients = 1", settings='accept_for = {{ "ours.example" }}') as server:
        for reset in [False, True]:
            raw = Raw(server.mta)
            raw.command("EHLO client.example", 250)
            raw.command("MAIL FROM:<x@far.example>", 250)
            raw.command("RCPT TO:<x@elsewhere.example>", 5)
            raw.send(b"RCPT TO:<a@ours.example>\r\n" + (b"RSET\r\nQUIT\r\n" if reset else b""))
            if reset:
                assert [raw.reply()[:3] for _ in range(3)] == ["250", "250", "221"]
            raw.socket.close()
        with Raw(server.mta) as raw:
            raw.command("EHLO client.example", 250)


def test_d3_a_hundred_thousand_recipients():
    """500 are taken, all others are told 452, the session lives, and one message goes out."""
    count = 100_000
    with Postern(settings='accept_for = {{ "ours.example" }}') as server:
        raw = inside(server.submission, 1, "alice")
        raw.command("MAIL FROM:<alice@example.org>", 250)
        codes, at = {}, 0
        while at < count:
            part = range(at, min(at + 500, count))
            raw.send("".join(f"RCPT TO:<r{n}@ours.example>\r\n" for n in part))
            for _ in part:
                reply = raw.reply()
                codes[reply[:9]] = codes.get(reply[:9], 0) + 1
            at += 500
        assert codes == {"250 2.1.5": 500, "452 4.5.3": count - 500}, codes
        raw.command("DATA", 354)
        assert raw.command("From: alice@example.org\r\n\r\nhello\r\n.").startswith("250")
        raw.socket.close()
        wait_for(lambda: struck(server, "recipients")["struck"] == count - 500, "the count of refusals")


def test_c18_time_to_log_in_is_counted():
    with Postern(conf=CONF + "timeouts {{ login = 1s  handshake = 1s }}\n") as server:
        quiet, half = Raw(server.submission), Raw(server.submissions, greet=False)
        half.send(b"\x16\x03\x01\x02\x00\x01")
        assert quiet.line().startswith("421 4.4.2 No login within the time")
        wait_for(lambda: struck(server, "timeouts.login")["struck"] == 1, "the count")
        wait_for(lambda: struck(server, "timeouts.handshake")["struck"] == 1, "the count")
        close([quiet, half])


def test_e6_loops_are_counted():
    with Postern(limits="hops = 10") as server:
        raw = Raw(server.submission)
        login(raw)
        for count, code in [(11, "554 5.4.6"), (10, "250")]:
            raw.command("MAIL FROM:<alice@example.org>", 250)
            raw.command("RCPT TO:<bob@sink.example>", 250)
            raw.command("DATA", 354)
            raw.send(b"Received: x\r\n" * count + b"From: alice@example.org\r\n\r\nhello\r\n.\r\n")
            assert raw.reply().startswith(code)
        wait_for(lambda: struck(server, "hops")["struck"] == 1, "the count")
        assert struck(server, "hops")["value"] == "10"
        close([raw])


def test_held_back_too_long_and_lines_too_long_are_counted():
    with Postern(limits="future_release = 1h  long_lines = refuse") as server:
        raw = Raw(server.submission)
        login(raw)
        raw.command("MAIL FROM:<alice@example.org> HOLDFOR=3601", 501)
        raw.command("MAIL FROM:<alice@example.org> HOLDUNTIL=2999-01-01T00:00:00Z", 501)
        raw.command("MAIL FROM:<alice@example.org>", 250)
        raw.command("RCPT TO:<bob@sink.example>", 250)
        raw.command("DATA", 354)
        assert raw.command("From: alice@example.org\r\n\r\n" + "x" * 999 + "\r\n.").startswith("554 5.6.0")
        wait_for(lambda: struck(server, "future_release")["struck"] == 2, "the count")
        wait_for(lambda: struck(server, "long_lines")["struck"] == 1, "the count")
        assert (struck(server, "future_release")["value"], struck(server, "long_lines")["value"]) == \
            ("1h", "refuse: over 998")
        close([raw])


def send_of_size(raw, size):
    raw.command("MAIL FROM:<alice@example.org>", 250)
    raw.command("RCPT TO:<bob@sink.example>", 250)
    raw.command("DATA", 354)
    raw.send(b"From: alice@example.org\r\n\r\n" + b"x" * 998 + (b"\r\n" + b"y" * 998) * (size // 1000) + b"\r\n.\r\n")
    return raw.reply()


def test_message_size_of_an_account():
    with Postern(limits="message_size = 200K", accounts=("bob",)) as server:
        server.add_account("alice", PASSWORD, "--message-size", "1M", "--send-as", "alice@example.org")
        raw = Raw(server.submission)
        # Before login it is the largest that anybody may send: clients seldom ask again after it.
        assert "SIZE 1048576" in raw.command("EHLO client.example", 250)
        login(raw)
        assert "SIZE 1048576" in raw.command("EHLO client.example", 250)
        assert raw.command("MAIL FROM:<alice@example.org> SIZE=1048577").startswith("552 5.3.4")
        assert send_of_size(raw, 900_000).startswith("250")
        assert send_of_size(raw, 1_100_000).startswith("552 5.3.4")
        other = Raw(server.submission)
        login(other, "bob")
        assert "SIZE 204800" in other.command("EHLO client.example", 250)
        assert server.json("user", "show", "alice")["message_size"] == "1M"
        assert server.json("user", "show", "bob")["message_size"] == "default"
        # Back to what all have: what it may send as stays, its session is over.
        server.command("user", "set", "alice", "--message-size", "default", check=True)
        shown = server.json("user", "show", "alice")
        assert (shown["message_size"], shown["send_as"]) == ("default", "alice@example.org")
        assert raw.reply().startswith("421")
        raw = Raw(server.submission)
        assert "SIZE 204800" in raw.command("EHLO client.example", 250)
        login(raw)
        assert "SIZE 204800" in raw.command("EHLO client.example", 250)
        # Smaller than the others', too; and what is no size is refused with words.
        server.command("user", "set", "alice", "--message-size", "10K", check=True)
        raw = Raw(server.submission)
        login(raw)
        assert send_of_size(raw, 100_000).startswith("552 5.3.4")
        for wrong in ["lots", "0", "5G", "-1"]:
            done = server.command("user", "set", "alice", f"--message-size={wrong}")
            assert done.returncode != 0 and "100M" in done.stdout + done.stderr, done
        close([raw, other])
