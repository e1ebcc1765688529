"""Every reason that can be provoked: the same token in the log, the metric, `ztun denials` and, to peers, Proxy-Status.

Those that need a life of their own (a drain, a dead network, a full process, a revocation) are in test_reasons_life.py,
network_policy_denied is in Tests/Kubernetes.
"""
import contextlib
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest

from support import netns
from support.filemesh import FileMesh
from support.hbone import client_context
from support.programs import program
from support.reasons import call, denials, seen, stranger
from support.servers import EchoServer, HTTPServer
from support.state import State
from support.waiting import wait_for
from support.world import VIP, World, make_network

pytestmark = pytest.mark.root

ROUTES = """
routes:
- service: default/through-waypoint.default.svc.cluster.local
  rules:
  - matches: [{path: {prefix: /echo}}]
    backends: [{workload: default/server, port: 7000}]
  - matches: [{path: {prefix: /api}}]
    backends: [{workload: default/server, port: 8080}]
"""
WAYPOINT_VIP, EMPTY_VIP, LOST_VIP, FAR_VIP = "10.96.61.3", "10.96.61.41", "10.96.61.42", "10.96.61.43"


class OddPeer:
    """An HBONE peer of another make: what it does with a CONNECT is decided by the port in the authority."""

    SILENT, REFUSES, BREAKS = 7101, 7102, 7103

    def __init__(self, pod, chain, key, roots):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain, key)
        self.context.load_verify_locations(roots)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.set_alpn_protocols(["h2"])
        with netns.inside(pod.netns):
            self.listener = socket.create_server((pod.ipv4, 15008))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, raw):
        with contextlib.suppress(OSError), self.context.wrap_socket(raw, server_side=True) as tls:
            engine = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
            engine.initiate_connection()
            tls.sendall(engine.data_to_send())
            while data := tls.recv(65536):
                for event in engine.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        port = int(dict(event.headers)[":authority"].rsplit(":", 1)[1])
                        if port == self.REFUSES:
                            engine.send_headers(event.stream_id, [(":status", "503")], end_stream=True)
                        elif port == self.BREAKS:
                            # DATA on stream 0 is a connection error (RFC 9113 6.1).
                            tls.sendall(bytes([0, 0, 1, 0, 0, 0, 0, 0, 0, 65]))
                tls.sendall(engine.data_to_send())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with make_network() as network, FileMesh(network, tmp_path_factory.mktemp("reasons")) as mesh:
        world = mesh.world = World(network)
        mesh.strict = mesh.second.pod("strict", 30)
        mesh.vague = mesh.second.pod("vague", 31)
        mesh.leaves = mesh.second.pod("leaves", 32)
        mesh.odd = mesh.second.pod("odd", 33)
        mesh.ghost = mesh.first.pod("ghost", 34)
        mesh.bare = mesh.first.pod("bare", 35)
        state = mesh.state = world.state()
        host = "default/{}.default.svc.cluster.local".format
        state.policy("allow-nobody", [{"principals": [{"Exact": "cluster.local/ns/no/sa/body"}]}], action="Allow")
        state.workload("strict", mesh.strict.ips, "n2", authorizationPolicies=["default/allow-nobody"])
        state.workload("vague", mesh.vague.ips, "n2", authorizationPolicies=["default/never-written"])
        state.workload("leaves", mesh.leaves.ips, "n2")
        state.workload("odd", mesh.odd.ips, "n2")
        state.workload("bare", mesh.bare.ips, "n1")
        state.workload("far", ["10.77.0.1"], "n9", network="elsewhere", services={host("far"): {80: 8080}})
        state.workload("blocked", ["10.61.2.99"], "n2")
        state.service("empty", [EMPTY_VIP], {80: 8080})
        state.service("lost", [LOST_VIP], {80: 8080}, waypoint={"destination": "/10.61.2.98", "hboneMtlsPort": 15008})
        state.service("far", [FAR_VIP], {80: 8080})
        state.write(mesh.state_path)
        # The first node takes `leaves` for somebody else.
        other = State()
        other.services, other.policies = state.services, state.policies
        other.workloads = [
            {**entry, "serviceAccount": "impostor"} if entry["name"] == "leaves" else entry for entry in state.workloads]
        other.write(mesh.folder / "first.yaml")
        for pod in (world.server, mesh.strict, mesh.vague, mesh.leaves):
            mesh.use(HTTPServer(pod, 8080))
        mesh.use(EchoServer(world.server, 7000))
        mesh.use(EchoServer(mesh.leaves, 7000))
        mesh.use(OddPeer(mesh.odd, *mesh.leaf("odd", mesh.odd.identity), mesh.authority.certificate))
        mesh.one = mesh.start_ztund(mesh.first, world.first_pods, state=mesh.folder / "first.yaml")
        mesh.two = mesh.start_ztund(mesh.second, [*world.second_pods, mesh.strict, mesh.vague, mesh.leaves])
        for pod in (mesh.ghost, mesh.bare):
            mesh.one.ztun("pod", "add", pod.enrolment)
        mesh.way = mesh.start_waypoint(world.waypoint, ROUTES)
        yield mesh


