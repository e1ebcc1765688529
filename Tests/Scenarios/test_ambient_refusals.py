"""Istio's namespaced scenarios 19 to 24: what the tunnel port refuses, what it takes by name, and calls to the proxy itself."""
import socket

import pytest

from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.mesh import NodeDaemon
from support.scenario import DoubleServer, HELLO, Ledger, TWICE, connect_uncaptured, exchange
from support.state import State
from support.waiting import wait_for
from support.world import World, make_network

pytestmark = pytest.mark.root

PORTS = (15001, 15006, 15008, 15080, 15000, 15020, 15021)
NAMED_VIP = "10.96.62.3"
HOST = "{}.default.svc.cluster.local".format


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with make_network() as network, FileMesh(network, tmp_path_factory.mktemp("refusals")) as mesh:
        world = mesh.world = World(network)
        state = mesh.state = world.state()
        # A named target port: the service has none of its own, the endpoint's map has it.
        state.service("named", [NAMED_VIP], {80: 0})
        for entry in state.workloads:
            if entry["name"] == "server":
                entry["services"][f"default/{HOST('named')}"] = {80: 8080}
        state.write(mesh.state_path)
        mesh.server = mesh.use(DoubleServer(world.server, 8080))
        mesh.one = mesh.start_ztund(mesh.first, world.first_pods)
        mesh.two = mesh.start_ztund(mesh.second, world.second_pods)
        yield mesh


@pytest.fixture
def tunnel(mesh):
    """A tunnel of other make, from the client's address and with its identity."""
    chain, key = mesh.leaf("client", mesh.world.client.identity)
    raw = connect_uncaptured(mesh.world.client, mesh.world.server.ipv4, 15008)
    with Client(raw, client_context(mesh.authority, chain, key)) as client:
        yield client


def inbound(mesh):
    return Ledger(mesh.two, "destination", source_workload="client")


def rewrite(mesh, change):
    """Serves a changed copy of the state; the caller puts the old one back."""
    state = State()
    state.workloads, state.services, state.policies = mesh.state.workloads, mesh.state.services, list(mesh.state.policies)
    change(state)
    before = mesh.two.metric("ztun_state_generation")
    state.write(mesh.state_path)
    wait_for(lambda: mesh.two.metric("ztun_state_generation") > before, "the new state is served")


def test_19_policy(mesh, tunnel):
    """An ALLOW of the namespace for somebody else: 401, the text that operators search for, and both sides count it."""
    somebody = [{"principals": [{"Exact": "cluster.local/ns/default/sa/somebody"}]}]
    rewrite(mesh, lambda state: state.policy("allow-somebody", somebody, action="Allow", scope="Namespace"))
    try:
        target = inbound(mesh)
        status, _, headers = tunnel.connect(f"{mesh.world.server.ipv4}:8080")
        assert status == 401
        assert "policy_not_allowed" in headers["proxy-status"]
        fields = target.line("policy_not_allowed")
        assert fields["error"] == (
            "connection closed due to policy rejection: allow policies exist, but none allowed")
        assert fields["src.identity"] == mesh.world.client.identity
        target.expect(received=0, sent=0, failed=1)
        flags = mesh.two.metric("istio_tcp_connections_closed_total", source_workload="client", response_flags="DENY")
        assert flags >= 1
    finally:
        rewrite(mesh, lambda state: None)
    assert tunnel.connect(f"{mesh.world.server.ipv4}:8080")[0] == 200


def test_20_address_mismatch(mesh, tunnel):
    """A CONNECT for the client's own address at the server's tunnel port is not carried there."""
    client, server = mesh.world.client, mesh.world.server
    target = inbound(mesh)
    status, _, headers = tunnel.connect(f"{client.ipv4}:8080")
    assert status == 400
    assert "destination_mismatch" in headers["proxy-status"]
    fields = target.line("destination_mismatch")
    assert f"{client.ipv4}:8080" in fields["error"] and server.ipv4 in fields["error"]


@pytest.mark.parametrize("name", ["server", "named"], ids=["21_target_port", "22_named_port"])
def test_service_by_hostname(mesh, tunnel, name):
    target = inbound(mesh)
    status, stream, _ = tunnel.connect(f"{HOST(name)}:80")
    assert status == 200
    tunnel.send(stream, HELLO, end=True)
    assert tunnel.receive(stream, len(TWICE)) == TWICE
    assert tunnel.ends(stream)
    target.expect()
    fields = target.line(f"{HOST(name)}:80")
    assert fields["dst.hbone_addr"] == f"{HOST(name)}:80" and fields["dst.service"] == HOST(name)


