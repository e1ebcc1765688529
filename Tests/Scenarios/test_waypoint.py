"""Client, node, waypoint, node, server: routes by header and path, weights, refusals, keep-alive."""
import collections
import http.client
import json

import pytest

from support import netns
from support.waiting import wait_for
from support.world import WAYPOINT_VIP

pytestmark = pytest.mark.root


class Session:
    """One keep-alive connection of the client to the service that has the waypoint."""

    def __init__(self, pod):
        self.connection = http.client.HTTPConnection(WAYPOINT_VIP, 80, timeout=10)
        with netns.inside(pod.netns):
            self.connection.connect()

    def get(self, path, headers=None, method="GET", body=None):
        self.connection.request(method, path, body=body, headers=headers or {})
        response = self.connection.getresponse()
        payload = response.read()
        return response.status, (json.loads(payload) if response.status == 200 else payload.decode())


@pytest.fixture
def session(mesh):
    session = Session(mesh.world.client)
    yield session
    session.connection.close()


def test_default_backend_is_the_service_itself(session, mesh):
    status, answer = session.get("/api/x?y=1")
    assert (status, answer["server"], answer["path"]) == (200, "v1", "/api/x?y=1")
    # The server's caller is the waypoint: it speaks for itself.
    assert answer["peer"] == mesh.world.waypoint.ipv4


def test_both_hops_are_tunnels_with_identities(session, mesh):
    assert session.get("/api/hops")[0] == 200
    session.connection.close()
    line = mesh.one.wait_for_line('direction="outbound"', f"{WAYPOINT_VIP}:80", "connection complete")
    assert 'dst.identity="spiffe://cluster.local/ns/default/sa/waypoint"' in line
    # The second hop stays open for the next request; it is counted when it opens.
    waypoint = "spiffe://cluster.local/ns/default/sa/waypoint"
    assert mesh.two.metric("istio_tcp_connections_opened_total", source_principal=waypoint) >= 1


def test_header_route(session):
    assert session.get("/api", {"x-user": "tester"})[1]["server"] == "v2"
    assert session.get("/api", {"x-user": "somebody"})[1]["server"] == "v1"


def test_path_prefix_ends_at_a_segment(session):
    assert session.get("/api/deep/er")[0] == 200
    assert session.get("/apix")[0] == 404


def test_no_route_is_404(session):
    status, _ = session.get("/elsewhere")
    assert status == 404
    assert session.get("/api")[0] == 200, "the connection is still good"


def test_method_is_part_of_the_match(session):
    assert session.get("/api", method="POST", body="x")[0] == 404


def test_dead_backend_is_503(session):
    assert session.get("/nowhere")[0] == 503
    assert session.get("/api")[0] == 200


def test_weights(session):
    """80:20; with 500 draws the share of v2 lies within five standard deviations."""
    seen = collections.Counter(session.get("/split")[1]["server"] for _ in range(500))
    assert sum(seen.values()) == 500
    assert 55 <= seen["v2"] <= 145, seen


def test_request_body_arrives(session):
    body = "0123456789" * 20_000
    status, answer = session.get("/split", method="POST", body=body)
    assert (status, answer["body"]) == (200, body)


def test_many_clients_at_once(mesh):
    result = mesh.world.client.run(
        "curl", "-sS", "--max-time", "20", "--parallel", "--parallel-max", "30", "-o", "/dev/null",
        "-w", "%{http_code}\\n", f"http://{WAYPOINT_VIP}/api/[1-300]")
    assert collections.Counter(result.stdout.split()) == {"200": 300}


def test_status_of_the_waypoint(mesh):
    report = mesh.waypoint.status()
    assert report["program"] == "ztun-waypoint" and report["ready"]
    assert report["state"]["routes"] >= 1


def test_denied_caller_of_the_server_is_refused_by_identity(mesh):
    """The policy denies `denied` at the server, but through the waypoint the server sees the waypoint: document it."""
    result = mesh.world.denied.curl(f"http://{WAYPOINT_VIP}/api")
    assert json.loads(result.stdout)["peer"] == mesh.world.waypoint.ipv4


def test_waypoint_restart_and_the_next_call(mesh):
    assert mesh.waypoint.stop() == 0
    assert mesh.world.client.curl(f"http://{WAYPOINT_VIP}/api", seconds=15).returncode != 0
    mesh.waypoint = mesh.start_waypoint(mesh.world.waypoint, (mesh.folder / "routes-waypoint.yaml").read_text())
    wait_for(lambda: mesh.world.client.curl(f"http://{WAYPOINT_VIP}/api").returncode == 0, "calls work again", 20)
