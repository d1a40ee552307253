# SPDX-License-Identifier: Apache-2.0
"""MIT's Kerberos server from Debian, with a realm of its own on a loopback port."""
import os

from . import peers
from .peer import Peer
from .process import free_ports, run

PACKAGES = ("krb5-kdc", "krb5-admin-server", "krb5-user")
REALM = "EXAMPLE.ORG"
CONF = """\
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
[realms]
  {realm} = {{
    kdc = 127.0.0.1:{port}
  }}
[domain_realm]
  localhost = {realm}
[dbmodules]
  {realm} = {{
    db_library = db2
    database_name = {inner}/principal
  }}
"""
KDC = """\
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = ""
[realms]
  {realm} = {{
    key_stash_file = {inner}/stash
    acl_file = {inner}/acl
    max_life = 1h
  }}
[dbmodules]
  {realm} = {{
    db_library = db2
    database_name = {inner}/principal
  }}
"""


class Kerberos(Peer):
    """principals: name -> password, None for a key that is only in the keytab."""

    def __init__(self, principals, realm=REALM):
        super().__init__("kerberos", peers.root_folder("kerberos", PACKAGES))
        self.realm = realm
        self.port = free_ports(1)[0]
        values = {"realm": realm, "port": self.port, "inner": self.inner}
        (self.folder / "krb5.conf").write_text(CONF.format(**values))
        (self.folder / "kdc.conf").write_text(KDC.format(**values))
        self.tool("/usr/sbin/kdb5_util", "create", "-s", "-r", realm, "-P", "master")
        for name, password in principals.items():
            self.admin(f"addprinc {'-randkey' if password is None else '-pw ' + password} {name}")

    def environment(self, **more):
        return {**os.environ, "KRB5_CONFIG": f"{self.inner}/krb5.conf",
                "KRB5_KDC_PROFILE": f"{self.inner}/kdc.conf", **more}

    def tool(self, *arguments, **options):
        return run(peers.inside(arguments, self.root), check=True, env=self.environment(), **options)

    def admin(self, command):
        done = self.tool("/usr/sbin/kadmin.local", "-r", self.realm, "-q", command)
        assert "kadmin.local: " not in done.stderr, done.stderr

    def keytab(self, name):
        """A file with the key of a principal, seen from outside."""
        self.admin(f"ktadd -k {self.inner}/{name.replace('/', '-')}.keytab {name}")
        return self.folder / f"{name.replace('/', '-')}.keytab"

    def ticket(self, name, password):
        """What a program needs in its environment to be that principal."""
        cache = self.folder / f"cache-{name.replace('/', '-')}"
        self.tool("/usr/bin/kinit", "-c", f"{self.inner}/{cache.name}", f"{name}@{self.realm}", input=password + "\n")
        return {**os.environ, "KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5CCNAME": str(cache)}

    def _answers(self, name, password):
        try:
            self.ticket(name, password)
        except AssertionError:
            return False
        return True

    def start(self, name, password):
        """name, password: of somebody whose ticket shows that it runs."""
        return self.run(["/usr/sbin/krb5kdc", "-n", "-r", self.realm], lambda: self._answers(name, password), "a ticket",
                        env=self.environment())
