"""Pod to service through a waypoint: both nodes' ztund, the waypoint between them, ordinary programs at the ends."""
import hashlib
import json

import pytest

from Netns.conftest import stage
from support.servers import HTTPServer
from support.waiting import wait_for
from support.world import WAYPOINT_VIP

pytestmark = pytest.mark.root

SERVICE = "default/through-waypoint.default.svc.cluster.local"
TCP_VIP, PLAIN_ROUTE_VIP, EMPTY_VIP = "10.96.61.4", "10.96.61.5", "10.96.61.6"
ROUTES = f"""
routes:
- service: {SERVICE}
  rules:
  - name: plain
    matches: [{{path: {{prefix: /plain}}}}]
    backends: [{{workload: default/plain, port: 8080}}]
  - name: second
    matches: [{{headers: {{x-user: tester}}}}]
    backends: [{{workload: default/second, port: 8080}}]
  - name: split
    matches: [{{path: {{prefix: /split}}}}]
    backends:
    - {{workload: default/server, port: 8080, weight: 50}}
    - {{workload: default/second, port: 8080, weight: 50}}
  - name: rest
    matches: [{{path: {{prefix: /}}}}]
- service: default/echo.default.svc.cluster.local
  port: 7000
  protocol: tcp
"""


@pytest.fixture(scope="module")
def through(tmp_path_factory):
    with stage(tmp_path_factory.mktemp("waypoint")) as mesh:
        world = mesh.world
        second = mesh.second.pod("second", 12)
        mesh.use(HTTPServer(second, 8080))
        host = "default/{}.default.svc.cluster.local".format
        waypoint = {"destination": f"/{world.waypoint.ipv4}", "hboneMtlsPort": 15008}
        mesh.state.workload("second", second.ips, "n2")
        for entry in mesh.state.workloads:
            if entry["name"] == "server":
                entry["services"][host("echo")] = {7000: 7000}
        mesh.state.service("echo", [TCP_VIP], {7000: 7000}, waypoint=waypoint)
        mesh.state.service("empty", [EMPTY_VIP], {80: 8080}, waypoint=waypoint)
        mesh.state.write(mesh.state_path)
        mesh.one = mesh.start_ztund(mesh.first, world.first_pods)
        mesh.two = mesh.start_ztund(mesh.second, [*world.second_pods, second])
        mesh.waypoint = mesh.start_waypoint(world.waypoint, ROUTES)
        yield mesh


def fetch(mesh, path="/", *arguments, vip=WAYPOINT_VIP, pod=None):
    result = (pod or mesh.world.client).curl(f"http://{vip}{path}", *arguments)
    assert result.returncode == 0, f"{result.returncode}: {result.stderr}"
    return json.loads(result.stdout)


def code(mesh, path="/", *arguments, vip=WAYPOINT_VIP):
    result = mesh.world.client.curl(f"http://{vip}{path}", "-o", "/dev/null", "-w", "%{http_code}", *arguments)
    assert result.returncode == 0, f"{result.returncode}: {result.stderr}"
    return int(result.stdout)


def test_reaches_the_server_as_the_waypoint(through):
    wait_for(lambda: code(through) == 200, "the first request gets through")
    plain = through.wire[8080]
    answer = fetch(through)
    assert answer["server"] == "server"
    assert answer["peer"] == through.world.waypoint.ipv4
    assert len(answer["headers"]["x-request-id"]) == 36
    assert through.wire[8080] == plain
    line = through.waypoint.wait_for_line("request complete", answer["headers"]["x-request-id"])
    assert 'src.identity="spiffe://cluster.local/ns/default/sa/client"' in line
    assert 'route="rest"' in line and "status=200" in line


def test_routes_by_header_and_path(through):
    assert fetch(through, "/", "-H", "x-user: tester")["server"] == "second"
    assert fetch(through, "/plain/x")["server"] == "plain"
    assert fetch(through, "/plainly")["server"] == "server"


