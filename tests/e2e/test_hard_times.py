# SPDX-License-Identifier: Apache-2.0
"""A message for many at once, a disk that is full: nothing lost, nothing twice."""
import collections
import os
import re
import smtplib
import tempfile
from pathlib import Path

import pytest
from support import mail
from support.postern import Postern
from support.process import run, wait_for
from support.sink import Sink

ROUTES = ('relay "next" {{{{ host = "127.0.0.1:{port}"  tls = "none" }}}}\n'
          'route "home" {{{{ to = "*@example.org"  via = "capture:{{folder}}/capture" }}}}\n'
          'route "all" {{{{ via = "relay:next" }}}}\n{more}')


def routes(sink, more=""):
    return ROUTES.format(port=sink.port, more=more)


def test_many_recipients_each_have_one_outcome():
    """300 recipients in 100 domains: a third refused, a third taken at the retry, a third at once."""
    everyone = [f"{kind}@d{n}.example" for n in range(100) for kind in ("no", "later", "yes")]
    busy = [True]

    def answer(address, _):
        if address.startswith("no@"):
            return "550 5.1.1 No such user"
        return "450 4.2.1 Come back later" if busy[0] and address.startswith("later@") else None

    with Sink(answers={"RCPT": answer}) as sink, Postern(routes=routes(sink)) as server:
        server.send(mail.message("To all of you"), everyone)
        wait_for(lambda: len(server.events("failed")) >= 100 and len(server.events("deferred")) >= 100
                 and len(server.events("delivered")) >= 100, server.tail, 60)
        busy[0] = False
        server.command("queue", "retry", "--all", check=True)
        wait_for(lambda: server.json("queue", "list") == [], lambda: str(server.json("queue", "list"))[:2000], 60)
        taken = collections.Counter(r for received in sink.received for r in received.recipients)
        assert taken == {a: 1 for a in everyone if not a.startswith("no@")}, taken.most_common(5)
        failed = collections.Counter(e["recipient"] for e in server.events("failed"))
        assert failed == {a: 1 for a in everyone if a.startswith("no@")}, failed.most_common(5)
        # One bounce for the recipients that were refused together, none forgotten, none twice.
        bounces = [path.read_text() for path in server.wait_captured(100)]
        named = collections.Counter(a for text in bounces
                                    for a in re.findall(r"(?im)^Final-Recipient: *rfc822; *(\S+)", text))
        assert len(bounces) == 100 and named == failed, (len(bounces), named.most_common(5))


@pytest.fixture
def small_disk():
    """A folder on a disk of 20 MB."""
    folder = Path(tempfile.mkdtemp(prefix="postern-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m,mode=0777", "none", folder]
    mounted = os.geteuid() == 0 and run(mount).returncode == 0
    if not mounted:
        folder.rmdir()
        pytest.skip("a small disk needs root")
    yield folder
    run(["umount", "-l", folder])
    folder.rmdir()


def attempt(server, recipient, data):
    """True: answered 250. Else the code of the answer."""
    try:
        server.send(data, [recipient])
        return True
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    except smtplib.SMTPRecipientsRefused as error:
        return list(error.recipients.values())[0][0]
    except (smtplib.SMTPServerDisconnected, OSError) as error:
        print("no answer:", repr(error))
        return 0


@pytest.mark.parametrize("left", [600_000, 0])
def test_full_disk(small_disk, left):
    """
    452 while there is no room beyond the reserve of 1 MB; what is queued goes out, for whose results the reserve is;
    files of what was refused do not stay; when there is room again the server finds that by itself.
    """
    busy = [True]
    answers = {"RCPT": lambda *_: "450 4.2.1 Come back later" if busy[0] else None}
    with Sink(answers=answers) as sink, \
            Postern(routes=routes(sink, "queue {{ retry_first = 2s  retry_max = 2s }}"),
                    parent=small_disk) as server:
        taken = set()
        for n in range(20):
            assert attempt(server, f"early{n}@sink.example", mail.message(f"Number {n}")) is True
            taken.add(f"early{n}@sink.example")
        filler = small_disk / "filler"
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(65536))
            except OSError:
                pass
            out.truncate(max(0, out.tell() - left))
        if left:
            wait_for(lambda: "no mail is accepted" in server.log(), server.tail)
        codes = collections.Counter()
        for n in range(12):
            size = 10 if n % 2 else 300_000
            data = mail.message("Full", body=(b"y" * 70 + b"\r\n") * (size // 72 + 1))
            code = attempt(server, f"full{n}@sink.example", data)
            codes[code] += 1
            if code is True:
                taken.add(f"full{n}@sink.example")
        assert set(codes) <= {True, 452, 451} and codes[452] >= (12 if left else 6), codes
        bodies = server.folder / "state/queue/bodies"
        large = [a for a in taken if a.startswith("full") and int(re.findall(r"\d+", a)[0]) % 2 == 0]
        assert len(list(bodies.iterdir())) <= len(large), (list(bodies.iterdir()), large)
        busy[0] = False
        if left:
            wait_for(lambda: server.json("queue", "list") == [], server.tail, 30)
        filler.unlink()
        wait_for(lambda: attempt(server, "late@sink.example", mail.message("Late")) is True, server.tail, 20)
        taken.add("late@sink.example")
        wait_for(lambda: server.json("queue", "list") == [], server.tail, 30)
        got = collections.Counter(r for received in sink.received for r in received.recipients)
        assert got == {a: 1 for a in taken}, (got, taken)
        assert list(bodies.iterdir()) == []
