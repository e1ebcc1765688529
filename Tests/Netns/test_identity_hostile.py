"""Peers at a real tunnel port whose certificate or TLS is wrong (reliability rows 27, 29 to 39).

Each is refused before the application sees a byte, with one line that says why; what it calls itself is escaped there.
"""
import contextlib
import re
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from support import netns
from support.hbone import Client
from support.identities import PKI, file_stage, spiffe, start
from support.waiting import wait_for

pytestmark = pytest.mark.root

GOOD = spiffe("client")
ANY = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.3")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    with file_stage(folder) as mesh:
        start(mesh)
        mesh.other = PKI(folder / "other", common_name="other root")
        # The same subject as our root: the name alone must not do.
        mesh.twin = PKI(folder / "twin")
        # Below our root, and no authorities all the same.
        mesh.workload = PKI(
            folder / "workload", issuer=mesh.pki, common_name="w", authority=False, key_usage=("digital_signature",))
        mesh.unsigning = PKI(folder / "unsigning", issuer=mesh.pki, common_name="u", key_usage=("crl_sign",))
        mesh.last = PKI(folder / "last", issuer=mesh.pki, common_name="l", path_length=0)
        mesh.beyond = PKI(folder / "beyond", issuer=mesh.last, common_name="b")
        yield mesh


# name: (what the line must say, arguments of the leaf, which authority signs)
LEAVES = {
    "other-authority": ("unable to get local issuer certificate", {"uris": [GOOD]}, "other"),
    "twin-authority": ("refused", {"uris": [GOOD]}, "twin"),
    "self-signed": ("self-signed certificate", {"uris": [GOOD], "self_signed": True}, "pki"),
    "expired": ("has expired", {"uris": [GOOD], "start": -3, "end": -1}, "pki"),
    "not-yet-valid": ("compare the clocks", {"uris": [GOOD], "start": 2}, "pki"),
    "authority-leaf": ("CA certificate", {"uris": [GOOD], "authority": True}, "pki"),
    "server-only": ("purpose", {"uris": [GOOD], "eku": [ExtendedKeyUsageOID.SERVER_AUTH]}, "pki"),
    "code-signing": ("purpose", {"uris": [GOOD], "eku": [ANY]}, "pki"),
    "key-encipherment": ("purpose", {"uris": [GOOD], "key_usage": ("key_encipherment",)}, "pki"),
    "key-agreement": ("digital signatures", {"uris": [GOOD], "key_usage": ("key_agreement",)}, "pki"),
    "no-names": ("no subject alternative name", {}, "pki"),
    "no-uri": ("no URI SAN", {"others": [x509.DNSName("client.default")]}, "pki"),
    "two-uris": ("several URI SANs", {"uris": [GOOD, spiffe("server")]}, "pki"),
    "two-uris-one-foreign": ("several URI SANs", {"uris": [GOOD, "https://example.com/"]}, "pki"),
    "spiffe-as-dns": ("no URI SAN", {"others": [x509.DNSName(GOOD)]}, "pki"),
    "spiffe-as-mail": ("no URI SAN", {"others": [x509.RFC822Name._init_without_validation(GOOD)]}, "pki"),
    "spiffe-as-name": ("no subject alternative name", {"common_name": GOOD}, "pki"),
    "signed-by-a-workload": ("refused", {"uris": [GOOD]}, "workload"),
    "issuer-may-not-sign": ("refused", {"uris": [GOOD]}, "unsigning"),
    "path-too-long": ("path length", {"uris": [GOOD]}, "beyond"),
    "small-key": ("key too weak", {"uris": [GOOD], "key": rsa.generate_private_key(65537, 1024)}, "pki"),
    "huge": (
        "excessive message size",
        {"uris": [GOOD], "others": [x509.DNSName(f"{number:060}.example") for number in range(3000)]}, "pki"),
    "other-domain": ("expected trustdomain", {"uris": [spiffe("client", "other.mesh")]}, "pki"),
}

