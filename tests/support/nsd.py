# SPDX-License-Identifier: Apache-2.0
"""Debian's nsd as the name server of made-up domains."""
import socket

from .peer import Peer
from .process import free_ports

CONF = """\
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{inner}"
  pidfile: ""
  xfrdfile: ""
  zonelistfile: "{inner}/zone.list"
  database: ""
  verbosity: 1
remote-control:
  control-enable: no
"""
ZONE = """\
zone:
  name: "{name}"
  zonefile: "{file}"
"""
HEAD = "$TTL 60\n@ IN SOA ns.{name}. admin.{name}. 1 3600 600 86400 60\n@ IN NS ns.{name}.\nns IN A 127.0.0.1\n"


class Nsd(Peer):
    """zones: name -> lines of the zone file after SOA and NS. "." is served too: all else is NXDOMAIN."""

    def __init__(self, zones):
        super().__init__("nsd")
        self.port = free_ports(1)[0]
        conf = CONF.format(port=self.port, inner=self.inner)
        (self.folder / "root.zone").write_text(
            "$TTL 60\n. IN SOA ns. admin. 1 3600 600 86400 60\n. IN NS ns.\nns. IN A 127.0.0.1\n")
        conf += ZONE.format(name=".", file="root.zone")
        for name, lines in zones.items():
            (self.folder / f"{name}.zone").write_text(HEAD.format(name=name) + lines)
            conf += ZONE.format(name=name, file=f"{name}.zone")
        (self.folder / "nsd.conf").write_text(conf)

    @property
    def resolver(self):
        return f"127.0.0.1@{self.port}"

    def _answers(self):
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x01"  # SOA of the root
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.5)
            try:
                s.sendto(query, ("127.0.0.1", self.port))
                return s.recv(512)[:2] == b"\x12\x34"
            except OSError:
                return False

    def start(self):
        return self.run(["/usr/sbin/nsd", "-d", "-c", f"{self.inner}/nsd.conf"], self._answers, "nsd")
