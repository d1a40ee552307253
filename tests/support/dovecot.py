# SPDX-License-Identifier: Apache-2.0
"""Debian's Dovecot as a mail store that takes mail by LMTP."""
import os
import stat

from . import peers
from .peer import Peer
from .process import PATIENCE, answers, free_ports, run, wait_for

VMAIL = 905

CONF = """\
protocols = lmtp
base_dir = {inner}/run
state_dir = {inner}/state
listen = 127.0.0.1
log_path = /dev/stderr
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
mail_location = maildir:{inner}/mail/%u
mail_uid = {vmail}
mail_gid = {vmail}
first_valid_uid = {vmail}
lda_mailbox_autocreate = yes
lmtp_save_to_detail_mailbox = no
auth_mechanisms = plain
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={vmail} gid={vmail} home={inner}/mail/%u allow_all_users=yes
}}
{quota}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


def hashed(scheme, password):
    """What doveadm pw makes of it: {SCHEME}..."""
    return run(["chroot", peers.root_folder(), "/usr/bin/doveadm", "-O", "pw", "-s", scheme, "-p", password],
               check=True).stdout.strip()


class Dovecot(Peer):
    def __init__(self, extra=""):
        super().__init__("dovecot")
        self.port = free_ports(1)[0]
        self.socket = self.folder / "run/lmtp"
        for name in ["run", "state", "mail"]:
            (self.folder / name).mkdir()
        os.chown(self.folder / "mail", VMAIL, VMAIL)
        (self.folder / "dovecot.conf").write_text(
            CONF.format(inner=self.inner, vmail=VMAIL, port=self.port, quota=extra))

    def start(self):
        return self.run(
            ["/usr/sbin/dovecot", "-F", "-c", f"{self.inner}/dovecot.conf"],
            lambda: answers(self.port) and self.socket.exists() and stat.S_ISSOCK(self.socket.stat().st_mode),
            f"Dovecot's LMTP on port {self.port}")

    def messages(self, user):
        new = self.folder / "mail" / user / "new"
        return sorted(new.iterdir(), key=lambda p: p.stat().st_mtime_ns) if new.exists() else []

    def wait_messages(self, user, count, seconds=PATIENCE):
        wait_for(lambda: len(self.messages(user)) >= count,
                 lambda: f"{count} messages for {user} at Dovecot; its log:\n{self.log()[-3000:]}", seconds)
        return self.messages(user)


AUTH_CONF = """\
protocols =
base_dir = {inner}/run
state_dir = {inner}/state
log_path = /dev/stderr
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
auth_mechanisms = plain login
auth_failure_delay = 0
{extra}
passdb {{
  driver = passwd-file
  args = {inner}/users
}}
userdb {{
  driver = static
  args = uid={vmail} gid={vmail} home=/nonexistent
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
}}
"""


class DovecotAuth(Peer):
    """Its authentication service alone; users: name to password."""

    def __init__(self, users, extra=""):
        super().__init__("dovecot-auth")
        self.socket = self.folder / "run/auth-client"
        for name in ["run", "state"]:
            (self.folder / name).mkdir()
        self.set_passwords(users)
        (self.folder / "dovecot.conf").write_text(AUTH_CONF.format(inner=self.inner, vmail=VMAIL, extra=extra))

    def set_passwords(self, users):
        (self.folder / "users").write_text("".join(f"{name}:{{PLAIN}}{word}\n" for name, word in users.items()))
        (self.folder / "users").chmod(0o644)

    def start(self):
        return self.run(["/usr/sbin/dovecot", "-F", "-c", f"{self.inner}/dovecot.conf"],
                        lambda: self.socket.exists() and stat.S_ISSOCK(self.socket.stat().st_mode),
                        "Dovecot's socket for clients")