def call(pod, address, port):
    """What a caller that is no client of ours sees: refused, a status, or a connection that ends without a byte."""
    try:
        connection = pod.connect(address, port)
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "ends"
    with connection:
        # A tunnel waits for the rest of its handshake; what is no handshake ends it at once.
        connection.settimeout(15)
        data = b""
        try:
            connection.sendall(b"not HTTP\r\n\r\n")
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(4096):
                data += part
        except (ConnectionResetError, BrokenPipeError):
            pass
        except OSError as error:
            if error.errno != 107:
                raise
    if data.startswith(b"HTTP/1.1 "):
        return int(data.split(b" ")[1])
    # The alert of a TLS server to what is no TLS is seven bytes and tells nothing.
    return "ends" if not data or (data[0] == 21 and len(data) == 7) else data


# Scenario 23, with what is better here: nothing listens on the node's 15001, 15006 and 15008, so those are refused or reset; the
# admin address is loopback only.
CAPTURED = {
    "node": {15001: "ends", 15006: "ends", 15008: "ends", 15080: "ends", 15000: "ends", 15020: 400, 15021: 400},
    "own": {15001: "ends", 15006: "ends", 15008: "ends", 15080: "refused", 15000: "refused", 15020: "refused", 15021: "refused"},
}
CAPTURED["loopback"] = CAPTURED["own"]
# BPF programs pick sockets: nothing listens on these ports, of which only the tunnels' is one to call.
PICKED = {**CAPTURED, "own": {**CAPTURED["own"], 15001: "refused", 15006: "refused"}}
PICKED["loopback"] = {**PICKED["own"], 15008: "refused"}
UNCAPTURED = {
    "node": {15001: "refused", 15006: "refused", 15008: "refused", 15080: "refused", 15000: "refused", 15020: 400, 15021: 400},
    # The client's pod is captured: what reaches it goes to 15006, or to 15008 itself.
    "client": dict.fromkeys(PORTS, "ends"),
}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize(
    "who, where", [("client", "node"), ("client", "own"), ("client", "loopback"), ("outsider", "node"), ("outsider", "client")])
def test_23_malicious_calls(mesh, who, where, family):
    world = mesh.world
    pod = getattr(world, who)
    own = getattr(world.client, family)
    loopback = {"ipv4": "127.0.0.1", "ipv6": "::1"}[family]
    address = {"node": getattr(mesh.first, family), "own": own, "client": own, "loopback": loopback}[where]
    captured = CAPTURED if mesh.one.pod_status(world.client)["capture"] == "nft" else PICKED
    expected = (captured if who == "client" else UNCAPTURED)[where]
    assert {port: call(pod, address, port) for port in PORTS} == expected
    # No loop came of it: the daemon does nothing now, and serves as before.
    exchange(world.client, world.server.ipv4, 8080)
    wait_for(
        lambda: sum(worker["connections"] for worker in mesh.one.status()["workers"]) == 0, "no connection is left")


def test_24_trust_domain_mismatch(tmp_path):
    """A client of another trust domain that the same authority vouches for: its application sees a reset, the server nothing."""
    with make_network() as network, FileMesh(network, tmp_path) as mesh:
        world = mesh.world = World(network)
        state = world.state()
        foreign = "spiffe://clusterset.local/ns/default/sa/client"
        next(entry for entry in state.workloads if entry["name"] == "client")["trustDomain"] = "clusterset.local"
        state.write(mesh.state_path)
        server = mesh.use(DoubleServer(world.server, 8080))
        chain, key = mesh.leaf("foreign", foreign)
        one = NodeDaemon(mesh.first, tmp_path, [
            "--state", mesh.state_path, "--trust-domain", "clusterset.local", "--roots", mesh.authority.certificate,
            "--identity", f"{foreign}={chain},{key}", "--pod", world.client.enrolment])
        mesh.stack.callback(one.stop)
        two = mesh.start_ztund(mesh.second, world.second_pods)
        with pytest.raises(ConnectionResetError):
            exchange(world.client, world.server.ipv4, 8080)
        two.wait_for_line('reason="trust_domain_mismatch"', "clusterset.local")
        one.wait_for_line('direction="outbound"', 'src.workload="client"', "error=")
        assert not server.peers
