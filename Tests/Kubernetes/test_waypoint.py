"""A waypoint from the same folder: bound by labels, routed by an HTTPRoute, asking NetworkPolicies for the client."""
import pytest

from support.servers import HTTPServer
from support.waiting import wait_for

from .conftest import VIP

pytestmark = pytest.mark.root

NAME = {"gateway.networking.k8s.io/gateway-name": "wp"}


def status(pod, path="/"):
    return pod.curl(f"http://{VIP}{path}", "-o", "/dev/null", "-w", "%{http_code}").stdout


@pytest.fixture
def mesh(bare):
    """`server` bound to the waypoint, and a second version of it behind a Service of its own."""
    manifests = bare.manifests
    bare.waypoint = bare.second.pod("wp-1", 20, account="wp")
    bare.other = bare.second.pod("other", 11)
    bare.use(HTTPServer(bare.other, 8080))
    manifests.pod(bare.waypoint, labels=NAME)
    manifests.pod(bare.other, ports={"http": 8080}, labels={"istio.io/dataplane-mode": "none"})
    manifests.service("wp", ["10.96.61.20"], [{"name": "mesh", "port": 15008}], selector=NAME, labels=NAME)
    manifests.service("other", ["10.96.61.21"], [{"name": "http", "port": 80, "targetPort": 8080}])
    manifests.add(
        "gateway.yaml", "Gateway", "wp", api="gateway.networking.k8s.io/v1",
        spec={"gatewayClassName": "istio-waypoint", "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]})
    manifests.files["services.yaml"][0]["metadata"]["labels"] = {"istio.io/use-waypoint": "wp"}
    bare.start()
    bare.start_manifest_waypoint(bare.waypoint)
    wait_for(lambda: status(bare.client) == "200", "the service answers through its waypoint")
    return bare


def route(mesh, rules):
    mesh.manifests.files["routes.yaml"] = []
    mesh.manifests.add(
        "routes.yaml", "HTTPRoute", "server", api="gateway.networking.k8s.io/v1",
        spec={"parentRefs": [{"group": "", "kind": "Service", "name": "server"}], "rules": rules})
    mesh.manifests.write()


def test_routes_of_an_http_route(mesh):
    served = lambda pod: int(mesh.daemons["wp-1"].metric(
        "istio_requests_total", response_code="200", destination_service="server.default.svc.cluster.local"))
    assert served(mesh.client) >= 1
    route(mesh, [
        {"matches": [{"path": {"type": "PathPrefix", "value": "/other"}}], "backendRefs": [{"name": "other", "port": 80}]},
        {"matches": [{"path": {"type": "Exact", "value": "/gone"}}], "backendRefs": [{"name": "missing", "port": 80}]},
        {"matches": [{"path": {"type": "Exact", "value": "/filtered"}}], "backendRefs": [{"name": "other", "port": 80}],
         "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}]},
        {"matches": [{"path": {"type": "Exact", "value": "/"}}], "backendRefs": [{"name": "server", "port": 80}]},
    ])
    wait_for(lambda: status(mesh.client, "/nothing") == "404", "the routes are in force")
    assert status(mesh.client, "/") == "200" and status(mesh.client, "/other/x") == "200"
    assert status(mesh.client, "/gone") == "503" and status(mesh.client, "/filtered") == "503"
    state = mesh.daemons["wp-1"].status()["state"]
    assert state["routes"] == 1 and "spec.rules[2].filters is not supported" in state["lastError"]
    mesh.manifests.remove("routes.yaml")
    wait_for(lambda: status(mesh.client, "/nothing") in ("200", "404") and status(mesh.client, "/gone") != "503", "they are gone")


def test_network_policies_are_asked_for_the_client(mesh):
    """The destination takes its own waypoint's word; the waypoint asks for the pod behind it, both ways."""
    assert status(mesh.stranger) == "200"
    web = {"podSelector": {"matchLabels": {"app": "server"}},
           "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": "http"}]}]}
    mesh.manifests.network_policy("web", web)
    mesh.manifests.write()
    wait_for(lambda: status(mesh.stranger) == "403", "the stranger is refused by the waypoint")
    assert status(mesh.client) == "200"
    mesh.manifests.network_policy("out", {
        "podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "other"}}}]}]})
    mesh.manifests.write()
    wait_for(lambda: status(mesh.client) == "403", "the client's egress is asked for the endpoint")
    # Past the waypoint, the destination's own node asks.
    assert mesh.stranger.curl(f"http://{mesh.server.ipv4}:8080/").returncode in (7, 56)


def virtual_service(mesh, http, **more):
    mesh.manifests.files["virtual.yaml"] = []
    mesh.manifests.add(
        "virtual.yaml", "VirtualService", "server", api="networking.istio.io/v1", spec={"hosts": ["server"], "http": http, **more})
    mesh.manifests.write()


def test_routes_of_a_virtual_service(mesh):
    """First match wins, in the order written; prefixes are of text; what is not supported is told and does no harm."""
    served = lambda: mesh.daemons["wp-1"].metric(
        "istio_requests_total", response_code="200", destination_workload="other")
    other, own = {"destination": {"host": "other"}}, {"destination": {"host": "server", "port": {"number": 80}}}
    virtual_service(mesh, [
        {"match": [{"uri": {"exact": "/gone"}}], "route": [{"destination": {"host": "missing"}}]},
        {"match": [{"uri": {"exact": "/moved"}}], "redirect": {"uri": "/x"}},
        {"match": [{"uri": {"prefix": "/o"}, "method": {"exact": "GET"}}], "route": [{**other, "weight": 100}, {**own, "weight": 0}]},
        {"match": [{"headers": {"x-user": {"prefix": "test"}}}], "route": [other]},
        {"match": [{"uri": {"regex": "/[a-z]+"}}], "route": [other]},
        {"match": [{"uri": {"prefix": "/own"}}], "route": [own]},
        {"match": [{"uri": {"exact": "/"}}], "route": [own]},
    ])
    wait_for(lambda: status(mesh.client, "/nothing") == "404", "the routes are in force")
    assert status(mesh.client, "/gone") == "503" and status(mesh.client, "/moved") == "503"
    before = served()
    # `/own` begins with `/o`: the earlier rule has it, and in the middle of a segment.
    assert status(mesh.client, "/own") == "200" and status(mesh.client, "/other/x") == "200"
    assert served() == before + 2
    assert mesh.client.curl(f"http://{VIP}/z", "-H", "x-user: tester", "-o", "/dev/null", "-w", "%{http_code}").stdout == "200"
    assert served() == before + 3
    assert status(mesh.client, "/") == "200" and served() == before + 3
    state = mesh.daemons["wp-1"].status()["state"]
    for text in ("spec.http[1].redirect is not supported", "spec.http[4].match[0].uri is not supported: the rule is left out"):
        assert text in state["lastError"], state["lastError"]
    # An HTTPRoute of the service wins, and that is told.
    route(mesh, [{"matches": [{"path": {"type": "Exact", "value": "/only"}}], "backendRefs": [{"name": "server", "port": 80}]}])
    wait_for(lambda: status(mesh.client, "/own") == "404", "the HTTPRoute is in force")
    assert status(mesh.client, "/only") == "200"
    assert any("has an HTTPRoute, which wins" in note for note in mesh.one.status()["notes"])
    mesh.manifests.remove("routes.yaml")
    wait_for(lambda: status(mesh.client, "/own") == "200", "the VirtualService again")


def test_a_canary_waypoint_by_weight(mesh):
    """Per connection, live: none, half, all; `ztun why` tells, and the canary serves what it is sent."""
    manifests = mesh.manifests
    label = {"gateway.networking.k8s.io/gateway-name": "canary"}
    pod = mesh.second.pod("wp-2", 21, account="canary")
    manifests.pod(pod, labels=label)
    manifests.service("canary", ["10.96.61.22"], [{"name": "mesh", "port": 15008}], selector=label, labels=label)
    manifests.add(
        "gateway.yaml", "Gateway", "canary", api="gateway.networking.k8s.io/v1",
        spec={"gatewayClassName": "istio-waypoint", "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]})
    manifests.write()
    mesh.start_manifest_waypoint(pod)
    served = lambda name: mesh.daemons[name].metric("istio_requests_total", response_code="200")
    metadata = manifests.files["services.yaml"][0]["metadata"]

    def shares(percent, requests):
        loaded = mesh.one.status()["state"]["generation"]
        metadata["annotations"] = {"ztun.io/use-waypoint-canary": f"canary={percent}"}
        manifests.write()
        wait_for(lambda: mesh.one.status()["state"]["generation"] > loaded, "the weight is in force")
        before = served("wp-1"), served("wp-2")
        for _ in range(requests):
            assert status(mesh.client) == "200"
        return served("wp-1") - before[0], served("wp-2") - before[1]

    # A canary that is not up must not get anything: it is ready before the first share.
    wait_for(lambda: mesh.daemons["wp-2"].status()["state"]["workloads"] >= 6, "the canary has the state")
    assert shares(100, 5) == (0, 5)
    text = mesh.one.ztun("why", "default/client", f"{VIP}:80").stdout
    assert "its waypoints go by weight: 100 of 100 for this one" in text and "the waypoint default/wp-2" in text
    first, second = shares(50, 40)
    # Neither would get less than 5 of 40 by chance in 300,000 runs.
    assert first >= 5 and second >= 5 and first + second == 40
    assert shares(0, 5) == (5, 0)
