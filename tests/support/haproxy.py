# SPDX-License-Identifier: Apache-2.0
"""Debian's HAProxy as the load balancer before a server: TCP, with a PROXY header to it."""
from .peer import Peer
from .process import answers, free_ports

CONF = """\
global
  log stderr format raw local0
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
"""
PAIR = """\
listen in{number}
  bind {host}:{port}
  server s{number} 127.0.0.1:{target} {options}
"""


class HAProxy(Peer):
    """targets: (port of the server, options such as "send-proxy-v2 check"); .ports in the same order."""

    def __init__(self, targets, host="127.0.0.1"):
        super().__init__("haproxy")
        self.ports = free_ports(len(targets))
        conf = CONF
        for number, (target, options) in enumerate(targets):
            conf += PAIR.format(number=number, host=host, port=self.ports[number], target=target, options=options)
        (self.folder / "haproxy.cfg").write_text(conf)

    def start(self):
        return self.run(["/usr/sbin/haproxy", "-db", "-f", f"{self.inner}/haproxy.cfg"],
                        lambda: all(answers(port, b"") for port in self.ports), "haproxy")