OUTBOUND = {
    "no_healthy_upstream": lambda m: call(m.world.client, EMPTY_VIP, 80),
    "service_port_unknown": lambda m: call(m.world.client, VIP, 81),
    "waypoint_unknown": lambda m: call(m.world.client, LOST_VIP, 80),
    "gateway_unknown": lambda m: call(m.world.client, FAR_VIP, 80),
    "recursive_call": lambda m: call(m.world.client, m.world.server.ipv4, 15001),
    "workload_unknown": lambda m: call(m.ghost, m.world.server.ipv4),
    "certificate_unavailable": lambda m: call(m.bare, m.world.server.ipv4),
    "identity_mismatch": lambda m: call(m.world.client, m.leaves.ipv4),
    "tunnel_refused": lambda m: call(m.world.client, m.odd.ipv4, OddPeer.REFUSES),
    "http2_failed": lambda m: call(m.world.client, m.odd.ipv4, OddPeer.BREAKS),
    "tunnel_timeout": lambda m: call(m.world.client, m.odd.ipv4, OddPeer.SILENT),
}


@pytest.mark.parametrize("token", OUTBOUND)
def test_at_the_source(mesh, token):
    with seen(token, mesh.one):
        OUTBOUND[token](mesh)


REFUSED = {
    "policy_denied": (lambda m: (m.world.denied, m.world.server), 8080),
    "policy_not_allowed": (lambda m: (m.world.client, m.strict), 8080),
    "policy_unknown": (lambda m: (m.world.client, m.vague), 8080),
    "connect_failed": (lambda m: (m.world.client, m.world.server), 6),
}


@pytest.mark.parametrize("token", REFUSED)
def test_at_both_ends_and_in_the_reply(mesh, token):
    """The destination's reason travels in Proxy-Status and stands in the source's log, metric and ring too."""
    pair, port = REFUSED[token]
    client, server = pair(mesh)
    with seen(token, mesh.one, mesh.two):
        call(client, server.ipv4, port)
    with stranger(mesh, server, client.identity) as peer:
        status, _, headers = peer.connect(f"{server.ipv4}:{port}")
    assert status == (401 if token.startswith("policy") else 503)
    assert f'details="{token}' in headers["proxy-status"] and headers["proxy-status"].startswith("ztund; error=")


REPLIES = {
    "authority_invalid": (400, [(":method", "CONNECT"), (":authority", "nonsense")]),
    "destination_mismatch": (400, [(":method", "CONNECT"), (":authority", "10.61.2.77:8080")]),
    "service_unknown": (400, [(":method", "CONNECT"), (":authority", "nosuch.default.svc.cluster.local:80")]),
    "method_not_connect": (
        400, [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", "/")]),
}


@pytest.mark.parametrize("token", REPLIES)
def test_in_the_reply_to_a_strange_request(mesh, token):
    wanted, head = REPLIES[token]
    with seen(token, mesh.two), stranger(mesh, mesh.world.server) as peer:
        status, _, headers = peer.answer(peer.request(head, end=token == "method_not_connect"))
        assert status in (wanted, 404, 503)
        assert f'details="{token}' in headers["proxy-status"]


def test_tls_failed(mesh):
    with seen("tls_failed", mesh.two), mesh.world.outsider.connect(mesh.world.server.ipv4, 15008) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            connection.recv(100)


def test_tls_timeout(mesh):
    with seen("tls_timeout", mesh.two), mesh.world.outsider.connect(mesh.world.server.ipv4, 15008) as connection:
        connection.settimeout(15)
        with contextlib.suppress(ConnectionResetError):
            connection.recv(1)


def test_trust_domain_mismatch(mesh):
    with seen("trust_domain_mismatch", mesh.two):
        with contextlib.suppress(OSError, ssl.SSLError):
            with stranger(mesh, mesh.world.server, "spiffe://example.org/ns/default/sa/abroad") as peer:
                peer.connect(f"{mesh.world.server.ipv4}:8080")


def test_http2_failed(mesh):
    """A verified peer that does not speak HTTP/2."""
    identity = "spiffe://cluster.local/ns/default/sa/babbler"
    context = client_context(mesh.authority, *mesh.leaf("babbler", identity))
    with seen("http2_failed", mesh.two), mesh.world.outsider.connect(mesh.world.server.ipv4, 15008) as raw:
        with contextlib.suppress(OSError, ssl.SSLError), context.wrap_socket(raw) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 4)
            connection.recv(65536)


def test_peer_misbehaved(mesh):
    with seen("peer_misbehaved", mesh.two), stranger(mesh, mesh.world.server) as peer:
        status, _, _ = peer.connect(f"{mesh.world.server.ipv4}:7000")
        assert status == 200
        with contextlib.suppress(OSError, ssl.SSLError):
            peer.socket.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) * 400)
            peer.wait(h2.events.ConnectionTerminated)


