# SPDX-License-Identifier: Apache-2.0
"""Alerts that are sent to an address of the administrator's."""
import http.server
import json
import os
import signal
import threading

from support.postern import Postern, certificate, server_context
from support.process import free_ports, wait_for

SECTIONS = """alert {{ webhook = "https://localhost:{hook}/alerts?of=postern"  timeout = "3s"
  webhook_secret_file = "{folder}/hook-secret"  webhook_ca_file = "{folder}/hook/cert.pem" }}
route "all" {{ via = "capture:{folder}/capture" }}"""


class Hook:
    """Takes what is posted, or answers with another status."""

    def __init__(self, folder):
        self.posts, self.status = [], 204
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 30

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posts.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.port = free_ports(1)[0]
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.socket = server_context(certificate(folder)).wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_a_webhook_is_told():
    server = Postern(routes='route "all" {{ via = "capture:{folder}/capture" }}')
    hook = Hook(server.folder / "hook")
    (server.folder / "hook-secret").write_text("the hook's secret\r\n")
    server.secrets.add("the hook's secret")
    server.values["hook"] = hook.port
    server.configure(routes=SECTIONS)
    server.expect_deaths = True
    with server:
        assert "taken" in server.command("alert", "test", check=True).stdout
        path, headers, alert = next(p for p in hook.posts if p[2]["kind"] == "test")
        assert path == "/alerts?of=postern" and headers["Content-Type"] == "application/json"
        assert headers["Authorization"] == "Bearer the hook's secret"
        assert alert["kind"] == "test" and alert["host"] == "mail.example.org"
        # Not one that happens only if somebody asks.
        os.kill(server.pid("control"), signal.SIGKILL)
        wait_for(lambda: [p for p in hook.posts if p[2]["kind"] == "process-died"], "the alert")
        server.wait_event("alert-webhook", kind="process-died", result="taken")
        died = next(p[2] for p in hook.posts if p[2]["kind"] == "process-died")
        assert died["subject"] == "control" and died["state"] == "new"
        # It is told why it does not work.
        hook.status = 500
        done = wait_for(lambda: server.command("alert", "test"), "the command line")
        assert done.returncode == 1 and "it answers HTTP 500" in done.stdout + done.stderr
        hook.close()
        done = server.command("alert", "test")
        assert done.returncode == 1 and "taken" not in done.stdout + done.stderr
        server.configure(routes='route "all" {{ via = "capture:{folder}/capture" }}')
        server.command("reload", check=True)
        wait_for(lambda: not server.pids("agent"), "the end of the agent")
