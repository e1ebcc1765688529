"""The real Envoy on one end of the tunnel, ours on the other."""
import json
import socket

import pytest

from support.netns import receive
from support.servers import blocks, digest_of
from support.waiting import wait_for

pytestmark = pytest.mark.root

BULK = 100_000_000
# Families, and whose record layer is ours after the handshake.
BOTH = [("ipv4", "libssl"), ("ipv6", "libssl"), ("ipv4", "own")]


def fetch(pod, url):
    result = pod.curl(url, seconds=10)
    assert result.returncode == 0, f"curl {url}: {result.returncode}: {result.stderr}"
    return json.loads(result.stdout)


def upload(pod, address, size=BULK):
    with pod.connect(address, 9000) as connection:
        connection.settimeout(60)
        for block in blocks(size):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 64).decode() == digest_of(size)


@pytest.mark.parametrize("family, records", BOTH)
def test_envoy_dials_our_inbound(mesh, envoy, captured_by_envoy, family, records):
    two = mesh.start_ztund(mesh.second, [mesh.world.server], "--tls-records", records)
    try:
        proxy = envoy(mesh.world.client, "envoy-client.yaml", peer=mesh.world.server.identity,
                      source={"ipv4": "0.0.0.0", "ipv6": '"::"'}[family])
        proxy.wait_for_port(15001)
        address = getattr(mesh.world.server, family)
        answer = fetch(mesh.world.client, f"http://{f'[{address}]' if ':' in address else address}:8080/")
        assert (answer["server"], answer["peer"]) == ("server", getattr(mesh.world.client, family))
        line = two.wait_for_line('direction="inbound"', "8080")
        assert 'src.identity="spiffe://cluster.local/ns/default/sa/client"' in line
        upload(mesh.world.client, address)
        for _ in range(50):
            fetch(mesh.world.client, f"http://{f'[{address}]' if ':' in address else address}:8080/")
    finally:
        two.stop()


def test_envoy_with_a_refused_identity_gets_nothing(mesh, envoy, captured_by_envoy):
    two = mesh.start_ztund(mesh.second, [mesh.world.server])
    leaves = mesh.leaves["client"]
    mesh.leaves["client"] = mesh.leaves["denied"]
    try:
        proxy = envoy(mesh.world.client, "envoy-client.yaml", peer=mesh.world.server.identity, source="0.0.0.0")
        proxy.wait_for_port(15001)
        assert mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/").returncode != 0
        two.wait_for_line('direction="inbound"', "default/deny-denied")
    finally:
        mesh.leaves["client"] = leaves
        two.stop()


@pytest.mark.parametrize("family, records", BOTH)
def test_our_outbound_dials_envoy(mesh, envoy, family, records):
    proxy = envoy(mesh.world.server, "envoy-server.yaml", streams=100)
    proxy.wait_for_port(15008)
    one = mesh.start_ztund(mesh.first, [mesh.world.client], "--tls-records", records)
    try:
        address = getattr(mesh.world.server, family)
        url = f"http://{f'[{address}]' if ':' in address else address}:8080/"
        assert fetch(mesh.world.client, url)["server"] == "server"
        line = proxy.wait_for_line("CONNECT", ":8080 200")
        assert "peer=spiffe://cluster.local/ns/default/sa/client" in line
        line = one.wait_for_line('direction="outbound"', "8080")
        assert 'dst.identity="spiffe://cluster.local/ns/default/sa/server"' in line
        upload(mesh.world.client, address)
        for _ in range(50):
            fetch(mesh.world.client, url)
    finally:
        one.stop()


def test_our_pool_respects_the_stream_limit_of_envoy(mesh, envoy):
    """Envoy allows two streams per connection; twelve connections at once need six tunnels and all work."""
    proxy = envoy(mesh.world.server, "envoy-server.yaml", streams=2)
    proxy.wait_for_port(15008)
    one = mesh.start_ztund(mesh.first, [mesh.world.client])
    connections = []
    try:
        for _ in range(12):
            connections.append(mesh.world.client.connect(mesh.world.server.ipv4, 7000))
        for index, connection in enumerate(connections):
            connection.settimeout(10)
            connection.sendall(b"%04d" % index)
        for index, connection in enumerate(connections):
            assert receive(connection, 4) == b"%04d" % index
    finally:
        for connection in connections:
            connection.close()
        one.stop()


def test_envoy_restarts_and_the_next_call_works(mesh, envoy):
    one = mesh.start_ztund(mesh.first, [mesh.world.client])
    url = f"http://{mesh.world.server.ipv4}:8080/"
    try:
        for _ in range(2):
            proxy = envoy(mesh.world.server, "envoy-server.yaml", streams=100)
            proxy.wait_for_port(15008)
            wait_for(lambda: fetch(mesh.world.client, url)["server"] == "server", "the call works", 15)
            proxy.stop()
            assert mesh.world.client.curl(url, seconds=15).returncode != 0
    finally:
        one.stop()


def test_the_stage_itself_envoy_to_envoy(mesh, envoy, captured_by_envoy):
    """When this fails, look at the stage before looking at ours."""
    proxy = envoy(mesh.world.server, "envoy-server.yaml", streams=100)
    proxy.wait_for_port(15008)
    envoy(mesh.world.client, "envoy-client.yaml", peer=mesh.world.server.identity, source="0.0.0.0").wait_for_port(15001)
    assert fetch(mesh.world.client, f"http://{mesh.world.server.ipv4}:8080/")["server"] == "server"
    upload(mesh.world.client, mesh.world.server.ipv4)
