"""What comes to 15008 from strangers, and peers that do not answer: a bounded refusal, logged with its cause."""
import contextlib
import os
import socket
import ssl

import pytest

from support.certificates import Authority
from support.hbone import Client
from support.servers import EchoServer
from support.waiting import wait_for
from support.world import VIP

pytestmark = pytest.mark.root


def still_serves(mesh):
    result = mesh.world.client.curl(f"http://{VIP}/", seconds=3)
    assert result.returncode == 0, result.stderr


GARBAGE = {
    "random": os.urandom(4096),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "h2c": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
    "zeros": b"\x00" * 65536,
    "record-header": b"\x16\x03\x01\xff\xff" + b"\x00" * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_on_15008(mesh, kind):
    with mesh.world.outsider.connect(mesh.world.server.ipv4, 15008) as connection:
        connection.settimeout(15)
        with contextlib.suppress(OSError):
            connection.sendall(GARBAGE[kind])
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(65536):
                pass
    still_serves(mesh)


def test_silent_client_is_let_go_in_time(mesh):
    with mesh.world.outsider.connect(mesh.world.server.ipv4, 15008) as connection:
        connection.settimeout(14)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b"", "10 seconds are the time for a handshake"


def test_garbage_flood_is_logged_less_than_once_each(mesh):
    count = len(mesh.two.text().splitlines())
    for _ in range(300):
        with contextlib.suppress(OSError), mesh.world.outsider.connect(mesh.world.server.ipv4, 15008) as connection:
            connection.sendall(b"\xff" * 64)
    still_serves(mesh)
    assert len(mesh.two.text().splitlines()) - count < 150


@pytest.mark.parametrize(
    "who", ["none", "foreign", "other-domain", "no-spiffe", "tls12", "no-alpn"]
)
def test_wrong_client_certificate(mesh, tmp_path, who):
    wrong = Authority(tmp_path, "evil", "evil.example")
    identity = "spiffe://cluster.local/ns/default/sa/client"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if who != "no-alpn":
        context.set_alpn_protocols(["h2"])
    if who == "tls12":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if who == "other-domain":
        context.load_cert_chain(*wrong.leaf("x", "spiffe://evil.example/ns/default/sa/client"))
    elif who == "no-spiffe":
        context.load_cert_chain(*wrong.leaf("x", "https://cluster.local/"))
    elif who != "none":
        context.load_cert_chain(*wrong.leaf("x", identity))
    raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
    with pytest.raises((ssl.SSLError, OSError, AssertionError)):
        # TLS 1.3 tells a refused client certificate on the first read after the handshake.
        client = Client(raw, context)
        status = client.connect(f"{mesh.world.server.ipv4}:8080")[0]
        assert status is None, f"a stranger got {status}"
        raise AssertionError("closed")
    raw.close()
    still_serves(mesh)
    wait_for(lambda: mesh.two.metric("istio_tcp_connections_failed_total", reporter="destination") > 0
             or mesh.two.lines("tls"), "the refusal is on record")


def test_unreachable_peer_is_a_bounded_refusal(own_mesh):
    """The peer's node drops everything to 15008: the caller is told within the dial's time, others go on."""
    mesh = own_mesh
    mesh.second.run(
        "nft", "-f", "-",
        input="table inet zt_drop {\n chain f {\n type filter hook forward priority 0\n tcp dport 15008 drop\n }\n}\n")
    result = mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=20)
    assert result.returncode not in (0, 28), "28 is curl's own patience"
    line = mesh.one.wait_for_line('direction="outbound"', "error=")
    assert "15008" in line
    result = mesh.world.client.curl(f"http://{mesh.world.plain.ipv4}:8080/")
    assert result.returncode == 0


def test_refused_peer_says_so_at_once(own_mesh):
    """Nobody listens on 15008 there."""
    mesh = own_mesh
    mesh.two.stop()
    result = mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=5)
    assert result.returncode not in (0, 28)
    mesh.one.wait_for_line('direction="outbound"', "error=")


def test_peer_with_the_wrong_identity(own_mesh):
    """The state says that the server is somebody else: the client's side must refuse."""
    mesh = own_mesh
    for entry in mesh.state.workloads:
        if entry["name"] == "server":
            entry["serviceAccount"] = "somebody-else"
    other = mesh.folder / "other.yaml"
    mesh.state.write(other)
    mesh.one.stop()
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, state=other)
    result = mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/")
    assert result.returncode != 0 and not result.stdout
    line = mesh.one.wait_for_line('direction="outbound"', "error=")
    assert "somebody-else" in line or 'reason="identity_mismatch"' in line


def test_a_plain_listener_on_15008_is_not_a_peer(own_mesh):
    mesh = own_mesh
    mesh.two.stop()
    with EchoServer(mesh.world.server, 15008):
        result = mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=15)
        assert result.returncode not in (0, 28)
    assert "tls" in mesh.one.wait_for_line('direction="outbound"', "error=").lower()