# What is no SPIFFE identity of ours, whatever it looks like.
LOOK_ALIKES = {
    "suffix": ("trustdomain", "spiffe://cluster.local.evil.example/ns/default/sa/client"),
    "prefix": ("trustdomain", "spiffe://evil-cluster.local/ns/default/sa/client"),
    "upper": ("SPIFFE", "spiffe://Cluster.Local/ns/default/sa/client"),
    "trailing-dot": ("SPIFFE", "spiffe://cluster.local./ns/default/sa/client"),
    "percent": ("SPIFFE", "spiffe://cluster%2elocal/ns/default/sa/client"),
    "port": ("SPIFFE", "spiffe://cluster.local:443/ns/default/sa/client"),
    "user": ("SPIFFE", "spiffe://user@cluster.local/ns/default/sa/client"),
    "query": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/client?x=1"),
    "fragment": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/client#x"),
    "scheme": ("SPIFFE", "SPIFFE://cluster.local/ns/default/sa/client"),
    "https": ("SPIFFE", "https://cluster.local/ns/default/sa/client"),
    "empty-namespace": ("SPIFFE", "spiffe://cluster.local/ns//sa/client"),
    "dots": ("SPIFFE", "spiffe://cluster.local/ns/../sa/client"),
    "dots-further": ("SPIFFE", "spiffe://cluster.local/ns/other/../default/sa/client"),
    "extra-segment": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/client/more"),
    "trailing-slash": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/client/"),
    "missing-segment": ("SPIFFE", "spiffe://cluster.local/ns/default/sa"),
    "encoded-slash": ("SPIFFE", "spiffe://cluster.local/ns/default%2fsa/sa/client"),
    "blank": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/client "),
    "nul": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/client\0.evil"),
    "new-line": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/client\nlevel=error forged"),
    "terminal": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/\x1b[2J\x1b[31mclient"),
    "quote": ("SPIFFE", 'spiffe://cluster.local/ns/default/sa/client" reason="'),
    "long": ("SPIFFE", "spiffe://cluster.local/ns/default/sa/" + "a" * 2100),
    "empty": ("URI SAN", ""),
}
for name, (cause, uri) in LOOK_ALIKES.items():
    LEAVES[f"look-alike-{name}"] = (cause, {"uris": [uri]}, "pki")


def context(mesh, files, protocols=("h2",)):
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    result.check_hostname = False
    result.verify_mode = ssl.CERT_NONE
    # The attacker's own library does not hold it back.
    result.set_ciphers("DEFAULT:@SECLEVEL=0")
    if protocols:
        result.set_alpn_protocols(list(protocols))
    if files:
        result.load_cert_chain(*files)
    return result


def attempt(mesh, context):
    """The status of a CONNECT to the counting application; None when the connection ended instead."""
    raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
    with raw, contextlib.suppress(ssl.SSLError, OSError):
        with Client(raw, context) as client:
            status, stream, _ = client.connect(f"{mesh.world.server.ipv4}:7001")
            if status == 200:
                client.send(stream, b"x" * 1000)
            return status
    return None


def new_lines(mesh, start):
    return mesh.two.text()[start:].splitlines()


def settle_log(mesh):
    """The same cause and address gets one line a second: starts a second of its own."""
    time.sleep(1.05)
    return len(mesh.two.text())


def test_the_right_certificate_is_let_in(mesh):
    """Otherwise the refusals below would prove nothing."""
    before = mesh.counter.bytes_seen
    assert attempt(mesh, context(mesh, mesh.pki.leaf("good", [GOOD]))) == 200
    wait_for(lambda: mesh.counter.bytes_seen > before, "the application sees it")


@pytest.mark.parametrize("name", LEAVES)
def test_rows_30_to_35_wrong_certificate(mesh, name):
    cause, arguments, authority = LEAVES[name]
    files = getattr(mesh, authority).leaf(name, **arguments)
    before, mark = mesh.counter.bytes_seen, settle_log(mesh)
    assert attempt(mesh, context(mesh, files)) is None
    lines = wait_for(lambda: [line for line in new_lines(mesh, mark) if cause in line], "the line that says why")
    assert len(lines) == 1 and len(new_lines(mesh, mark)) == 1, new_lines(mesh, mark)
    assert re.fullmatch(r"[\t\x20-\x7e]+", lines[0]), "escaped"
    assert re.search(r"tls_failed|identity_mismatch|trust_domain_mismatch|TLS_FAILURE|IDENTITY", lines[0]), lines[0]
    assert len(lines[0]) < 2000
    assert mesh.counter.bytes_seen == before
    assert mesh.two.alive()


@pytest.mark.parametrize("name", ["no-certificate", "tls12", "http1", "no-alpn", "grpc"])
def test_rows_29_and_39_wrong_handshake(mesh, name):
    files = None if name == "no-certificate" else mesh.pki.leaf("good", [GOOD])
    protocols = {"http1": ["http/1.1"], "no-alpn": [], "grpc": ["grpc-exp"]}.get(name, ["h2"])
    hello = context(mesh, files, protocols)
    if name == "tls12":
        hello.maximum_version = ssl.TLSVersion.TLSv1_2
    before, mark = mesh.counter.bytes_seen, settle_log(mesh)
    assert attempt(mesh, hello) is None
    wait_for(lambda: new_lines(mesh, mark), "the line that says why")
    assert len(new_lines(mesh, mark)) == 1
    assert mesh.counter.bytes_seen == before
    assert mesh.two.alive()


def test_only_h2_of_several_protocols_is_chosen(mesh):
    raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
    with context(mesh, mesh.pki.leaf("good", [GOOD]), ["http/1.1", "h2"]).wrap_socket(raw) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        assert connection.version() == "TLSv1.3"
        assert connection.cipher()[0].startswith("TLS_AES_")


def s_client(mesh, *arguments, text=b""):
    files = mesh.pki.leaf("good", [GOOD])
    command = netns.enter(
        mesh.world.outsider.netns, "openssl", "s_client", "-connect", f"{mesh.world.server.ipv4}:15008", "-cert",
        files[0], "-key", files[1], "-alpn", "h2", *arguments)
    result = subprocess.run(command, input=text, capture_output=True, timeout=20)
    return (result.stdout + result.stderr).decode(errors="replace")


def test_rows_37_and_38_no_ticket_and_no_early_data_is_offered(mesh, tmp_path):
    """Without a ticket there is nothing to resume, so neither an expiry nor a revocation can be slept through."""
    session = tmp_path / "session"
    output = s_client(mesh, "-sess_out", session)
    assert "New, TLSv1.3" in output
    assert "NEW_SESSION_TICKET" not in output.upper().replace(" ", "_") and "Early data was sent" not in output
    assert not session.exists() or "Max Early Data: 0" in s_client(mesh, "-sess_in", session)
    assert "Reused" not in s_client(mesh, *(["-sess_in", session] if session.exists() else []))


@pytest.mark.parametrize("arguments", [
    ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], ["-tls1_2"], ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    ["-tls1", "-cipher", "ALL:@SECLEVEL=0"], ["-groups", "secp521r1"], ["-groups", "ffdhe2048"]], ids=" ".join)
def test_rows_27_and_39_what_is_not_offered(mesh, arguments):
    """Row 27; the same call without these arguments is the control."""
    assert "Cipher is TLS_AES_128_GCM_SHA256" in s_client(mesh)
    output = s_client(mesh, *arguments)
    assert "Cipher is (NONE)" in output and "alert" in output, output


def test_row_39_an_sslv2_hello_is_refused(mesh):
    """Row 39."""
    hello = bytes([0x80, 0x2E, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]) + bytes(37)
    with mesh.world.outsider.connect(mesh.world.server.ipv4, 15008) as connection:
        connection.settimeout(12)
        connection.sendall(hello)
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(4096):
                data += chunk
    assert len(data) < 64, "an alert at most"
    assert mesh.two.alive()


def test_row_36_the_server_must_be_who_the_state_says(mesh):
    """A valid certificate of another workload at the other end gets no byte of the user's."""
    chain, key = mesh.pki.leaf("denied-server", [spiffe("denied")])
    hello = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    hello.load_cert_chain(chain, key)
    hello.load_verify_locations(mesh.roots)
    hello.verify_mode = ssl.CERT_REQUIRED
    hello.set_alpn_protocols(["h2"])
    mesh.two.stop()
    seen = []
    with netns.inside(mesh.world.server.netns):
        listener = socket.create_server(
            ("::", 15008), family=socket.AF_INET6, dualstack_ipv6=True, reuse_port=True)
    try:
        listener.settimeout(10)
        with mesh.world.client.connect(mesh.world.server.ipv4, 7001) as connection:
            connection.sendall(b"secret")
            raw, _ = listener.accept()
            raw.settimeout(5)
            with contextlib.suppress(ssl.SSLError, OSError):
                with hello.wrap_socket(raw, server_side=True) as peer:
                    while data := peer.recv(4096):
                        seen.append(data)
            connection.settimeout(5)
            with pytest.raises(ConnectionResetError):
                if connection.recv(1) == b"":
                    raise ConnectionResetError("closed in order would hide the loss")
    finally:
        listener.close()
    assert not seen
    mesh.one.wait_for_line("peer did not present the expected SAN", spiffe("server"), spiffe("denied"))
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
