"""`ztun why` tells what live traffic gets, and what it would get with a file that is not applied yet."""
import itertools
import json

import pytest
import yaml

from support.waiting import wait_for

from .conftest import VIP

pytestmark = pytest.mark.root

DENY = {
    "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "no-client", "namespace": "default"},
    "spec": {
        "action": "DENY", "selector": {"matchLabels": {"app": "server"}},
        "rules": [{"from": [{"source": {"principals": ["cluster.local/ns/default/sa/client"]}}]}],
    },
}


def why(daemon, *arguments):
    result = daemon.ztun("why", *arguments, "-o", "json", check=False)
    assert result.returncode in (0, 1), result.stderr
    report = json.loads(result.stdout)
    assert result.returncode == (0 if report["allowed"] else 1)
    return report


def test_each_way_to_name_the_ends(mesh):
    for source in ("default/client", mesh.client.ipv4, mesh.client.ipv6):
        for destination in ("default/server:80", f"{VIP}:80", "server.default.svc.cluster.local:80", "server.default:80",
                            f"{mesh.server.ipv4}:8080"):
            report = why(mesh.one, source, destination)
            assert report["allowed"] and not report["refusedAt"], report
            assert [step["place"] for step in report["steps"]][-1] == "destination node"
    assert mesh.one.ztun("why", "default/client", "nowhere:80", check=False).returncode == 2
    result = mesh.one.ztun("why", "default/client", "default/server", check=False)
    assert result.returncode == 2 and "say which port" in result.stderr
    table = mesh.one.ztun("why", "default/client", "default/server:8080").stdout
    assert "WHERE" in table and table.rstrip().endswith("allowed")
    outside = why(mesh.one, mesh.outsider.ipv4, f"{mesh.server.ipv4}:8080")
    assert outside["allowed"] and any("plaintext" in step["text"] for step in outside["steps"])


def test_a_policy_that_is_not_applied_yet(mesh, tmp_path):
    """The file goes on top of what is in force; nothing changes."""
    path = tmp_path / "new.yaml"
    path.write_text(yaml.safe_dump(DENY))
    report = why(mesh.one, "default/client", "default/server:8080", "--policy", path)
    assert (report["allowed"], report["reason"], report["policy"], report["refusedAt"]) == (
        False, "policy_denied", "default/no-client", "destination node")
    assert why(mesh.one, "default/stranger", "default/server:8080", "--policy", path)["allowed"]
    assert why(mesh.one, "default/client", "default/server:8080")["allowed"]
    wait_for(lambda: mesh.client.curl(f"http://{VIP}/").returncode == 0, "nothing was applied")
    path.write_text(yaml.safe_dump({**DENY, "spec": {"acton": "DENY"}}))
    report = why(mesh.one, "default/client", "default/server:8080", "--policy", path)
    assert report["allowed"] and any("unknown field 'acton'" in note for note in report["notes"])


