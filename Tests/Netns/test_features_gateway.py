"""Services on another network: a tunnel within a tunnel, through a gateway that is not ours."""
import contextlib
import hashlib
import json
import socket
import struct

import pytest

from Netns.conftest import stage
from support.filemesh import FileMesh
from support.gateway import Gateway, server_context
from support.netns import receive
from support.servers import blocks, digest_of
from support.state import State
from support.waiting import wait_for

pytestmark = pytest.mark.root

REMOTE_VIP, ELSEWHERE_VIP, ANYBODY_VIP = "10.96.61.20", "10.96.61.21", "10.96.61.22"
HOST = "remote.default.svc.cluster.local"


@pytest.fixture(scope="module", params=["address", "hostname"])
def remote(request, tmp_path_factory):
    """`server` is on the network `far` for the first node, and at home for the second; the gateway stands between them.

    The gateway listens on 15009. Scenario 9 of Istio's tests names it by address, scenario 10 by host name, with a service
    port that leads there.
    """
    patch = pytest.MonkeyPatch()
    patch.setattr("Netns.conftest.Mesh", FileMesh)
    with stage(tmp_path_factory.mktemp("gateway")) as mesh:
        world = mesh.world
        ports = {80: 8080, 7000: 7000, 9000: 9000, 9001: 9001}
        near = State()
        far_gateway = {
            "address": {"destination": f"/{world.waypoint.ipv4}", "hboneMtlsPort": 15009},
            "hostname": {"destination": "default/gate.default.svc.cluster.local", "hboneMtlsPort": 15008},
        }[request.param]
        near.workload("client", world.client.ips, "n1")
        near.workload(
            "gateway", [world.waypoint.ipv4], "n2", services={"default/gate.default.svc.cluster.local": {15008: 15009}})
        near.service("gate", [], {15008: 15009})
        for name, vip, identity in (
            ("remote", REMOTE_VIP, world.server.identity),
            ("elsewhere", ELSEWHERE_VIP, world.plain.identity), ("anybody", ANYBODY_VIP, None),
        ):
            near.workload(
                f"{name}-far", [], "elsewhere", network="far", networkGateway=far_gateway,
                services={f"default/{name}.default.svc.cluster.local": ports})
            near.service(name, [vip], ports, subjectAltNames=[identity] if identity else [])
        near.write(mesh.folder / "near.yaml")
        home = mesh.state
        host = f"default/{HOST}"
        for entry in home.workloads:
            if entry["name"] == "server":
                entry["services"].update({
                    f"default/{name}.default.svc.cluster.local": ports for name in ("remote", "elsewhere", "anybody")})
        for name, vip in (("remote", REMOTE_VIP), ("elsewhere", ELSEWHERE_VIP), ("anybody", ANYBODY_VIP)):
            home.service(name, [vip], ports)
        assert host
        home.write(mesh.state_path)
        chain, key = mesh.leaf("gateway", "spiffe://cluster.local/ns/default/sa/gateway")
        mesh.one = mesh.start_ztund(mesh.first, [world.client], state=mesh.folder / "near.yaml")
        mesh.two = mesh.start_ztund(mesh.second, world.second_pods)
        mesh.answer = (world.server.ipv4, 15008)
        mesh.gateway = mesh.use(
            Gateway(world.waypoint, 15009, server_context(mesh.authority, chain, key), lambda _: mesh.answer))
        yield mesh
    patch.undo()


@pytest.fixture
def gateway_answers(remote):
    """Lets one test change what the gateway does."""
    before = remote.answer
    yield lambda answer: setattr(remote, "answer", answer)
    remote.answer = before


