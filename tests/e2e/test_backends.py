# SPDX-License-Identifier: Apache-2.0
"""Back ends that come, change and go at a reload, and their processes with them."""
from pathlib import Path

from support.cyrus import FakeSaslauthd
from support.postern import CONF, Postern
from support.process import children, wait_for
from test_cyrus import login


def section(name, socket, more=""):
    return f'backend "{name}" {{{{ type = "saslauthd"  socket = "{{folder}}/{socket}"  {more} }}}}\n'


def processes(server, name):
    """Process numbers of a back end, by what they were told to be called."""
    def arguments(pid):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return []
    return {pid for pid in children(server.process.pid)
            if any(a.startswith(f"backend-{name}-".encode()) for a in arguments(pid))}


def reload_with(server, *sections):
    server.template = CONF + "".join(sections)
    server.configure()
    server.command("reload", check=True)


def test_processes_follow_the_configuration():
    server = Postern(conf=CONF + section("kept", "kept.sock", "processes = 3") + section("other", "old.sock"))
    yes, no = b"\0\2OK", b"\0\2NO"
    with FakeSaslauthd(server.folder / "kept.sock", no) as kept, FakeSaslauthd(server.folder / "old.sock", yes) as old, \
            FakeSaslauthd(server.folder / "new.sock", yes) as new, server:
        assert login(server, "carol", "x") == 235
        first, second = processes(server, "kept"), processes(server, "other")
        assert len(first) == 3 and len(second) == 2
        # One is changed, one is added; the one that stays as it is keeps its processes.
        before = len(old.questions)
        reload_with(server, section("kept", "kept.sock", "processes = 3"), section("other", "new.sock"),
                    section("third", "old.sock", "processes = 1"))
        wait_for(lambda: not second & processes(server, "other"), "the end of those with the old setting")
        wait_for(lambda: len(processes(server, "other")) == 2, "others in their place")
        assert processes(server, "kept") == first and len(processes(server, "third")) == 1
        assert login(server, "carol", "x") == 235
        assert len(new.questions) == 1 and len(old.questions) == before
        # One is taken out: its processes end, and nobody is asked for its accounts.
        reload_with(server, section("kept", "kept.sock", "processes = 3"))
        wait_for(lambda: not processes(server, "other") and not processes(server, "third"), "their end")
        assert processes(server, "kept") == first
        asked = len(kept.questions)
        assert login(server, "carol", "x") in (454, 535)
        assert len(new.questions) == 1 and len(old.questions) == before and len(kept.questions) == asked
        assert login(server, "dora", "x") == 535 and len(kept.questions) > asked
        assert not server.events("died")
