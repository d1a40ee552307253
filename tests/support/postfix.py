# SPDX-License-Identifier: Apache-2.0
"""Debian's Postfix as the server behind, beside or in comparison with ours."""
import os

from . import peers
from .peer import Peer
from .process import PATIENCE, Process, answers, children, free_ports, run, wait_for

POSTFIX, POSTDROP, VMAIL = 901, 902, 905
PRIVATE = ["incoming", "active", "deferred", "bounce", "defer", "flush", "trace", "saved", "hold", "corrupt",
           "private"]

MASTER = """\
{port} inet n - n - {processes} smtpd
{extra}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

MAIN = {
    "compatibility_level": "3.6",
    "myhostname": "postfix.example",
    "mydestination": "",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "local_transport": "error:no local delivery",
    "smtp_host_lookup": "native",
    "smtp_dns_support_level": "disabled",
    "smtpd_peername_lookup": "no",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtputf8_enable": "no",
    "message_size_limit": "104857600",
    "mailbox_size_limit": "0",
    "virtual_mailbox_limit": "0",
    "virtual_uid_maps": f"static:{VMAIL}",
    "virtual_gid_maps": f"static:{VMAIL}",
    "virtual_minimum_uid": "100",
    "virtual_mailbox_maps": "static:all/",
}


class Postfix(Peer):
    """settings: of main.cf, on top of MAIN. mailboxes: domains whose mail is kept in self.maildir."""

    def __init__(self, settings=None, mailboxes=(), extra_services="", processes="-", port=None):
        super().__init__("postfix")
        self.port = port or free_ports(1)[0]
        self.maildir = self.folder / "mail/all"
        for name in ["etc", "spool", "data", "mail", "spool/pid"]:
            (self.folder / name).mkdir()
        for name in PRIVATE:
            (self.folder / "spool" / name).mkdir(mode=0o700)
            os.chown(self.folder / "spool" / name, POSTFIX, 0)
        for name, mode in [("public", 0o2710), ("maildrop", 0o1730)]:
            (self.folder / "spool" / name).mkdir()
            os.chown(self.folder / "spool" / name, POSTFIX, POSTDROP)
            os.chmod(self.folder / "spool" / name, mode)
        os.chown(self.folder / "data", POSTFIX, 0)
        os.chown(self.folder / "mail", VMAIL, VMAIL)
        main = {**MAIN, "queue_directory": f"{self.inner}/spool", "data_directory": f"{self.inner}/data",
                "virtual_mailbox_base": f"{self.inner}/mail", "virtual_mailbox_domains": " ".join(mailboxes),
                "maillog_file_prefixes": "/peers", "maillog_file": f"{self.inner}/maillog", **(settings or {})}
        (self.folder / "etc/main.cf").write_text("".join(f"{k} = {v}\n" for k, v in main.items()))
        (self.folder / "etc/master.cf").write_text(
            MASTER.format(port=f"127.0.0.1:{self.port}", extra=extra_services, processes=processes))
        (self.folder / "etc/dynamicmaps.cf").write_text("")

    def start(self):
        return self.run(["/usr/lib/postfix/sbin/master", "-s", "-c", f"{self.inner}/etc"],
                        lambda: answers(self.port), f"Postfix on port {self.port}",
                        env={"MAIL_CONFIG": f"{self.inner}/etc", "PATH": "/usr/sbin:/usr/bin"})

    def log(self):
        path = self.folder / "maillog"
        return path.read_text(errors="replace") if path.exists() else super().log()

    def pids(self):
        return [self.process.pid, *children(self.process.pid)]

    def tool(self, name, *arguments, **options):
        """postqueue, postsuper, sendmail, postconf ... with this server's configuration."""
        return run(peers.inside([f"/usr/sbin/{name}", "-c", f"{self.inner}/etc", *arguments]), **options)

    def send(self, sender, recipients, data):
        """Hands a message to this server as a local program would, by sendmail(1)."""
        run(peers.inside(["/usr/sbin/sendmail", "-C", f"{self.inner}/etc", "-i", "-f", sender, "--", *recipients]),
            input=data.decode("latin-1").replace("\r\n", "\n"), encoding="latin-1",
            env={"MAIL_CONFIG": f"{self.inner}/etc", "PATH": "/usr/sbin:/usr/bin"}, check=True)

    def messages(self):
        """Delivered messages by arrival; complete ones only."""
        new = self.maildir / "new"
        return sorted(new.iterdir(), key=lambda p: p.stat().st_mtime_ns) if new.exists() else []

    def wait_messages(self, count, seconds=PATIENCE):
        wait_for(lambda: len(self.messages()) >= count, lambda: f"{count} messages at Postfix, there are "
                 f"{len(self.messages())}; its log:\n{self.log()[-3000:]}", seconds)
        return self.messages()


def smtp_sink(port, folder, *options):
    """Postfix's smtp-sink, which throws messages away (or keeps them below folder with -d)."""
    process = Process(peers.inside(["/usr/sbin/smtp-sink", "-u", "nobody", *options, f"127.0.0.1:{port}", "100"]),
                      folder / "smtp-sink.log")
    process.wait_ready(lambda: answers(port), "smtp-sink")
    return process
