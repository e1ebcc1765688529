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