def test_live_traffic_gets_the_same_verdict(mesh):
    """Policies of every kind; each pair and port is tried and asked about."""
    manifests = mesh.manifests
    manifests.authorization("no-stranger-7000", {
        "action": "DENY", "rules": [{
            "from": [{"source": {"serviceAccounts": ["default/stranger"]}}], "to": [{"operation": {"ports": ["7000"]}}]}]})
    manifests.peer_authentication("strict-echo", {
        "selector": {"matchLabels": {"app": "server"}}, "mtls": {"mode": "PERMISSIVE"}, "portLevelMtls": {"7000": {"mode": "STRICT"}}})
    manifests.network_policy("web", {
        "podSelector": {"matchLabels": {"app": "server"}},
        "ingress": [
            {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": "http"}]},
            {"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["stranger", "outsider"]}]}}]},
        ]})
    manifests.write()
    wait_for(lambda: mesh.one.status()["state"]["policies"] >= 3 and mesh.two.status()["state"]["policies"] >= 3, "loaded")
    verdicts = set()
    for pod, port in itertools.product((mesh.client, mesh.stranger, mesh.outsider), (8080, 7000)):
        code = wait_for(lambda: (pod.run(
            "curl", "-s", "--http0.9", "--max-time", "2", f"http://{mesh.server.ipv4}:{port}/", check=False).returncode,), "tried")[0]
        # A refusal is a reset, which may come before curl has looked at its new connection; the echo server is not HTTP.
        live = code not in (7, 56)
        report = why(mesh.one, f"default/{pod.name}", f"{mesh.server.ipv4}:{port}")
        assert report["allowed"] == live, (pod.name, port, code, report)
        verdicts.add(report["reason"])
    assert verdicts == {"", "policy_denied", "network_policy_denied"}


def test_the_rule_of_a_policy_is_named(mesh):
    """By its place in the resource, also after a rule that does not reach layer 4."""
    spec = {
        "action": "DENY", "selector": {"matchLabels": {"app": "server"}},
        "rules": [
            {"from": [{"source": {"principals": ["cluster.local/ns/default/sa/nobody"]}}]},
            {"from": [{"source": {"namespaces": ["elsewhere"]}}, {"source": {"serviceAccounts": ["default/client"]}}],
             "to": [{"operation": {"ports": ["9"]}}, {"operation": {"ports": ["8080"]}}],
             "when": [{"key": "destination.port", "notValues": ["1"]}]},
        ],
    }
    mesh.manifests.authorization("deny", spec)
    mesh.manifests.authorization("allow", {
        "selector": {"matchLabels": {"app": "server"}}, "action": "ALLOW",
        "rules": [{"to": [{"operation": {"methods": ["GET"]}}]}, {"from": [{"source": {"namespaces": ["default"]}}]}]})
    mesh.manifests.write()
    wait_for(lambda: mesh.one.status()["state"]["policies"] == 2, "loaded")
    text = lambda report: " | ".join(step["text"] for step in report["steps"])
    report = why(mesh.one, "default/client", "default/server:8080")
    assert "DENY policy default/deny matches: spec.rules[1].to[1] and from[1] and when[0]" in text(report), report
    report = why(mesh.one, "default/stranger", "default/server:8080")
    assert report["policy"] == "default/allow" and "ALLOW policy default/allow matches: spec.rules[1].from[0]" in text(report)
    report = why(mesh.one, mesh.outsider.ipv4, "default/server:8080")
    assert report["reason"] == "policy_not_allowed" and "none matches: refused (default/allow)" in text(report)


def test_all_endpoints(mesh):
    """Of a service with a good endpoint, one behind a policy, and one that is not ready."""
    pods = [mesh.server]
    for number, name in ((11, "closed"), (12, "sick")):
        pod = mesh.second.pod(name, number)
        mesh.manifests.pod(pod, ports={"http": 8080}, ready=name != "sick")
        pods.append(pod)
    slices = mesh.manifests.files["slices.yaml"]
    slices.clear()
    mesh.manifests.slice("server", pods, {"http": 8080})
    slices[0]["endpoints"][2]["conditions"]["ready"] = False
    mesh.manifests.network_policy("closed", {"podSelector": {"matchLabels": {"app": "closed"}}, "ingress": []})
    mesh.manifests.write()
    wait_for(lambda: mesh.one.status()["state"]["workloads"] == 6, "loaded")
    report = why(mesh.one, "default/client", f"{VIP}:80", "--all-endpoints")
    rows = {row["name"]: (row["allowed"], row["reason"], row["policy"]) for row in report["endpoints"]}
    assert rows == {
        "default/server": (True, "", ""), "default/closed": (False, "network_policy_denied", "default/closed"),
        "default/sick": (False, "no_healthy_upstream", "")}, rows
    assert not report["allowed"] and report["endpoints"][0]["address"].endswith(":8080")
    table = mesh.one.ztun("why", "default/client", f"{VIP}:80", "--all-endpoints", check=False)
    assert table.returncode == 1 and "ENDPOINT" in table.stdout and "network_policy_denied" in table.stdout
    # Of a pod there is one.
    (row,) = why(mesh.one, "default/client", "default/server:8080", "--all-endpoints")["endpoints"]
    assert row["allowed"] and row["name"] == "default/server"


def test_the_routes_of_a_waypoint(mesh):
    """The same matcher that live requests meet: rule, backend, 404; without a request it says that there are routes."""
    name = {"gateway.networking.k8s.io/gateway-name": "wp"}
    waypoint, other = mesh.second.pod("wp-1", 20, account="wp"), mesh.second.pod("other", 11)
    mesh.manifests.pod(waypoint, labels=name)
    mesh.manifests.pod(other, ports={"http": 8080})
    mesh.manifests.service("wp", ["10.96.61.20"], [{"name": "mesh", "port": 15008}], selector=name, labels=name)
    mesh.manifests.service("other", ["10.96.61.21"], [{"name": "http", "port": 80, "targetPort": 8080}])
    mesh.manifests.add(
        "gateway.yaml", "Gateway", "wp", api="gateway.networking.k8s.io/v1",
        spec={"gatewayClassName": "istio-waypoint", "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]})
    mesh.manifests.files["services.yaml"][0]["metadata"]["labels"] = {"istio.io/use-waypoint": "wp"}
    mesh.manifests.add("routes.yaml", "HTTPRoute", "server", api="gateway.networking.k8s.io/v1", spec={
        "parentRefs": [{"group": "", "kind": "Service", "name": "server"}], "rules": [
            {"name": "beta", "matches": [{"path": {"value": "/shop"}, "headers": [{"name": "x-user", "value": "tester"}]}],
             "backendRefs": [{"name": "other", "port": 80}]},
            {"name": "split", "matches": [{"path": {"value": "/shop"}}],
             "backendRefs": [{"name": "other", "port": 80, "weight": 1}, {"name": "server", "port": 80, "weight": 3}]}]})
    mesh.manifests.network_policy("other", {"podSelector": {"matchLabels": {"app": "other"}}, "ingress": []})
    mesh.manifests.write()
    loaded = lambda state: state["routes"] == 1 and state["lastError"] == "" and state["services"] == 3
    wait_for(lambda: loaded(mesh.one.status()["state"]), "loaded")
    steps = lambda report: [step["text"] for step in report["steps"] if step["stage"] == "route"]
    report = why(mesh.one, "default/client", f"{VIP}:80", "--header", "X-User: tester", "--http", "GET", "/x/../shop/1?q")
    assert steps(report) == ["beta matches", "default/other.default.svc.cluster.local:80 chosen"], report
    assert (report["reason"], report["refusedAt"], report["policy"]) == ("network_policy_denied", "waypoint", ""), report
    report = why(mesh.one, "default/client", f"{VIP}:80", "--http", "GET", "/nothing")
    assert (report["allowed"], report["reason"]) == (False, "route_not_found") and steps(report)[-1] == "no rule matches"
    report = why(mesh.one, "default/client", f"{VIP}:80")
    assert any("--http METHOD PATH" in note for note in report["notes"])
    report = why(mesh.one, "default/client", f"{VIP}:80", "--all-endpoints", "--http", "GET", "/shop")
    rows = {row["name"]: (row["backend"], row["allowed"]) for row in report["endpoints"]}
    assert rows == {
        "default/other": ("default/other.default.svc.cluster.local:80", False),
        "default/server": ("default/server.default.svc.cluster.local:80", True)}, report
    for arguments in (["--http", "GET"], ["--http", "GET", "shop"], ["--header", "a: b"], ["--http", "GET", "/", "--header", "nonsense"]):
        assert mesh.one.ztun("why", "default/client", f"{VIP}:80", *arguments, check=False).returncode == 2, arguments
