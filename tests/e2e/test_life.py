# SPDX-License-Identifier: Apache-2.0
"""Start, reload, deaths and the end of the server."""
import os
import signal
import threading
import time

import pytest
from support import mail
from support.postern import PASSWORD, PROCESSES, Postern
from support.process import name_of, wait_for
from support.raw import Raw


@pytest.fixture
def server():
    with Postern() as running:
        yield running


def logged_in(server):
    raw = Raw(server.submission)
    raw.starttls()
    raw.login("alice", PASSWORD)
    return raw


def send_on(raw, data):
    raw.envelope()
    raw.send(data + b".\r\n")
    return raw.reply()


def test_each_process_is_its_own(server):
    names = [name_of(p) for p in server.pids()]
    for process in PROCESSES:
        assert any(process in n for n in names), names
    assert len(server.pids("smtpd")) == os.cpu_count()
    for pid in server.pids():
        assert os.readlink(f"/proc/{pid}/exe").endswith("libexec/postern/" + name_of(pid).replace("postern-", ""))


@pytest.mark.parametrize("by", ["command", "SIGHUP"])
def test_reload_keeps_sessions(server, by):
    with logged_in(server) as raw:
        server.configure(limits="message_size = 1M")
        if by == "command":
            server.command("reload", check=True)
        else:
            os.kill(server.process.pid, signal.SIGHUP)
        wait_for(lambda: "SIZE 1048576" in ehlo(server), "the new limit", 10)
        assert send_on(raw, mail.message("On the old session")).startswith("250")
    server.wait_captured(1)


def ehlo(server):
    with Raw(server.submission) as raw:
        return raw.command("EHLO client.example", 250)


def test_reload_opens_and_closes_listeners(server):
    text = server.conf.read_text()
    from support.process import answers, free_ports
    port = free_ports(1)[0]
    server.conf.write_text(text.replace(f"127.0.0.1:{server.mta}", f"127.0.0.1:{port}"))
    server.command("reload", check=True)
    wait_for(lambda: answers(port), "the new port")
    wait_for(lambda: not answers(server.mta), "the old port closes")
    server.send(mail.message())


def test_reload_of_a_broken_file_changes_nothing(server):
    pids = server.pids()
    with logged_in(server) as raw:
        server.configure(settings="hostnam = \"x\"\n", limits="message_size = 1M")
        done = server.command("reload")
        assert done.returncode == 1 and "postern.conf:" in done.stdout + done.stderr, done
        assert "SIZE 52428800" in ehlo(server)
        assert send_on(raw, mail.message()).startswith("250")
    assert server.pids() == pids
    server.configure(settings="")


def test_renewed_certificate_is_used_after_reload(server):
    from support.postern import certificate
    certificate(server.folder)
    server.own()
    server.command("reload", check=True)
    server.send(mail.message())  # verifies against the new file


def test_sigterm_tells_idle_sessions(server):
    with logged_in(server) as raw, Raw(server.mta) as fresh:
        server.process.popen.terminate()
        assert raw.reply().startswith("421 4.3.2")
        assert fresh.reply().startswith("421 4.3.2")
        assert raw.closed()
        assert server.process.popen.wait(10) == 0
    server.expect_deaths = True


def test_sigterm_lets_a_message_finish(server):
    raw = logged_in(server)
    raw.envelope()
    data = mail.large(400000).replace(b"\r\n.", b"\r\n")
    raw.send(data[:200000])
    time.sleep(0.2)
    server.process.popen.terminate()
    time.sleep(0.5)
    raw.send(data[200000:] + b".\r\n")
    assert raw.reply().startswith("250")
    assert server.process.popen.wait(15) == 0
    server.expect_deaths = True
    server.start()
    mail.trace_of(server.wait_captured(1)[0].read_bytes(), data)


def test_sigterm_does_not_wait_for_ever(server):
    raw = logged_in(server)
    raw.envelope()
    raw.send(b"Subject: never finished\r\n\r\n")
    start = time.monotonic()
    server.process.popen.terminate()
    assert server.process.popen.wait(20) == 0
    assert time.monotonic() - start < 14
    server.expect_deaths = True
    raw.close()


@pytest.mark.parametrize("name", PROCESSES)
def test_a_killed_process_is_back_within_a_second(server, name):
    server.expect_deaths = True
    pid = server.pid(name)
    for other in server.pids(name):
        os.kill(other, signal.SIGKILL)
    start = time.monotonic()
    wait_for(lambda: server.pids(name) and pid not in server.pids(name), lambda: server.tail(), 5)
    assert time.monotonic() - start < 2
    server.wait_event("died")

    def works():
        try:
            server.send(mail.message(f"After the death of {name}"))
            return True
        except OSError:
            return False
    wait_for(works, lambda: server.tail(), 20, 0.1)
    server.wait_captured(1)


def test_death_of_auth_ends_its_logins(server):
    """A session whose grant is lost gets 421 at its next MAIL, and a new login works."""
    server.expect_deaths = True
    with logged_in(server) as raw:
        os.kill(server.pid("auth"), signal.SIGKILL)
        time.sleep(0.5)
        assert raw.command("MAIL FROM:<alice@example.org>").startswith("421 4.3.0")
    wait_for(lambda: not failing(server), lambda: server.tail())


def failing(server):
    try:
        server.send(mail.message())
    except OSError as error:
        return error
    return None


def test_death_of_queue_between_dot_and_reply_is_no_loss(server):
    """Sessions survive, and each message is answered by what the new queue knows."""
    server.expect_deaths = True
    answers, stop = [], threading.Event()

    def send():
        while not stop.is_set():
            try:
                with logged_in(server) as raw:
                    for n in range(50):
                        unique = f"{threading.get_ident()}-{len(answers)}-{n}"
                        reply = send_on(raw, mail.message(unique))
                        answers.append((unique, reply))
                        if stop.is_set():
                            return
            except (EOFError, OSError, AssertionError):
                time.sleep(0.05)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(1)
        for pid in server.pids("queue"):
            os.kill(pid, signal.SIGKILL)
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    good = [unique for unique, reply in answers if reply.startswith("250")]
    assert len(good) > 20, server.tail()

    def missing():
        arrived = b"".join(p.read_bytes() for p in server.captured())
        return [u for u in good if f"Subject: {u}\r\n".encode() not in arrived
                and f"Subject: {u}\n".encode() not in arrived]
    wait_for(lambda: not missing(), lambda: f"lost: {missing()[:5]}; {server.tail()}", 30, 0.5)


def test_master_death_ends_all(server):
    server.expect_deaths = True
    pids = server.pids()
    os.kill(server.process.pid, signal.SIGKILL)
    wait_for(lambda: not [p for p in pids if name_of(p)], "the end of all processes", 15)
    server.process.popen.wait()
    server.start()
    server.send(mail.message())
    server.wait_captured(1)
