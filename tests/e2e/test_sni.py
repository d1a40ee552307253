# SPDX-License-Identifier: Apache-2.0
"""Several certificates: who asks for a name gets the one made out to it, everybody else the server's own."""
import os
import shutil
import socket
import ssl

import pytest
from support.postern import CONF, PASSWORD, Postern, certificate
from support.process import PATIENCE, wait_for
from support.raw import Raw

CONF_SNI = CONF.replace('key = "{folder}/key.pem" }}', 'key = "{folder}/key.pem" folder = "{folder}/live" }}')
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
OLD = "127.0.0.9"
ROUTES = """
route "all" {{ via = "capture:{folder}/capture" }}
certificate "wild" {{ certificate = "{folder}/wild/cert.pem"  key = "{folder}/wild/key.pem" }}
certificate "tld" {{ certificate = "{folder}/tld/cert.pem"  key = "{folder}/tld/key.pem" }}
certificate "exact" {{ certificate = "{folder}/exact/both.pem" }}
"""


def live(folder, name, number=1):
    """As certbot has it: links into an archive, replaced at each renewal."""
    archive = certificate(folder / f"archive/{name}-{number}", name)
    where = folder / "live" / name
    where.mkdir(parents=True, exist_ok=True)
    for link, file in [("fullchain.pem", "cert.pem"), ("privkey.pem", "key.pem")]:
        fresh = where / (link + ".new")
        fresh.symlink_to(archive / file)
        os.replace(fresh, where / link)


def prepare(postern):
    for name in ["a.example", "b.example"]:
        live(postern.folder, name)
    (postern.folder / "live/README").write_text("This directory contains your keys and certificates.\n")
    (postern.folder / "live/empty").mkdir()
    certificate(postern.folder / "wild", "*.wild.example")
    certificate(postern.folder / "tld", "*.example")
    exact = certificate(postern.folder / "exact", "exact.wild.example")
    (exact / "both.pem").write_bytes((exact / "key.pem").read_bytes() + (exact / "cert.pem").read_bytes())
    postern.own()
    return postern


@pytest.fixture(scope="module")
def server():
    conf = CONF_SNI.replace('listen "submissions" {{', f'listen "submissions" {{{{ tls_legacy_from = "{OLD}" ')
    with prepare(Postern(conf=conf, routes=ROUTES)) as running:
        yield running


