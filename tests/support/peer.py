# SPDX-License-Identifier: Apache-2.0
"""One of Debian's servers in the unpacked root: a folder, a process, an end."""
import shutil

from . import peers
from .process import Process


class Peer:
    """What says how it is started (run) and stopped is the subclass's; use it with "with".

    root: another than the one that most servers share.
    """

    def __init__(self, name, root=None):
        self.root = root
        self.folder, self.inner = peers.new_folder(name, root)  # as seen from outside, and from the root
        self.process = None

    def run(self, arguments, ready, what, **options):
        """Starts it in the root and waits until ready() says so."""
        self.process = Process(peers.inside(arguments, self.root), self.folder / "process.log", **options)
        self.process.wait_ready(ready, what)
        return self

    def start(self):
        raise NotImplementedError

    def log(self):
        return self.process.log()

    def stop(self):
        if self.process:
            self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
