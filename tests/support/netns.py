# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces with a cable between them: a server's, and one where its clients are."""
import contextlib
import ctypes
import itertools
import os
import subprocess

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_number = itertools.count()


class Unavailable(Exception):
    """Why there are no namespaces here."""


def _ip(*arguments):
    done = subprocess.run(["ip", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"ip {' '.join(map(str, arguments))}: {done.stderr.strip()}")


class Cable:
    """
    near, far: addresses with /bits of the two ends. What is started, and each socket that is made, within
    in_near() and in_far() belongs there. The device is called peer0 at both ends.
    """

    def __init__(self, near, far):
        name = f"postern-test-{os.getpid()}-{next(_number)}"
        self.names = {"near": name + "n", "far": name + "f"}
        self.addresses = {"near": near, "far": far}

    def __enter__(self):
        if os.geteuid() != 0:
            raise Unavailable("network namespaces need root")
        try:
            for name in self.names.values():
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", self.names["near"], "link", "add", "peer0", "type", "veth", "peer", "name", "peer0", "netns",
                self.names["far"])
            for side, name in self.names.items():
                for address in self.addresses[side]:
                    _ip("-n", name, "address", "add", address, "dev", "peer0", *(["nodad"] if ":" in address else []))
                subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.peer0.accept_dad=0"],
                               capture_output=True, check=False)
                _ip("-n", name, "link", "set", "peer0", "up")
        except Unavailable:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    @contextlib.contextmanager
    def _within(self, side):
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.names[side]}", os.O_RDONLY)
        try:
            if _libc.setns(there, CLONE_NEWNET) != 0:
                raise Unavailable(f"setns: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                if _libc.setns(home, CLONE_NEWNET) != 0:
                    os.abort()  # nothing may go on in the wrong network
        finally:
            os.close(home)
            os.close(there)

    def in_near(self):
        return self._within("near")

    def in_far(self):
        return self._within("far")

    def add_route(self, side, network, via):
        _ip("-n", self.names[side], "route", "add", network, "via", via)

    def link_local(self, side):
        """The address that the kernel gave to peer0 of that side."""
        out = subprocess.run(["ip", "-n", self.names[side], "-6", "-o", "address", "show", "dev", "peer0", "scope", "link"],
                             capture_output=True, text=True, check=True).stdout
        return out.split()[3].split("/")[0]