def shown(server, name, listener="submissions", source="127.0.0.1", **options):
    """The certificate that a client gets, in DER, and the version of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for key, value in options.items():
        setattr(context, key, value)
    if options:
        context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", getattr(server, listener)), PATIENCE, source_address=(source, 0)) as s:
        if listener != "submissions":
            raw = Raw.__new__(Raw)
            raw.socket, raw.buffer = s, b""
            raw.reply()
            raw.command("EHLO c.example", 250)
            raw.command("STARTTLS", 220)
        with context.wrap_socket(s, server_hostname=name) as tls:
            return tls.getpeercert(True), tls.version()


def file_der(server, path):
    text = (server.folder / path).read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE"):])


@pytest.mark.parametrize("listener", ["submissions", "submission"])
@pytest.mark.parametrize("name, path", [
    ("a.example", "live/a.example/fullchain.pem"), ("A.Example", "live/a.example/fullchain.pem"),
    ("b.example", "live/b.example/fullchain.pem"), ("b.example.", "live/b.example/fullchain.pem"),
    ("any.wild.example", "wild/cert.pem"), ("exact.wild.example", "exact/cert.pem"),
    ("two.labels.wild.example", "cert.pem"), ("wild.example", "cert.pem"),
    ("mail.example.org", "cert.pem"), ("c.example", "cert.pem"), (None, "cert.pem"), ("127.0.0.1", "cert.pem")])
def test_b10_each_name_gets_its_certificate(server, listener, name, path):
    assert shown(server, name, listener)[0] == file_der(server, path)


def test_b8_a_name_changes_nothing_of_what_is_allowed(server):
    """The certificate of another name brings neither old TLS to those who are not named, nor takes it from others."""
    old = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1}
    for name in ["a.example", "any.wild.example", None]:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shown(server, name, **old)
        assert shown(server, name, source=OLD, **old)[1] == "TLSv1"
    context = ssl.create_default_context(cafile=server.folder / "live/a.example/fullchain.pem")
    context.set_alpn_protocols(["smtp"])
    with socket.create_connection(("127.0.0.1", server.submissions), PATIENCE) as plain:
        raw = Raw.__new__(Raw)
        raw.socket, raw.buffer = context.wrap_socket(plain, server_hostname="a.example"), b""
        assert raw.socket.selected_alpn_protocol() == "smtp"
        raw.reply()
        raw.command("EHLO c.example", 250)
        raw.login("alice", PASSWORD)
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", server.submissions), PATIENCE) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="a.example")


def test_all_are_shown(server):
    rows = server.json("tls", "show")
    assert [r["names"].split()[0] for r in rows] == ["mail.example.org", "*.wild.example", "localhost",
                                                     "exact.wild.example", "a.example", "b.example"]
    assert len({r["fingerprint"] for r in rows}) == 6


def test_renewed_and_new_ones_are_taken_up(server):
    before = shown(server, "b.example")[0]
    with server.client(implicit=True) as client:
        live(server.folder, "b.example", 2)
        live(server.folder, "new.example")
        server.own()
        server.command("reload", check=True)
        wait_for(lambda: shown(server, "b.example")[0] == file_der(server, "live/b.example/fullchain.pem") != before,
                 "the renewed certificate")
        wait_for(lambda: shown(server, "new.example")[0] == file_der(server, "live/new.example/fullchain.pem"),
                 "the new certificate")
        assert client.noop()[0] == 250
    assert shown(server, "a.example")[0] == file_der(server, "live/a.example/fullchain.pem")
    shutil.rmtree(server.folder / "live/new.example")
    server.command("reload", check=True)
    wait_for(lambda: shown(server, "new.example")[0] == file_der(server, "cert.pem"), "the server's own again")


def test_one_that_is_of_no_use_holds_nothing_up():
    postern = prepare(Postern(conf=CONF_SNI, routes=ROUTES))
    certificate(postern.folder / "other", "a.example")
    shutil.rmtree(postern.folder / "live/b.example")
    (postern.folder / "live/b.example").mkdir()
    (postern.folder / "live/b.example/fullchain.pem").write_text("nothing\n")
    (postern.folder / "live/b.example/privkey.pem").write_text("nothing\n")
    os.replace(postern.folder / "other/key.pem", postern.folder / "archive/a.example-1/key.pem")
    postern.own()
    checked = postern.command("check")
    assert checked.returncode == 0, checked.stderr
    assert checked.stderr.count("it is left out") == 2, checked.stderr
    assert f"chmod o= {postern.folder}/key.pem" not in checked.stderr
    (postern.folder / "key.pem").chmod(0o644)
    assert f"chmod o= {postern.folder}/key.pem" in postern.command("check").stderr
    offline = postern.json("tls", "show")
    assert "exact.wild.example" in str(offline)
    with postern:
        assert shown(postern, "a.example")[0] == file_der(postern, "cert.pem")
        assert shown(postern, "any.wild.example")[0] == file_der(postern, "wild/cert.pem")
        assert 'tls: folder "a.example": ' in postern.log().replace('\\"', '"'), postern.log()
        # One that the file names by itself is another matter.
        os.replace(postern.folder / "wild/cert.pem", postern.folder / "wild/gone.pem")
        reloaded = postern.command("reload")
        assert reloaded.returncode != 0 and 'certificate "wild"' in reloaded.stderr + reloaded.stdout, reloaded
        assert shown(postern, "any.wild.example")[0] == file_der(postern, "wild/gone.pem")
