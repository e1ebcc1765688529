"""Ordinary programs' traffic from pod to pod: who gets through, what the server sees, what the wire carries."""
import hashlib
import json
import socket
import struct

import pytest

from support.netns import receive
from support.servers import Server, blocks, digest_of
from support.waiting import wait_for
from support.world import PLAIN_VIP, VIP, VIP6

from .conftest import stage, start_both

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=["default", "nft"])
def mesh(request, tmp_path_factory):
    """The core of it all, in the mode that is chosen by itself and with rules. (All modes: Tests/Capture/test_matrix.py.)"""
    with pytest.MonkeyPatch.context() as patch, stage(tmp_path_factory.mktemp("mesh")) as mesh:
        if request.param == "nft":
            patch.setattr("support.capture.mode", "nft")
        start_both(mesh)
        yield mesh


def fetch(pod, url, *arguments):
    result = pod.curl(url, *arguments)
    assert result.returncode == 0, f"curl {url}: {result.returncode}: {result.stderr}"
    return json.loads(result.stdout)


def urls(mesh):
    server = mesh.world.server
    return {
        "address": f"http://{server.ipv4}:8080/", "address6": f"http://[{server.ipv6}]:8080/",
        "service": f"http://{VIP}/", "service6": f"http://[{VIP6}]/",
    }


@pytest.mark.parametrize("kind", ["address", "address6", "service", "service6"])
def test_reaches_the_server_inside_the_tunnel(mesh, kind):
    tunnels, plain = mesh.wire[15008], mesh.wire[8080]
    answer = fetch(mesh.world.client, urls(mesh)[kind])
    assert answer["server"] == "server"
    client = mesh.world.client
    assert answer["peer"] == (client.ipv6 if kind.endswith("6") else client.ipv4)
    # A pooled tunnel may have been open already, but nothing may have gone in the clear.
    assert mesh.wire[8080] == plain
    assert mesh.wire[15008] >= tunnels
    assert mesh.wire[15008] > 0


@pytest.mark.parametrize("kind", ["address", "service"])
def test_both_nodes_log_both_identities(mesh, kind):
    before = [len(daemon.lines("connection complete")) for daemon in (mesh.one, mesh.two)]
    fetch(mesh.world.client, urls(mesh)[kind])
    for daemon, direction, count in ((mesh.one, "outbound", before[0]), (mesh.two, "inbound", before[1])):
        line = wait_for(
            lambda: daemon.lines("connection complete", f'direction="{direction}"')[count:], f"{daemon.name} logs it")[-1]
        assert 'src.identity="spiffe://cluster.local/ns/default/sa/client"' in line
        assert 'dst.identity="spiffe://cluster.local/ns/default/sa/server"' in line
        assert "error=" not in line


def test_many_requests_share_one_tunnel(mesh):
    url = urls(mesh)["address"]
    fetch(mesh.world.client, url)
    tunnels = mesh.wire[15008]
    for _ in range(20):
        fetch(mesh.world.client, url)
    assert mesh.wire[15008] == tunnels


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_plaintext_client_reaches_the_server(mesh, family):
    host = {"ipv4": mesh.world.server.ipv4, "ipv6": f"[{mesh.world.server.ipv6}]"}[family]
    answer = fetch(mesh.world.outsider, f"http://{host}:8080/")
    assert (answer["server"], answer["peer"]) == ("server", getattr(mesh.world.outsider, family))
    wait_for(
        lambda: [line for line in mesh.two.lines("connection complete", 'direction="inbound"')
                 if getattr(mesh.world.outsider, family) in line and "src.identity" not in line],
        "the plaintext call is logged without an identity")


@pytest.mark.parametrize("kind", ["address", "address6", "service"])
def test_plaintext_server_is_called_in_the_clear(mesh, kind):
    plain, client = mesh.world.plain, mesh.world.client
    seen = mesh.wire[8080]
    url = {"address": f"http://{plain.ipv4}:8080/", "address6": f"http://[{plain.ipv6}]:8080/", "service": f"http://{PLAIN_VIP}/"}
    answer = fetch(client, url[kind])
    assert (answer["server"], answer["peer"]) == ("plain", client.ipv6 if kind.endswith("6") else client.ipv4)
    assert mesh.wire[8080] == seen + 1


