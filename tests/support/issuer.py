# SPDX-License-Identifier: Apache-2.0
"""An issuer of bearer tokens: makes them, publishes its keys, and answers questions about them over HTTPS."""
import base64
import contextlib
import http.server
import json
import socket
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from .postern import certificate, server_context
from .process import free_ports

NAME = "https://idp.example"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self, kid):
        self.kid, self.private = kid, ec.generate_private_key(ec.SECP256R1())

    def public(self):
        numbers = self.private.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "alg": "ES256",
                "x": encode(numbers.x.to_bytes(32, "big")), "y": encode(numbers.y.to_bytes(32, "big"))}

    def sign(self, claims, **header):
        header = {"alg": "ES256", "kid": self.kid, "typ": "JWT", **header}
        text = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
        r, s = utils.decode_dss_signature(self.private.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def claims(user="alice@example.org", **others):
    """Those of a good token; None takes one out."""
    all_of_them = {"iss": NAME, "aud": "postern", "exp": int(time.time()) + 600, "email": user, **others}
    return {name: value for name, value in all_of_them.items() if value is not None}


class Issuer:
    """keys: those that it publishes."""

    def __init__(self):
        self.keys = [Key("one")]

    def token(self, user="alice@example.org", key=None, header=None, **others):
        return (key or self.keys[0]).sign(claims(user, **others), **(header or {}))

    def jwks(self):
        return json.dumps({"keys": [key.public() for key in self.keys]})


class Server(Issuer):
    """
    Over HTTPS: /keys, and /introspect with answers (token -> what is said about it). What it was asked for
    is in requests. behave is "well", or what it does instead: see reply. The folder gets its certificate,
    cert.pem, for localhost and 127.0.0.1.
    """

    def __init__(self, folder, client=("postern", "client secret: 50%")):
        super().__init__()
        self.answers, self.client = {}, client
        self.requests, self.behave, self.cache_control = [], "well", None
        self.folder = certificate(folder, "idp.example")
        self.port = free_ports(1)[0]
        self.stopped, self.connections = threading.Event(), []
        self.server = None

    def opaque(self, token, user="alice@example.org", **others):
        """A token that only the issuer understands."""
        self.answers[token] = {"active": True, **claims(user, **others)}
        return token

    def asked(self, path):
        return self.requests.count(path)

    def start(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, timeout = "HTTP/1.1", 30

            def setup(self):
                super().setup()
                issuer.connections.append(self.connection)

            def do_GET(self):
                issuer.requests.append(self.path)
                if self.path == "/keys":
                    issuer.reply(self, issuer.jwks().encode())
                else:
                    self.send_error(404)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                issuer.requests.append(self.path)
                wanted = ":".join(urllib.parse.quote_plus(part) for part in issuer.client)
                if self.headers["Authorization"] != "Basic " + base64.b64encode(wanted.encode()).decode():
                    self.send_error(401)
                    return
                token = urllib.parse.parse_qs(body, strict_parsing=True)["token"][0]
                issuer.reply(self, json.dumps(issuer.answers.get(token, {"active": False})).encode())

            def log_message(self, *_):
                pass

        self.stopped.clear()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.socket = server_context(self.folder).wrap_socket(self.server.socket, server_side=True,
                                                                     do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def reply(self, handler, data):
        other = {"html": b"<html>Please log in</html>", "huge": b"[" * (1 << 21), "cut": data[:-1],
                 "not an object": b"[true]", "active is text": b'{"active": "true", "aud": "postern"}',
                 "twice": b'{"active": false, "active": true}', "deep": b'{"active":' + b"[" * 50 + b"]" * 50 + b"}"}
        if self.behave == "error":
            handler.send_error(503)
        elif self.behave == "denied":
            handler.send_error(401)
        elif self.behave == "elsewhere":
            handler.send_response(302)
            handler.send_header("Location", f"https://localhost:{self.port}/elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif self.behave == "slow":
            self.stopped.wait(60)
        elif self.behave == "trickle":
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            for byte in data:
                handler.wfile.write(bytes([byte]))
                if self.stopped.wait(1):
                    break
        else:
            data = other.get(self.behave, data)
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            if self.cache_control:
                handler.send_header("Cache-Control", self.cache_control)
            handler.end_headers()
            handler.wfile.write(data)

    def stop(self):
        if self.server is not None:
            self.stopped.set()
            self.server.shutdown()
            self.server.server_close()
            self.server = None
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.connections.clear()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
