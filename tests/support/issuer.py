# SPDX-License-Identifier: Apache-2.0
"""An issuer of bearer tokens: makes them, and publishes its keys."""
import base64
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

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
