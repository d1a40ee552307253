# SPDX-License-Identifier: Apache-2.0
"""Debian's HAProxy as the load balancer before a server: TCP, with a PROXY header to it."""
import shutil

from . import peers
from .process import Process, answers, free_ports

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


class HAProxy:
    """targets: (port of the server, options such as "send-proxy-v2 check"); .ports in the same order."""

    def __init__(self, targets, host="127.0.0.1"):
        self.folder, self.inner = peers.new_folder("haproxy")
        self.ports = free_ports(len(targets))
        self.process = None
        conf = CONF
        for number, (target, options) in enumerate(targets):
            conf += PAIR.format(number=number, host=host, port=self.ports[number], target=target, options=options)
        (self.folder / "haproxy.cfg").write_text(conf)

    def start(self):
        self.process = Process(peers.inside(["/usr/sbin/haproxy", "-db", "-f", f"{self.inner}/haproxy.cfg"]),
                               self.folder / "log")
        self.process.wait_ready(lambda: all(answers(port, b"") for port in self.ports), "haproxy")
        return self

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
