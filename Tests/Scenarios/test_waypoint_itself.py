"""What the waypoint says of itself: notes, metrics with Istio's labels, and nothing served before it can prove who it is."""
import json
import re

import pytest

from support.mesh import Mesh, WaypointDaemon
from support.servers import EchoServer, HTTPServer
from support.state import State
from support.waiting import wait_for
from support.world import WAYPOINT_VIP, World, make_network

pytestmark = pytest.mark.root

RAW_VIP = "10.96.61.44"
ROUTES = """
routes:
- service: default/through-waypoint.default.svc.cluster.local
  rules:
  - matches: [{path: {prefix: /api}}]
  - matches: [{path: {prefix: /dead}}]
    backends: [{workload: default/server, port: 6}]
- service: default/raw.default.svc.cluster.local
  port: 7000
  protocol: tcp
  rules:
  - name: raw
"""
IDENTITY = "spiffe://cluster.local/ns/default/sa/"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with make_network() as network, Mesh(network, tmp_path_factory.mktemp("itself")) as mesh:
        world = mesh.world = World(network)
        state = mesh.state = world.state()
        for entry in state.workloads:
            entry.update(canonicalRevision="v1", clusterId="Kubernetes")
        server = next(entry for entry in state.workloads if entry["name"] == "server")
        server["services"]["default/raw.default.svc.cluster.local"] = {7000: 7000}
        state.service(
            "raw", [RAW_VIP], {7000: 7000}, waypoint={"destination": f"/{world.waypoint.ipv4}", "hboneMtlsPort": 15008})
        state.write(mesh.state_path)
        mesh.use(HTTPServer(world.server, 8080))
        mesh.use(EchoServer(world.server, 7000))
        mesh.start_ztund(mesh.first, world.first_pods)
        mesh.start_ztund(mesh.second, world.second_pods)
        mesh.way = mesh.start_waypoint(world.waypoint, ROUTES)
        yield mesh


def samples(daemon, name):
    """Every sample of a metric: its labels, and its value."""
    found = []
    for line in daemon.get(15020, "/metrics")[1].splitlines():
        match = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if match and match[1] == name:
            found.append((dict(re.findall(r'(\w+)="([^"]*)"', match[2])), float(match[3])))
    return found


def value(daemon, name, **labels):
    return sum(count for found, count in samples(daemon, name) if labels.items() <= found.items())


def test_requests_have_istio_s_labels(mesh):
    client = mesh.world.client
    assert client.curl(f"http://{WAYPOINT_VIP}/api").returncode == 0
    client.curl(f"http://{WAYPOINT_VIP}/none")
    client.curl(f"http://{WAYPOINT_VIP}/dead")
    parties = {
        f"{end}_{key}": text
        for end, name in (("source", "client"), ("destination", "server"))
        for key, text in {
            "workload": name, "workload_namespace": "default", "canonical_service": name, "canonical_revision": "v1",
            "principal": IDENTITY + name, "app": name, "version": "v1", "cluster": "Kubernetes"}.items()}
    expected = {
        "reporter": "waypoint", **parties, "destination_service": "through-waypoint.default.svc.cluster.local",
        "destination_service_name": "through-waypoint", "destination_service_namespace": "default",
        "request_protocol": "http", "response_code": "200", "response_flags": "-",
        "connection_security_policy": "mutual_tls"}

    def counted():
        found = samples(mesh.way, "istio_requests_total")
        answered = [labels for labels, _ in found if labels["response_code"] == "200"]
        assert answered and expected.items() <= answered[0].items(), found
        return {(labels["response_code"], labels["response_flags"]) for labels, _ in found} == {
            ("200", "-"), ("404", "NR"), ("503", "UF")}

    wait_for(counted, "all three answers are counted")
    unrouted = next(labels for labels, _ in samples(mesh.way, "istio_requests_total") if labels["response_code"] == "404")
    assert unrouted["destination_workload"] == "unknown" and unrouted["source_workload"] == "client"