def test_the_call_arrives_and_both_ends_know_whom(remote):
    mesh = remote
    result = mesh.world.client.curl(f"http://{REMOTE_VIP}/")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["server"] == "server"
    outer = mesh.gateway.requests[-1]
    assert outer[":authority"] == f"{HOST}:80"
    assert "x-forwarded-network" not in outer
    line = mesh.one.wait_for_line("connection complete", 'direction="outbound"', f"{HOST}:80")
    assert f"dst.addr={mesh.world.waypoint.ipv4}:15009" in line
    # The far side is known from the inner tunnel's certificate and answer alone.
    assert f'dst.identity="{mesh.world.server.identity}"' in line and 'dst.workload="server"' in line
    assert "error=" not in line
    line = mesh.two.wait_for_line("connection complete", 'direction="inbound"', f"{HOST}:80")
    assert f'src.identity="{mesh.world.client.identity}"' in line
    wait_for(
        lambda: mesh.one.metric(
            "istio_tcp_connections_opened_total", destination_service=HOST, destination_workload="server",
            connection_security_policy="mutual_tls") >= 1, "the metric says so")


def test_the_outer_tunnel_is_shared_the_inner_is_not(remote):
    mesh = remote
    mesh.world.client.curl(f"http://{REMOTE_VIP}/")
    tunnels, streams = mesh.gateway.connections, len(mesh.gateway.requests)
    for _ in range(5):
        assert mesh.world.client.curl(f"http://{REMOTE_VIP}/").returncode == 0
    assert mesh.gateway.connections == tunnels
    assert len(mesh.gateway.requests) == streams + 5
    wait_for(lambda: mesh.two.status()["workers"] and sum(w["tunnels"] for w in mesh.two.status()["workers"]) == 0,
             "inner tunnels end with their connection", seconds=15)


def test_bulk_and_half_closes(remote):
    size = 20_000_000
    with remote.world.client.connect(REMOTE_VIP, 9000) as connection:
        connection.settimeout(60)
        for block in blocks(size):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 64).decode() == digest_of(size)
        assert connection.recv(1) == b""
    digest, count = hashlib.sha256(), 0
    with remote.world.client.connect(REMOTE_VIP, 9001) as connection:
        connection.settimeout(60)
        connection.sendall(struct.pack(">Q", size))
        while data := connection.recv(1 << 20):
            digest.update(data)
            count += len(data)
    assert (count, digest.hexdigest()) == (size, digest_of(size))


@pytest.mark.parametrize("vip", [ELSEWHERE_VIP, ANYBODY_VIP], ids=["another-identity", "no-identity-named"])
def test_the_inner_peer_must_be_whom_the_service_names(remote, vip):
    """The workload behind the gateway is not known here: only the service's names count, and nobody passes none."""
    result = remote.world.client.curl(f"http://{vip}/")
    assert result.returncode != 0 and not result.stdout
    line = remote.one.wait_for_line('direction="outbound"', f"dst.addr={remote.world.waypoint.ipv4}:15009", "identity_mismatch")
    assert remote.world.server.identity in line


def test_a_gateway_that_refuses(remote, gateway_answers):
    gateway_answers(404)
    assert remote.world.client.curl(f"http://{REMOTE_VIP}/").returncode != 0
    assert "404" in remote.one.wait_for_line('direction="outbound"', "tunnel_refused")


def test_a_gateway_that_leads_to_no_mesh(remote, gateway_answers):
    """The stream opens, but what answers in it is no TLS."""
    gateway_answers((remote.world.server.ipv4, 7000))
    assert remote.world.client.curl(f"http://{REMOTE_VIP}/", seconds=15).returncode not in (0, 28)
    remote.one.wait_for_line('direction="outbound"', "tls_failed")


def test_a_cut_gateway_cuts_what_runs_through_it(remote):
    with remote.world.client.connect(REMOTE_VIP, 7000) as connection:
        connection.settimeout(10)
        connection.sendall(b"a")
        assert receive(connection, 1) == b"a"
        remote.gateway.cut()
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert remote.world.client.curl(f"http://{REMOTE_VIP}/").returncode == 0, "the next call opens a tunnel anew"


def test_nothing_is_left_behind(remote):
    mesh = remote
    mesh.world.client.curl(f"http://{REMOTE_VIP}/")
    wait_for(lambda: mesh.one.status()["traffic"]["connectionsOpen"] == 0, "all connections are over")
    before = mesh.one.descriptors()
    for _ in range(20):
        assert mesh.world.client.curl(f"http://{REMOTE_VIP}/").returncode == 0
    wait_for(lambda: mesh.one.descriptors() <= before + 2, "descriptors are given back", seconds=15)
