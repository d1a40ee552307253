# SPDX-License-Identifier: Apache-2.0
"""Debian's Cyrus SASL: saslauthd with users of its own, and sasldb2."""
import os
import shutil
import socket
import stat
import struct
import subprocess
import threading

from . import peers
from .peer import Peer
from .process import Process, run

# In a mount namespace of its own the server sees another /etc: users that are nobody else's.
PRIVATE_ETC = 'mount --bind "$1" "$2/etc" && shift && exec chroot "$@"'


def hashed(password):
    return run(["openssl", "passwd", "-6", "-stdin"], input=password + "\n", check=True).stdout.strip()


class Saslauthd(Peer):
    """mechanism: shadow or pam; users: name to password. The socket may be used by all."""

    def __init__(self, users, mechanism="shadow", options=(), pam=None):
        super().__init__("saslauthd")
        self.mechanism, self.options = mechanism, options
        self.socket = self.folder / "mux"
        self.etc = self.folder / "etc"
        shutil.copytree(peers.root_folder() / "etc", self.etc, symlinks=True)
        with open(self.etc / "passwd", "a", encoding="ascii") as passwd:
            passwd.writelines(f"{name}:x:{2000 + n}:65534::/nonexistent:/bin/sh\n" for n, name in enumerate(users))
        self.set_passwords(users)
        if pam:
            (self.etc / "pam.d/smtp").write_text(pam)
            # Debian's includes what no package of the root has made, and then nothing starts.
            (self.etc / "pam.d/other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")

    def set_passwords(self, users):
        text = "".join(f"{name}:{hashed(password)}:19000:0:99999:7:::\n" for name, password in users.items())
        (self.etc / "shadow").write_text(text)
        os.chmod(self.etc / "shadow", 0o640)

    def start(self):
        root = peers.root_folder()
        self.process = Process(["unshare", "--mount", "sh", "-c", PRIVATE_ETC, "sh", self.etc, root,
                     "/usr/sbin/saslauthd", "-d", "-n", "2", "-m", self.inner, "-a", self.mechanism, *self.options],
                               self.folder / "process.log")
        self.process.wait_ready(lambda: self.socket.exists() and self.accepts(), "saslauthd's socket")
        os.chmod(self.folder, 0o755)
        return self

    def accepts(self):
        if not stat.S_ISSOCK(self.socket.stat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(str(self.socket)) == 0


class FakeSaslauthd:
    """Answers every question with the same bytes, or never: hang."""

    def __init__(self, path, answer=b"\0\2OK", hang=False):
        self.path, self.answer, self.hang = path, answer, hang
        self.questions, self.held = [], []
        self.listener = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        self.listener.bind(str(path))
        os.chmod(path, 0o666)
        self.listener.listen(50)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                question = connection.recv(8192)
                self.questions.append(list(strings(question)))
                if self.hang:
                    self.held.append(connection)
                    continue
                connection.sendall(self.answer)
                connection.close()
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.held:
            connection.close()
        self.path.unlink(missing_ok=True)


def strings(data):
    while data:
        (size,) = struct.unpack(">H", data[:2])
        yield data[2:2 + size].decode()
        data = data[2 + size:]


class Sasldb:
    """A sasldb2 in a folder of the root, as saslpasswd2 makes it."""

    def __init__(self, realm):
        self.folder, self.inner = peers.new_folder("sasldb")
        self.realm, self.path = realm, self.folder / "sasldb2"

    def passwd(self, *options, password=None):
        subprocess.run(peers.inside(["/usr/sbin/saslpasswd2", "-f", f"{self.inner}/sasldb2", *options]),
                       input=password, text=True, check=True, capture_output=True, timeout=60)
        if self.path.exists():
            os.chmod(self.path, 0o644)

    def add(self, name, password, realm=None):
        self.passwd("-p", "-c", "-u", realm or self.realm, name, password=password)

    def delete(self, name):
        self.passwd("-d", "-u", self.realm, name)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
