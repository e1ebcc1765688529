"""Waypoints that are ordinary applications in an enrolled pod: behind PROXY protocol version 2, and plain."""
import contextlib
import hashlib
import ipaddress
import json
import socket
import struct
import threading

import pytest

from Netns.conftest import stage, start_both
from support.netns import inside, receive
from support.servers import Server, blocks, digest_of

pytestmark = pytest.mark.root

WAYPOINT_VIP, WAYPOINT_VIP6 = "10.96.61.9", "fd96:61::9"
HOST = "default/sandwich.default.svc.cluster.local"


def splice(one, other):
    """Copies both ways until both have ended."""
    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join()


class ProxyHeaderWaypoint(Server):
    """Reads PROXY version 2, then connects where the header says, from its own pod."""

    headers = []

    def serve(self, connection, address):
        head = receive(connection, 16)
        assert head[:12] == b"\r\n\r\n\x00\r\nQUIT\n", head
        length = struct.unpack(">H", head[14:])[0]
        body = receive(connection, length)
        size, read = (4, ipaddress.IPv4Address) if head[13] == 0x11 else (16, ipaddress.IPv6Address)
        source, destination = read(body[:size]), read(body[size : 2 * size])
        ports = struct.unpack(">HH", body[2 * size : 2 * size + 4])
        rest, values = body[2 * size + 4 :], {}
        while rest:
            kind, count = struct.unpack(">BH", rest[:3])
            values[kind], rest = rest[3 : 3 + count].decode(), rest[3 + count :]
        self.headers.append((head[12], head[13], source, destination, ports, values, address))
        with inside(self.pod.netns):
            upstream = socket.create_connection((str(getattr(destination, "ipv4_mapped", None) or destination), ports[1]), 5)
        with upstream:
            splice(connection, upstream)


class PlainWaypoint(Server):
    """Sends everything to one place."""

    def serve(self, connection, address):
        with inside(self.pod.netns):
            upstream = socket.create_connection(self.target, 5)
        with upstream:
            splice(connection, upstream)


def sandwich(folder, kind, waypoint):
    """The stage with `waypoint` enrolled on the second node, in front of the workload `server`."""
    context = stage(folder)
    mesh = context.__enter__()
    world = mesh.world
    for entry in mesh.state.workloads:
        if entry["name"] == "waypoint":
            entry["applicationTunnel"] = {"protocol": kind, "port": 15088}
            entry["services"] = {HOST: {}}
        if entry["name"] == "server":
            entry["waypoint"] = waypoint(world)
    mesh.state.service("sandwich", [WAYPOINT_VIP, WAYPOINT_VIP6], {})
    mesh.state.write(mesh.state_path)
    world.__class__ = type("Sandwich", (type(world),), {"second_pods": property(lambda w: [w.server, w.waypoint])})
    start_both(mesh)
    return context, mesh


def by_vip(world):
    return {"destination": f"/{WAYPOINT_VIP}", "hboneMtlsPort": 15008}


def by_address(world):
    return {"destination": f"/{world.waypoint.ipv4}", "hboneMtlsPort": 15008}


@pytest.fixture(scope="module", params=["vip", "address"])
def proxied(request, tmp_path_factory):
    context, mesh = sandwich(
        tmp_path_factory.mktemp("proxied"), "PROXY", {"vip": by_vip, "address": by_address}[request.param])
    mesh.waypoint = mesh.use(ProxyHeaderWaypoint(mesh.world.waypoint, 15088))
    mesh.waypoint.headers.clear()
    yield mesh
    context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    context, mesh = sandwich(tmp_path_factory.mktemp("plain"), "NONE", by_vip)
    waypoint = mesh.use(PlainWaypoint(mesh.world.waypoint, 15088))
    waypoint.target = (mesh.world.server.ipv4, 8080)
    yield mesh
    context.__exit__(None, None, None)


def test_plain_sandwich(plain):
    """Scenario 14: the waypoint's application gets the payload alone and sends it on."""
    result = plain.world.client.curl(f"http://{plain.world.server.ipv4}:8080/")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["server"], answer["peer"]) == ("server", plain.world.waypoint.ipv4)


def test_proxy_protocol_sandwich(proxied):
    """Scenario 15: the header says who calls, from where, and where to."""
    mesh = proxied
    result = mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["server"] == "server"
    command, family, source, destination, ports, values, peer = mesh.waypoint.headers[-1]
    assert (command, family) == (0x21, 0x11)
    assert (str(source), str(destination), ports[1]) == (mesh.world.client.ipv4, mesh.world.server.ipv4, 8080)
    assert ports[0] > 1023
    assert values == {0xD0: mesh.world.client.identity}
    assert peer == "127.0.0.1", "the application is reached over its loopback address"


def test_families_that_differ_become_ipv6(proxied):
    """The client dials IPv6; a waypoint given by its IPv4 address is reached over IPv4."""
    mesh = proxied
    result = mesh.world.client.curl(f"http://[{mesh.world.server.ipv6}]:8080/")
    assert result.returncode == 0, result.stderr
    _, family, source, destination, ports, _, peer = mesh.waypoint.headers[-1]
    assert family == 0x21
    assert (str(destination), ports[1]) == (mesh.world.server.ipv6, 8080)
    assert str(source.ipv4_mapped or source) in mesh.world.client.ips
    assert (peer == "127.0.0.1") == (source.ipv4_mapped is not None)


def test_bulk_through_the_preface(proxied):
    """More than many windows each way: credit is returned for the client's bytes and for no others."""
    mesh = proxied
    size = 30_000_000
    with mesh.world.client.connect(mesh.world.server.ipv4, 9000) as connection:
        connection.settimeout(60)
        for block in blocks(size):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 64).decode() == digest_of(size)
    digest, count = hashlib.sha256(), 0
    with mesh.world.client.connect(mesh.world.server.ipv4, 9001) as connection:
        connection.settimeout(60)
        connection.sendall(struct.pack(">Q", size))
        while data := connection.recv(1 << 20):
            digest.update(data)
            count += len(data)
    assert (count, digest.hexdigest()) == (size, digest_of(size))


def test_the_header_does_not_count_as_traffic(proxied):
    mesh = proxied
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.settimeout(10)
        connection.sendall(b"hello")
        assert receive(connection, 5) == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    line = mesh.two.wait_for_line("connection complete", 'direction="inbound"', f"{mesh.world.waypoint.ipv4}:15008", ":7000")
    assert "bytes_sent=5" in line and "bytes_recv=5" in line


def test_a_waypoint_application_that_is_not_there(tmp_path):
    context, mesh = sandwich(tmp_path, "PROXY", by_vip)
    try:
        assert mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/").returncode != 0
        assert "connect" in mesh.two.wait_for_line('direction="inbound"', "error=", 'reason="connect_failed"')
    finally:
        context.__exit__(None, None, None)
