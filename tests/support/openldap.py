# SPDX-License-Identifier: Apache-2.0
"""OpenLDAP's slapd from Debian, with a directory of people of its own on loopback ports."""
import shutil
import socket

from . import peers
from .peer import Peer
from .postern import certificate
from .process import free_ports, run

PACKAGES = ("slapd", "ldap-utils")
SUFFIX = "dc=example,dc=org"
MANAGER, MANAGER_PASSWORD = f"cn=manager,{SUFFIX}", "password of the manager"
CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {inner}/pid
TLSCertificateFile {inner}/cert.pem
TLSCertificateKeyFile {inner}/key.pem
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{manager}" read by * none
database mdb
suffix "{suffix}"
rootdn "cn=root,{suffix}"
rootpw root
directory {inner}/data
"""
TOP = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {MANAGER}
objectClass: person
cn: manager
sn: manager
userPassword: {MANAGER_PASSWORD}

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=more,{SUFFIX}
objectClass: organizationalUnit
ou: more
"""
PERSON = """
dn: uid={name},ou={unit},{suffix}
objectClass: inetOrgPerson
uid: {name}
cn: {name}
sn: {name}
mail: {mail}
userPassword: {password}
"""


def takes_connections(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class OpenLdap(Peer):
    """people: (name, unit, password, mail address); of units there are people and more.

    Nothing is shown to strangers; the manager may read. It is at ldap, with TLS at ldaps, and
    at misnamed, which is not in its certificate.
    """

    def __init__(self, people):
        super().__init__("slapd", peers.root_folder("openldap", PACKAGES))
        self.ports = free_ports(2)
        self.ldap, self.ldaps = (f"{scheme}://127.0.0.1:{port}" for scheme, port in
                                 zip(["ldap", "ldaps"], self.ports))
        self.misnamed = self.ldaps.replace("127.0.0.1", "127.0.0.2")
        certificate(self.folder, "ldap.example.org")
        (self.folder / "slapd.conf").write_text(
            CONF.format(inner=self.inner, suffix=SUFFIX, manager=MANAGER))
        (self.folder / "data").mkdir()
        ldif = TOP + "".join(
            PERSON.format(name=name, unit=unit, suffix=SUFFIX, password=password, mail=mail)
            for name, unit, password, mail in people)
        run(peers.inside(["/usr/sbin/slapadd", "-f", f"{self.inner}/slapd.conf"], self.root), input=ldif, check=True)
        # Who asks need not be root.
        self.folder.chmod(0o755)
        shutil.copy(self.folder / "cert.pem", self.folder / "ca.pem")
        (self.folder / "ca.pem").chmod(0o644)

    def start(self):
        return self.run(["/usr/sbin/slapd", "-d", "stats", "-f", f"{self.inner}/slapd.conf",
                         "-h", f"{self.ldap} {self.ldaps} {self.misnamed}"],
                        lambda: all(map(takes_connections, self.ports)), f"slapd at {self.ldap}")

    def modify(self, changes):
        run(peers.inside(["/usr/bin/ldapmodify", "-x", "-H", self.ldap, "-D", f"cn=root,{SUFFIX}", "-w", "root"],
                         self.root), input=changes, check=True)