def test_http_connections_count_in_the_status_and_in_no_tcp_metric(mesh):
    before = mesh.way.status()["traffic"]
    assert mesh.world.client.curl(f"http://{WAYPOINT_VIP}/api").returncode == 0

    def counted():
        traffic = mesh.way.status()["traffic"]
        assert traffic["connectionsOpened"] == before["connectionsOpened"] + 1, traffic
        assert traffic["connectionsClosed"] > before["connectionsClosed"]
        assert traffic["bytesReceived"] > before["bytesReceived"] and traffic["bytesSent"] > before["bytesSent"]
        return traffic["requests"] > before["requests"]

    wait_for(counted, "the status counts it")
    service = "through-waypoint.default.svc.cluster.local"
    assert value(mesh.way, "istio_tcp_connections_opened_total", destination_service=service) == 0
    assert mesh.way.metric("istio_tcp_sockets_open", reporter="waypoint") == 0


def test_tcp_has_the_metrics_of_tcp(mesh):
    with mesh.world.client.connect(RAW_VIP, 7000) as connection:
        connection.settimeout(10)
        connection.sendall(b"hello")
        assert connection.recv(5) == b"hello"
    labels = {"reporter": "waypoint", "request_protocol": "tcp", "destination_service_name": "raw",
              "source_workload": "client", "destination_workload": "server", "response_flags": "-"}
    for name in ("opened", "closed"):
        wait_for(lambda: value(mesh.way, f"istio_tcp_connections_{name}_total", **labels) == 1, name)
    assert value(mesh.way, "istio_tcp_received_bytes_total", **labels) == 5
    line = mesh.way.wait_for_line("connection complete", f"dst.hbone_addr={RAW_VIP}:7000")
    assert 'src.workload="client"' in line and f'src.identity="{IDENTITY}client"' in line


@pytest.fixture
def lonely(tmp_path):
    """A pod for a waypoint that nobody has told of itself yet."""
    with make_network() as network, Mesh(network, tmp_path) as mesh:
        mesh.world = World(network)
        yield mesh


def start(mesh, *arguments):
    way = WaypointDaemon.__new__(WaypointDaemon)
    way.pod = mesh.world.waypoint
    super(WaypointDaemon, way).__init__(
        "ztun-waypoint", way.pod.netns, mesh.folder, "alone", "ztun-waypoint", "--workload", "default/waypoint",
        "--state", mesh.state_path, "--ca-dir", mesh.ca_dir, *arguments, ready=False)
    mesh.stack.callback(way.stop)
    return way


def test_nothing_is_accepted_before_there_is_a_certificate(lonely):
    """Not ready, and the port is closed: a peer's connection is refused at once, not left waiting."""
    mesh = lonely
    State().write(mesh.state_path)
    way = start(mesh)
    way.wait_for_line("ztun-waypoint started")
    status, body = wait_for(lambda: way.get(15021, "/healthz/ready"), "readiness answers")
    assert status == 500 and "proxy" in body
    with pytest.raises(ConnectionRefusedError):
        mesh.world.outsider.connect(mesh.world.waypoint.ipv4, 15008)
    assert "has no workload default/waypoint" in way.ztun("status", check=False).stdout
    mesh.world.state().write(mesh.state_path)
    wait_for(way.is_ready, "the waypoint is ready")
    mesh.world.outsider.connect(mesh.world.waypoint.ipv4, 15008).close()


def test_a_taken_port_ends_the_start(lonely):
    mesh = lonely
    mesh.world.state().write(mesh.state_path)
    with EchoServer(mesh.world.waypoint, 15008):
        way = start(mesh)
        assert wait_for(lambda: way.process.poll(), "it ends") == 1
    assert "EADDRINUSE" in way.text() and "--address" in way.text()


def test_variables_that_are_not_obeyed_are_told(lonely, monkeypatch):
    mesh = lonely
    mesh.world.state().write(mesh.state_path)
    for name, text in {"TLS12_ENABLED": "true", "XDS_ADDRESS": "istiod:15012", "INPOD_UDS": "/x"}.items():
        monkeypatch.setenv(name, text)
    way = start(mesh, "--log-level", "debug", "--log-format", "json")
    levels = {
        name: json.loads(way.wait_for_line(name))["level"] for name in ("TLS12_ENABLED", "XDS_ADDRESS", "INPOD_UDS")}
    assert levels == {"TLS12_ENABLED": "warn", "XDS_ADDRESS": "warn", "INPOD_UDS": "debug"}
