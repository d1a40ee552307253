# SPDX-License-Identifier: Apache-2.0
"""postern behind a balancer that sends PROXY headers: so a test's clients can come from anywhere."""
from .postern import CONF, Postern
from .process import free_ports
from .raw import Raw

# Logins in clear, for tests that make many and are not about TLS.
IN_CLEAR = CONF + """\
listen "behind" {{ address = "127.0.0.1:{behind}"  proxy_from = "127.0.0.1"
                   clear_auth_from = {{ "0.0.0.0/0", "::/0" }} }}
"""


class Behind(Postern):
    """extra: names of the ports of the listeners that conf has besides the usual three."""
    extra = ("behind",)

    def configure(self, **parts):
        if self.extra[0] not in self.values:
            self.values.update(zip(self.extra, free_ports(len(self.extra))))
        super().configure(**parts)

    def come(self, client):
        """A connection to "behind" of a client with this address; its greeting has not been read."""
        version = 6 if ":" in client else 4
        raw = Raw(self.values["behind"], greet=False)
        raw.send(f"PROXY TCP{version} {client} {'::1' if version == 6 else '192.0.2.25'} 40000 587\r\n")
        return raw