def test_policy_changed_and_pod_removed(mesh):
    """Live connections are cut with the reason why; the state is put back."""
    server = mesh.world.server
    with mesh.world.client.connect(server.ipv4, 7000) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        with seen("policy_changed", mesh.two):
            policy = mesh.state.policy("later", [{"destinationPorts": [7000]}])
            entry = next(entry for entry in mesh.state.workloads if entry["name"] == "server")
            entry["authorizationPolicies"].append(policy)
            mesh.state.write(mesh.state_path)
        entry["authorizationPolicies"].remove(policy)
        mesh.state.policies.pop()
        mesh.state.write(mesh.state_path)
    wait_for(lambda: mesh.two.status()["state"]["policies"] == len(mesh.state.policies), "the state is back")
    leaves = mesh.leaves
    with stranger(mesh, leaves) as peer:
        status, stream, _ = peer.connect(f"{leaves.ipv4}:7000")
        assert status == 200
        peer.send(stream, b"x")
        assert peer.receive(stream, 1) == b"x"
        with seen("pod_removed", mesh.two):
            mesh.two.ztun("pod", "remove", "default/leaves")
    mesh.two.ztun("pod", "add", leaves.enrolment)


def test_reset(mesh):
    """Applications reset connections all day: counted and logged, not kept in the ring."""
    before = [(daemon, daemon.metric("ztun_refusals_total", reason="reset")) for daemon in (mesh.one, mesh.two)]
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for daemon, counted in before:
        wait_for(lambda: daemon.metric("ztun_refusals_total", reason="reset") > counted, f"{daemon.name} counts it")
        daemon.wait_for_line('reason="reset"', ":7000")
        assert denials(daemon, "reset") == 0


def test_tunnel_port_blocked_and_connect_timeout(mesh):
    """Nothing comes back: at the peer's tunnel port that may be a NetworkPolicy, elsewhere it is just silence."""
    mesh.first.run("nft", "add", "table", "ip", "hole")
    try:
        mesh.first.run("nft", "add", "chain", "ip", "hole", "way", "{ type filter hook forward priority 0 ; }")
        for address in ("10.61.2.99", "10.61.2.97"):
            mesh.first.run("nft", "add", "rule", "ip", "hole", "way", "ip", "daddr", address, "drop")
        threads = [
            threading.Thread(target=call, args=(mesh.world.client, address, 8080))
            for address in ("10.61.2.99", "10.61.2.97")]
        with seen("tunnel_port_blocked", mesh.one), seen("connect_timeout", mesh.one):
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        mesh.first.run("nft", "delete", "table", "ip", "hole")


WAYPOINT = {
    "route_not_found": b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n",
    "request_invalid": b"GET /api HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    "response_invalid": b"GET /echo HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("token", WAYPOINT)
def test_at_the_waypoint(mesh, token):
    with seen(token, mesh.way), mesh.world.client.connect(WAYPOINT_VIP, 80) as connection:
        connection.settimeout(10)
        connection.sendall(WAYPOINT[token])
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 "), answer


def test_no_reason_is_forgotten():
    """A new reason is provoked here, in the file beside this one, or where what refuses is tested."""
    result = subprocess.run([program("ztun"), "reasons", "-o", "json"], capture_output=True, text=True, check=True)
    tests = pathlib.Path(__file__).parent.parent
    elsewhere = ("test_network_policy.py", "test_registry_only.py")
    paths = [*tests.glob("Scenarios/test_reasons*.py"), *(tests / "Kubernetes" / name for name in elsewhere)]
    here = "".join(path.read_text() for path in paths)
    tokens = [entry["reason"] for entry in json.loads(result.stdout)]
    assert len(tokens) > 30 and not [token for token in tokens if f'"{token}"' not in here]