def test_denied_call_has_its_reason_on_both_nodes(mesh):
    result = mesh.world.denied.curl(urls(mesh)["address"])
    assert result.returncode != 0 and not result.stdout
    line = mesh.two.wait_for_line('direction="inbound"', "default/deny-denied")
    assert "sa/denied" in line and 'reason="policy_denied"' in line
    line = mesh.one.wait_for_line('direction="outbound"', "error=", mesh.world.server.ipv4)
    assert "401" in line or "policy_denied" in line
    # The server's application saw nothing, and others are not disturbed.
    assert fetch(mesh.world.client, urls(mesh)["address"])["server"] == "server"


def test_call_to_a_closed_port_ends_and_says_why(mesh):
    result = mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8099/")
    assert result.returncode != 0
    assert "connect" in mesh.two.wait_for_line('direction="inbound"', "8099", "error=")


@pytest.mark.parametrize("address", ["ipv4", "ipv6"])
def test_half_close_towards_the_server(mesh, address):
    """The client ends its side first; the answer comes afterwards."""
    with mesh.world.client.connect(getattr(mesh.world.server, address), 9000) as connection:
        connection.settimeout(10)
        size = 3_000_000
        for block in blocks(size):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 64).decode() == digest_of(size)
        assert connection.recv(1) == b""


def test_half_close_towards_the_client(mesh):
    """The server ends its side first; what the client sends afterwards still arrives."""
    received = []

    class SpeaksFirst(Server):
        def serve(self, connection, address):
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                received.append(data)

    with SpeaksFirst(mesh.world.server, 7001), mesh.world.client.connect(mesh.world.server.ipv4, 7001) as connection:
        connection.settimeout(10)
        assert receive(connection, 5) == b"hello"
        assert connection.recv(1) == b""
        connection.sendall(b"x" * 100_000)
        connection.shutdown(socket.SHUT_WR)
        wait_for(lambda: sum(map(len, received)) == 100_000, "the server got all of it")


def test_idle_connection_carries_bytes_later(mesh):
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.settimeout(10)
        for size in (1, 100, 70_000, 1):
            connection.sendall(b"y" * size)
            assert receive(connection, size) == b"y" * size


@pytest.mark.parametrize("size", [pytest.param(1_000_000_000, id="1GB")])
def test_checksum_upload(mesh, size):
    with mesh.world.client.connect(VIP, 9000) as connection:
        connection.settimeout(60)
        for block in blocks(size):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 64).decode() == digest_of(size)


@pytest.mark.parametrize("size", [pytest.param(1_000_000_000, id="1GB")])
def test_checksum_download(mesh, size):
    digest, count, buffer = hashlib.sha256(), 0, bytearray(1 << 20)
    with mesh.world.client.connect(VIP, 9001) as connection:
        connection.settimeout(60)
        connection.sendall(struct.pack(">Q", size))
        while got := connection.recv_into(buffer):
            digest.update(memoryview(buffer)[:got])
            count += got
    assert count == size
    assert digest.hexdigest() == digest_of(size)


def test_a_stalled_reader_does_not_hold_up_its_neighbours(mesh):
    """One connection asks for much and reads nothing; another in the same tunnel goes on."""
    with mesh.world.client.connect(mesh.world.server.ipv4, 9001) as stalled:
        stalled.sendall(struct.pack(">Q", 200_000_000))
        for _ in range(20):
            assert fetch(mesh.world.client, urls(mesh)["address"])["server"] == "server"
    assert mesh.one.memory_kib() < 120_000 and mesh.two.memory_kib() < 120_000


def test_nothing_is_captured_that_stays_in_the_pod(mesh):
    """Loopback traffic of a pod is its own business."""
    assert fetch(mesh.world.server, "http://127.0.0.1:8080/")["peer"] == "127.0.0.1"
    assert fetch(mesh.world.server, "http://[::1]:8080/")["peer"] == "::1"
    # A call from outside, logged after them, says that theirs would have been logged by now.
    count = len(mesh.two.lines("connection complete"))
    fetch(mesh.world.client, urls(mesh)["address"])
    wait_for(lambda: len(mesh.two.lines("connection complete")) > count, "the call from outside is logged")
    assert not mesh.two.lines("dst.addr=127.0.0.1") and not mesh.two.lines("dst.addr=[::1]")


def test_metrics_count_bytes_and_connections(mesh):
    opened = mesh.one.metric("istio_tcp_connections_opened_total", reporter="source")
    sent = mesh.two.metric("istio_tcp_sent_bytes_total", reporter="destination")
    fetch(mesh.world.client, urls(mesh)["address"])
    wait_for(lambda: mesh.one.metric("istio_tcp_connections_opened_total", reporter="source") == opened + 1, "one more")
    wait_for(lambda: mesh.two.metric("istio_tcp_sent_bytes_total", reporter="destination") > sent, "more bytes")