def test_splits_traffic(through):
    urls = [f"http://{WAYPOINT_VIP}/split/{n}" for n in range(100)]
    result = through.world.client.curl(*urls)
    assert result.returncode == 0, result.stderr
    servers = [part.split('"')[1] for part in result.stdout.split('"server": ')[1:]]
    assert len(servers) == 100
    assert 25 < servers.count("second") < 75


def test_large_bodies_both_ways(through):
    body = through.folder / "body"
    body.write_bytes(bytes(range(256)) * 16384)
    answer = fetch(through, "/upload", "--data-binary", f"@{body}", "-H", "expect: 100-continue")
    assert hashlib.sha256(answer["body"].encode("latin-1")).hexdigest() == hashlib.sha256(body.read_bytes()).hexdigest()


def test_no_endpoint_is_503_with_its_reason(through):
    result = through.world.client.curl(f"http://{EMPTY_VIP}/", "-i")
    assert result.stdout.startswith("HTTP/1.1 503"), result.stdout + result.stderr
    assert 'details="no_healthy_upstream"' in result.stdout


def test_tcp_port_echoes_through_both_nodes(through):
    with through.world.client.connect(TCP_VIP, 7000, seconds=10) as connection:
        connection.sendall(b"server first or not, bytes are bytes")
        assert connection.recv(100) == b"server first or not, bytes are bytes"
        connection.shutdown(1)
        assert connection.recv(100) == b""


def test_an_endpoint_that_refuses_is_503(through):
    """Nothing listens on the route's port: the server's node answers the CONNECT with 503."""
    path = through.folder / f"routes-{through.world.waypoint.name}.yaml"
    try:
        path.write_text(ROUTES.replace("{workload: default/plain, port: 8080}", "{workload: default/server, port: 6}"))
        wait_for(lambda: code(through, "/plain") == 503, "the new route is in force")
        result = through.world.client.curl(f"http://{WAYPOINT_VIP}/plain", "-i")
        assert 'details="connect_failed"' in result.stdout
    finally:
        path.write_text(ROUTES)
        wait_for(lambda: code(through, "/plain") == 200, "the old route is back")


def test_a_refusal_by_policy_is_told_and_not_tried_again(through):
    """The server's node refuses the waypoint itself; its reason reaches the waypoint's log and the client."""
    for entry in through.state.policies:
        principal = entry["rules"][0][0][0]["principals"][0]
        principal["Exact"] = "cluster.local/ns/default/sa/waypoint"
    try:
        through.state.write(through.state_path)
        wait_for(
            lambda: through.world.client.curl(f"http://{WAYPOINT_VIP}/", "-i").stdout.startswith("HTTP/1.1 503"),
            "the policy is in force")
        # A request that the edit caught under way may have had two attempts: one that was cut and one that was refused.
        result = through.world.client.curl(f"http://{WAYPOINT_VIP}/denied", "-i")
        assert 'details="policy_denied"' in result.stdout
        assert "attempts=1" in through.waypoint.wait_for_line("/denied", 'reason="policy_denied"')
    finally:
        principal["Exact"] = "cluster.local/ns/default/sa/denied"
        through.state.write(through.state_path)
        wait_for(lambda: code(through) == 200, "the policy is gone")


def test_policy_at_the_server_sees_the_waypoint(through):
    """The server denies `denied` itself; through the waypoint it is the waypoint that calls, as Istio has it."""
    assert fetch(through, pod=through.world.denied)["server"] == "server"
    direct = through.world.denied.curl(f"http://{through.world.server.ipv4}:8080/")
    assert direct.returncode != 0


def test_metrics_inside_the_pod(through):
    fetch(through)
    result = through.world.waypoint.run("curl", "-fsS", "http://127.0.0.1:15020/metrics")
    assert 'istio_requests_total{reporter="waypoint"' in result.stdout


def test_the_server_node_sees_the_waypoint_and_the_waypoint_the_client(through):
    """Tunnels are kept, so the server's node logs the waypoint's when they end: here with the waypoint."""
    fetch(through)
    assert through.waypoint.stop() == 0
    wait_for(
        lambda: through.two.lines("connection complete", 'src.identity="spiffe://cluster.local/ns/default/sa/waypoint"'),
        "the server's node logs the waypoint's identity")
