# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared, set up for the same work: submission with login, relay to a sink."""
import os
import shutil
import struct
import tempfile
from pathlib import Path

from support import peers, postern
from support.postfix import POSTFIX, Postfix
from support.process import BUILD, Process, children, cpu_seconds, free_ports, memory, run

USER, PASSWORD = "load", "correct horse battery"
TOOLS = BUILD / "bench"


class Sink:
    """postern-sink; how many messages it has is read from a file that it maps."""

    def __init__(self, ledger=None, port=None):
        self.folder = Path(tempfile.mkdtemp(prefix="postern-sink-", dir=BUILD))
        self.port = port or free_ports(1)[0]
        options = ["--ledger", ledger] if ledger else []
        self.process = Process([TOOLS / "postern-sink", "--listen", f"127.0.0.1:{self.port}", "--count",
                                self.folder / "count", *options], self.folder / "log")
        self.process.wait_ready(lambda: "listening" in self.process.log(), "the sink")

    def count(self):
        """(messages, monotonic time of the last one in seconds)"""
        messages, _, _, last = struct.unpack("4Q", (self.folder / "count").read_bytes())
        return messages, last / 1e9

    def stop(self):
        self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Server:
    """What both have: a port with STARTTLS, a login, a sink behind, and processes to look at."""

    login = USER

    def __init__(self):
        self.sink = Sink()
        self.folder = Path(tempfile.mkdtemp(prefix="postern-bench-", dir=BUILD))
        (self.folder / "password").write_text(PASSWORD + "\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.sink.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def cpu(self):
        return sum(cpu_seconds(pid) for pid in self.pids())

    def memory(self):
        return sum(memory(pid, "Pss") for pid in self.pids())


class PosternServer(Server):
    name = "postern"

    def __init__(self, held=0):
        super().__init__()
        conf = postern.CONF.replace('log {{ format = "json" }}\n', "").replace("disk_reserve = 1M", "")
        self.server = postern.Postern(
            conf=conf, accounts=(), limits=f"sessions = {max(1000, held * 4)}  sessions_per_source = 1000000  sessions_per_account = 0",
            routes=f'relay "sink" {{{{ host = "127.0.0.1:{self.sink.port}"  tls = "none" }}}}\n'
                   'route "all" {{ via = "relay:sink" }}', parent=BUILD)
        self.server.add_account(USER, PASSWORD, "--send-as", "load@load.example")
        self.server.start()
        self.port = self.server.submission

    def pids(self):
        return [self.server.process.pid, *children(self.server.process.pid)]

    def by_process(self):
        """Memory and CPU of each process, for the page."""
        return {f"{postern.name_of(p)} {p}": (memory(p, "Pss"), cpu_seconds(p)) for p in self.pids()}

    def told(self):
        """What the server itself counts: numbers of each process, but for times and sizes."""
        rows = self.server.json("status")
        return "\n".join(f"{row['process']}: " + ", ".join(
            f"{k} {v}" for k, v in row.items() if (isinstance(v, int) and not isinstance(v, bool) or k.startswith("per_"))
            and k not in ("pid", "uptime_s", "restarts", "free_bytes")) for row in rows if row["process"] in ("auth", "queue", "relay") and "pid" in row)

    def stop(self):
        try:
            self.server.stop()
        finally:
            self.server.discard()


class PostfixServer(Server):
    name = "Postfix"

    def __init__(self, held=0):
        super().__init__()
        self.server = Postfix(processes=str(held + 50) if held else "-")
        inner, folder = self.server.inner, self.server.folder
        postern.certificate(folder / "tls")
        # Where Cyrus SASL looks unless told otherwise: Debian's smtpd reads no other sasldb.
        run(peers.inside(["/usr/sbin/saslpasswd2", "-p", "-c", "-u", "postfix.example", USER]),
            input=PASSWORD + "\n", check=True)
        os.chown(peers.root_folder() / "etc/sasldb2", POSTFIX, 0)
        with open(folder / "etc/main.cf", "a", encoding="ascii") as file:
            file.write(f"""
smtpd_tls_cert_file = {inner}/tls/cert.pem
smtpd_tls_key_file = {inner}/tls/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = postfix.example
smtpd_relay_restrictions = permit_sasl_authenticated, reject
relayhost = [127.0.0.1]:{self.sink.port}
""")
        self.server.start()
        self.port = self.server.port

    def pids(self):
        return self.server.pids()

    def told(self):
        return ""

    def stop(self):
        self.server.stop()


SERVERS = {"Postfix": PostfixServer, "postern": PosternServer}
