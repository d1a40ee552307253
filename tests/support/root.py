# SPDX-License-Identifier: Apache-2.0
"""A server started by root, whose processes are users that only it sees: the machine's /etc stays as it is."""
import os
import subprocess

import pytest

from . import postern
from .postern import CONF, Postern
from .process import Process, run

FIRST = 59001
# In a mount namespace of its own; the files are $1, $2 and so on up to "--".
INSIDE = """mount --make-rprivate / || exit
while [ "$1" != -- ]; do mount --bind "$1" "/etc/$(basename "$1")" || exit; shift; done
shift; exec "$@" """


def need():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no mount namespaces here")


class RootPostern(Postern):
    """
    Every command of it sees the users: names, numbered from FIRST on, with a group each. shadow: names to
    hashed passwords, of people.
    """

    def __init__(self, users, shadow=None, **options):
        self.files = []
        super().__init__(as_root=True, accounts=(), **options)
        people = list(shadow or ())
        numbered = list(enumerate([*users, *people], FIRST))
        self.add_lines("passwd", [f"{u}:x:{n}:{n}::/nonexistent:/usr/sbin/nologin" for n, u in numbered])
        self.add_lines("group", [f"{u}:x:{n}:" for n, u in numbered])
        if shadow:
            self.add_lines("shadow", [f"{u}:{h}:19000:0:99999:7:::" for u, h in shadow.items()])
        os.chmod(self.folder, 0o755)

    def add_lines(self, name, lines):
        system, own = f"/etc/{name}", self.folder / name
        info = os.stat(system)
        with open(system, encoding="utf-8") as file:
            own.write_text(file.read() + "".join(line + "\n" for line in lines))
        os.chmod(own, info.st_mode & 0o7777)
        os.chown(own, info.st_uid, info.st_gid)
        self.files.append(own)

    def inside(self):
        return ["unshare", "--mount", "sh", "-c", INSIDE, "sh", *self.files, "--"]

    def command(self, *arguments, **options):
        self.note_secret(options.get("input") if arguments[0] == "user" else None)
        return run([*self.inside(), postern.PROGRAM, "-c", self.conf, *arguments], **options)

    def spawn(self):
        self.process = Process([*self.inside(), postern.PROGRAM, "serve", "-c", self.conf], self.folder / "log")
        return self


CONF_OF_ROOT = CONF.replace('user_prefix = ""\n', "")
