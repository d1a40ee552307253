# SPDX-License-Identifier: Apache-2.0
"""What clients say with bearer tokens, byte by byte."""
import base64


def oauthbearer(token, user=None):
    name = user.replace("=", "=3D").replace(",", "=2C") if user else ""
    return f"n,{'a=' + name if user else ''},\x01host=mail.example.org\x01port=587\x01auth=Bearer {token}\x01\x01"


def xoauth2(token, user="alice@example.org"):
    return f"user={user}\x01auth=Bearer {token}\x01\x01"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def log_in(server, mechanism, message, answer="AQ=="):
    """The replies to AUTH, to the last; a challenge is answered."""
    with server.client(user=None) as client:
        client.ehlo()
        replies = [client.docmd("AUTH", f"{mechanism} {b64(message)}")]
        while replies[-1][0] == 334:
            replies.append(client.docmd(answer))
        return [(code, text.decode()) for code, text in replies]
