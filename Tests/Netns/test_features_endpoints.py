"""One dead endpoint among two: no connection of the application fails, and the dead one is left alone for a while."""
import json

import pytest

from Netns.conftest import stage
from support.servers import HTTPServer
from support.waiting import wait_for

pytestmark = pytest.mark.root

VIPS = {"dead": "10.96.61.40", "clear": "10.96.61.41", "closed": "10.96.61.42", "guarded": "10.96.61.43",
        "impostor": "10.96.61.44", "only": "10.96.61.45", "well": "10.96.61.46"}
HOST = "default/{}.default.svc.cluster.local".format


@pytest.fixture
def pair(tmp_path):
    """Services of two endpoints each, of which one fails in its own way; one worker, so that counts are exact."""
    with stage(tmp_path) as mesh:
        world, state = mesh.world, mesh.state
        for name, vip in VIPS.items():
            state.service(name, [vip], {80: 8080})
        second = mesh.second.pod("second", 12)
        mesh.use(HTTPServer(second, 8080))
        entries = {entry["name"]: entry for entry in state.workloads}
        # Nobody listens on 15008 (or 8080) at these addresses: the connection is refused at once.
        node = mesh.second
        state.workload("gone", [node.ipv4], "n2", services={HOST("dead"): {80: 8080}, HOST("only"): {80: 8080}})
        state.workload(
            "gone-clear", [mesh.first.ipv4], "n2", hbone=False, services={HOST("clear"): {80: 8080}})
        # The pod is well, but nothing listens on the port that `closed` means there.
        state.workload(
            "second", second.ips, "n2", services={HOST("closed"): {80: 8099}, HOST("guarded"): {80: 8080}, HOST("well"): {80: 8080}})
        entries["server"]["services"].update({HOST(name): {80: 8080} for name in ("dead", "closed", "guarded", "impostor")})
        entries["plain"]["services"][HOST("clear")] = {80: 8080}
        state.workload(
            "other", [], "n2", account="not-second", services={HOST("impostor"): {80: 8080}})
        mesh.second_pod = second
        state.write(mesh.state_path)
        world.__class__ = type("Pair", (type(world),), {"second_pods": property(lambda w: [w.server, second])})
        mesh.one = mesh.start_ztund(mesh.first, world.first_pods, "--workers", 1)
        mesh.two = mesh.start_ztund(mesh.second, world.second_pods)
        yield mesh


def call(mesh, name, pod=None):
    return (pod or mesh.world.client).curl(f"http://{VIPS[name]}/", seconds=8)


def server_of(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["server"]


def counts(mesh):
    return tuple(int(mesh.one.metric(name)) for name in ("ztun_connect_retries_total", "ztun_endpoints_set_aside_total"))


@pytest.mark.parametrize("name, server", [("dead", "server"), ("clear", "plain"), ("closed", "server")])
def test_no_connection_fails_and_the_dead_one_is_tried_once(pair, name, server):
    # By chance the good one may come first: the dead one is met once in so many, and then not again.
    for _ in range(30):
        assert server_of(call(pair, name)) == server
    assert counts(pair) == (1, 1)
    assert pair.one.lines("is set aside for a while")


def test_a_port_that_fails_does_not_set_the_whole_endpoint_aside(pair):
    for _ in range(30):
        assert server_of(call(pair, "closed")) == "server"
    assert counts(pair) == (1, 1)
    assert server_of(call(pair, "well")) == "second"


def test_the_only_endpoint_is_still_tried(pair):
    """Set aside it is avoided only where there is another."""
    assert call(pair, "only").returncode != 0
    assert call(pair, "only").returncode != 0
    pair.state.workloads = [entry for entry in pair.state.workloads if entry["name"] != "gone"]
    pair.state.workload("gone", pair.second_pod.ips, "n2", account="second", services={HOST("only"): {80: 8080}})
    pair.state.write(pair.state_path)
    wait_for(lambda: call(pair, "only").returncode == 0, "it is back and used at once", seconds=8)


def test_a_refusal_by_policy_is_final(pair):
    """`denied` may not call `server`; it may call `second`. A refused call is not tried elsewhere."""
    results = [call(pair, "guarded", pair.world.denied).returncode for _ in range(24)]
    assert 0 in results and any(results), "both endpoints are chosen"
    assert counts(pair) == (0, 0)
    assert pair.one.lines("policy_denied", 'direction="outbound"')


def test_a_wrong_identity_is_final(pair):
    """At the address of an endpoint answers somebody else: that is an attack or a mistake, not an outage."""
    for entry in pair.state.workloads:
        if entry["name"] == "other":
            entry["workloadIps"] = pair.second_pod.ips
        if entry["name"] == "second":
            entry["workloadIps"] = []
    other = pair.folder / "other.yaml"
    pair.state.write(other)
    pair.one.stop()
    pair.one = pair.start_ztund(pair.first, pair.world.first_pods, "--workers", 1, state=other)
    results = [call(pair, "impostor").returncode for _ in range(24)]
    assert 0 in results and any(results)
    assert counts(pair) == (0, 0)
    assert pair.one.lines("identity_mismatch", 'direction="outbound"')
