"""A mesh from the Kubernetes API: the same world as from a folder, live edits, and an API server that fails in every way."""
import contextlib
import json
import threading

import pytest

from support.kubeapi import KubeAPI
from support.waiting import wait_for

from .conftest import VIP, VIP6, stage

pytestmark = pytest.mark.root

URL = f"http://{VIP}/"


def reaches(pod, url=URL):
    return pod.curl(url).returncode == 0


@contextlib.contextmanager
def api_stage(folder):
    """The usual world, with an API server on the loopback of both nodes in place of a folder."""
    with stage(folder) as mesh, KubeAPI(mesh.folder / "api") as api:
        mesh.api = api
        for node in (mesh.first, mesh.second):
            api.listen(node.netns)
        mesh.source_arguments = lambda: ["--kubeconfig", api.kubeconfig()]
        mesh.publish = lambda: api.sync(mesh.manifests)
        yield mesh


@pytest.fixture
def bare(tmp_path):
    with api_stage(tmp_path) as mesh:
        yield mesh


@pytest.fixture
def mesh(bare):
    bare.start()
    wait_for(lambda: reaches(bare.client), "the service answers", 20)
    return bare


def state(daemon):
    return daemon.status()["state"]


def test_the_same_world_as_from_a_folder(mesh):
    """Pod to pod by address and by both addresses of a service, through the tunnel; status says where it comes from."""
    for url in (f"http://{mesh.server.ipv4}:8080/", URL, f"http://[{VIP6}]/"):
        wait_for(lambda: reaches(mesh.client, url), url)
    assert mesh.wire[15008] >= 1 and mesh.wire[8080] == 0
    line = mesh.two.wait_for_line('direction="inbound"', 'src.identity="spiffe://cluster.local/ns/default/sa/client"')
    assert 'dst.service="server.default.svc.cluster.local"' in mesh.two.text(), line
    found = state(mesh.one)
    assert (found["kind"], found["workloads"], found["services"]) == ("kubernetes", 4, 1)
    assert found["source"] == "https://127.0.0.1:6443" and found["lastError"] == ""
    assert reaches(mesh.outsider, f"http://{mesh.server.ipv4}:8080/")


def test_live_edits(mesh):
    """Objects change, come and go; each is one event, nothing is listed again."""
    lists = mesh.api.count("endpointslices", "list")
    endpoint = mesh.manifests.files["slices.yaml"][0]["endpoints"][0]
    endpoint["conditions"]["ready"] = False
    mesh.publish()
    wait_for(lambda: not reaches(mesh.client), "an endpoint that is not ready gets nothing")
    endpoint["conditions"]["ready"] = True
    mesh.publish()
    wait_for(lambda: reaches(mesh.client), "it is ready again")
    mesh.manifests.authorization("closed", {"action": "DENY", "rules": [{"from": [{"source": {"principals": ["*"]}}]}]})
    mesh.publish()
    wait_for(lambda: not reaches(mesh.client), "a policy is in force")
    mesh.manifests.files.pop("policies.yaml")
    mesh.publish()
    wait_for(lambda: reaches(mesh.client), "and gone")
    mesh.api.delete("Service", "server")
    wait_for(lambda: state(mesh.one)["services"] == 0, "the service is gone")
    assert mesh.api.count("endpointslices", "list") == lists


def test_lists_in_pages_of_which_tokens_expire(bare):
    """Two objects a page; the first list's token is gone when it is used, and the list begins anew."""
    with bare.api.fault(verb="list", page=2), bare.api.fault("pods", "list", times=1, page=1) as first:
        expire = expire_token(bare.api, "pods")
        bare.start()
        expire.join(20)
        wait_for(lambda: reaches(bare.client), "the service answers", 20)
        assert state(bare.one)["workloads"] == 4
        assert first.hits == 1 and bare.api.count("pods", "list") >= 5


def expire_token(api, plural):
    """Forgets the first page's token as soon as it is given out."""
    def run():
        def given():
            with api.changed:
                if api.count(plural, "list") and api.pages:
                    api.pages.clear()
                    return True
            return False

        wait_for(given, "a token was given", 20, every=0.001)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


FAULTS = {
    "dropped": lambda api: api.drop_connections(),
    "expired": lambda api: api.compact(),
    "rubbish event": lambda api: api.inject("endpointslices", b"{]\n"),
    "not UTF-8": lambda api: api.inject("endpointslices", b'{"type": "ADDED", "object": {"a": "\xff"}}\n'),
    "wrong kind": lambda api: api.inject("endpointslices", json.dumps({
        "type": "MODIFIED", "object": {"kind": "Secret", "apiVersion": "v1", "metadata": {
            "name": "server-abcde", "namespace": "default", "resourceVersion": "999999"}}}).encode() + b"\n"),
    "no version": lambda api: api.inject("endpointslices", b'{"type": "BOOKMARK", "object": {"metadata": {}}}\n'),
    "unknown type": lambda api: api.inject("endpointslices", json.dumps({
        "type": "SPLIT", "object": {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": {
            "name": "server-abcde", "namespace": "default", "resourceVersion": "999999"}}}).encode() + b"\n"),
    "an error event": lambda api: api.inject(
        "endpointslices", b'{"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd\\u001b[2J"}}\n'),
    "stale version": lambda api: api.inject("endpointslices", json.dumps({
        "type": "DELETED", "object": {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": {
            "name": "server-abcde", "namespace": "default", "resourceVersion": "5"}}}).encode() + b"\n"),
}


def some(names, quick):
    """All of them, most only in the long run."""
    return [pytest.param(name, id=str(name), marks=() if name in quick else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", some(FAULTS, ["dropped", "expired", "rubbish event", "stale version"]))
def test_a_fault_of_the_watch_keeps_the_state_and_recovers(mesh, name):
    """Whatever a watch brings, connections keep working, and a change made afterwards arrives."""
    FAULTS[name](mesh.api)
    # What the fault may have broken would show now: the state must not have lost the slice.
    assert reaches(mesh.client)
    endpoint = mesh.manifests.files["slices.yaml"][0]["endpoints"][0]
    endpoint["conditions"]["ready"] = False
    mesh.publish()
    wait_for(lambda: not reaches(mesh.client), "a change arrives", 20)
    endpoint["conditions"]["ready"] = True
    mesh.publish()
    wait_for(lambda: reaches(mesh.client), "and the next", 20)
    wait_for(lambda: state(mesh.one)["lastError"] == "", "all is well")


LIST_FAULTS = {
    "500": {"status": 500},
    "429": {"status": 429, "retry_after": 1},
    "401": {"status": 401},
    "504": {"status": 504},
    "rubbish": {"rubbish": True},
    "closed": {"close": True},
    "truncated": {"truncate": True},
    "another kind": {"kind": "SecretList"},
}


@pytest.mark.parametrize("name", some(LIST_FAULTS, ["429", "truncated"]))
def test_a_fault_of_the_list_keeps_the_state_and_is_told(mesh, name):
    """While nothing can be listed, the last good state serves; the fault is told; what was missed comes with the next list."""
    with mesh.api.fault("pods", "list", **LIST_FAULTS[name]) as fault, mesh.api.fault("pods", "watch", status=410):
        mesh.api.drop_connections()
        wait_for(lambda: fault.hits and "Pod" in state(mesh.one)["lastError"], "it is told", 20)
        assert reaches(mesh.client), "the last good state serves"
        assert mesh.one.ztun("status", check=False).returncode == 1
        mesh.api.delete("Pod", "stranger", silently=True)
    wait_for(lambda: state(mesh.one)["workloads"] == 3, "a deletion that nobody told of shows in the list", 40)
    wait_for(lambda: state(mesh.one)["lastError"] == "", "all is well", 40)
    assert reaches(mesh.client)


def test_cut_and_repeated_events(mesh):
    """A connection cut within an event, events sent twice: the state is that of the server in the end."""
    endpoint = mesh.manifests.files["slices.yaml"][0]["endpoints"][0]
    with mesh.api.fault("endpointslices", "watch", cut=True, times=2), mesh.api.fault("endpointslices", "watch", twice=True):
        mesh.api.drop_connections()
        endpoint["conditions"]["ready"] = False
        mesh.publish()
        wait_for(lambda: not reaches(mesh.client), "the change arrives", 20)
        endpoint["conditions"]["ready"] = True
        mesh.publish()
        wait_for(lambda: reaches(mesh.client), "and the next", 20)


def test_token_rotation(mesh):
    """The token of the file is replaced and the old one refused: the next request carries the new one."""
    mesh.api.set_token("token-2", only=True)
    mesh.api.drop_connections()
    mesh.api.delete("Pod", "stranger")
    wait_for(lambda: state(mesh.one)["workloads"] == 3, "changes arrive with the new token", 20)
    # A server that forgets the token for a while: told, and tried again.
    mesh.api.tokens = {"token-3"}
    mesh.api.drop_connections()
    wait_for(lambda: "401" in state(mesh.one)["lastError"], "it is told", 20)
    assert reaches(mesh.client)
    mesh.api.set_token("token-3")
    wait_for(lambda: state(mesh.one)["lastError"] == "", "all is well", 40)


def test_nothing_is_served_before_every_kind_is_listed(bare):
    """A policy kind that may not be listed closes the start: no pod is taken in with half of the policies."""
    bare.api.forbidden = {"authorizationpolicies"}
    bare.manifests.authorization("closed", {"action": "DENY", "rules": [{"from": [{"source": {"principals": ["*"]}}]}]})
    bare.start_unready()
    found = wait_for(lambda: "AuthorizationPolicy" in state(bare.two)["lastError"] and state(bare.two), "it is told", 20)
    assert "403" in found["lastError"] and "is forbidden" in found["lastError"]
    assert found["generation"] == 0 and "nothing is served before all kinds are listed" in found["lastError"]
    assert not bare.two.is_ready()
    assert all(pod["state"] == "pending" for pod in bare.two.status()["pods"])


def test_kinds_that_the_cluster_does_not_serve(bare):
    """No Istio, no Gateway API: the mesh starts without them, and says so."""
    bare.api.served -= {"serviceentries", "workloadentries", "gateways", "peerauthentications"}
    bare.start()
    wait_for(lambda: reaches(bare.client), "the service answers", 20)
    notes = bare.one.status()["notes"]
    assert any("does not serve" in note and "Gateway" in note and "PeerAuthentication" in note for note in notes), notes
    assert state(bare.one)["lastError"] == ""


def test_one_bad_object_never_hides_the_others(mesh):
    """A policy that cannot be read closes what it may be for; a service that cannot stays as it was."""
    service = mesh.manifests.files["services.yaml"][0]
    service["spec"]["ports"][0]["port"] = "eighty"
    mesh.publish()
    found = wait_for(lambda: "spec.ports[0].port" in state(mesh.one)["lastError"] and state(mesh.one), "it is told")
    assert "Service default/server" in found["lastError"] and "expected a whole number" in found["lastError"]
    assert reaches(mesh.client), "the last good version serves"
    service["spec"]["ports"][0]["port"] = 80
    mesh.publish()
    wait_for(lambda: state(mesh.one)["lastError"] == "", "all is well")
    mesh.manifests.authorization("odd", {"action": "DENY", "rulez": []})
    mesh.publish()
    wait_for(
        lambda: not reaches(mesh.client) and "policy_unknown" in mesh.two.text(), "nobody knows what it forbids")
    mesh.api.delete("AuthorizationPolicy", "odd")
    wait_for(lambda: reaches(mesh.client), "it is gone")


def test_a_server_that_is_away_at_the_start(bare):
    """The daemon starts, says what it waits for, and begins when the server is there."""
    with bare.api.fault(close=True):
        bare.start_unready()
        wait_for(lambda: "Pod" in state(bare.one)["lastError"], "it is told", 20)
        assert not bare.one.is_ready()
    wait_for(lambda: reaches(bare.client), "the service answers", 60)
    wait_for(bare.one.is_ready, "ready", 20)


def test_an_endpoint_costs_no_recompilation(mesh):
    """An edit of a slice is compiled by itself: the log knows it as a part, with one workload."""
    before = state(mesh.one)["generation"]
    mesh.one.ztun("log", "--level", "state=debug")
    endpoint = mesh.manifests.files["slices.yaml"][0]["endpoints"][0]
    endpoint["conditions"]["ready"] = False
    mesh.publish()
    line = mesh.one.wait_for_line("state changed")
    assert "workloads=1" in line and "removed=0" in line, line
    assert mesh.one.text().count("state loaded") == 1
    assert state(mesh.one)["generation"] == before + 1
    mesh.api.delete("Pod", "stranger")
    mesh.one.wait_for_line("state changed", "removed=1")
    wait_for(lambda: state(mesh.one)["workloads"] == 3, "one less")


def conditions(api, plural, name):
    with api.changed:
        status = api.objects[plural][("default", name)].get("status", {})
        return {condition["type"]: condition for condition in status.get("conditions", [])}


def test_statuses_of_policies(bare):
    """With --write-status policies say whether they are in force as written; others' conditions stay; nothing is written twice."""
    rules = [{"to": [{"operation": {"methods": ["GET"]}}]}]
    bare.manifests.authorization("layer7", {"action": "ALLOW", "rules": rules})["status"] = {
        "conditions": [{"type": "ZtunnelAccepted", "status": "True"}]}
    bare.manifests.peer_authentication("default", {"mtls": {"mode": "PERMISSIVE"}})
    bare.start("--write-status")
    policy = wait_for(lambda: conditions(bare.api, "authorizationpolicies", "layer7").get("ZtunAccepted"), "it is written", 20)
    assert (policy["status"], policy["reason"]) == ("False", "UnsupportedValue") and "HTTP attributes" in policy["message"]
    assert "ZtunnelAccepted" in conditions(bare.api, "authorizationpolicies", "layer7")
    other = wait_for(lambda: conditions(bare.api, "peerauthentications", "default").get("ZtunAccepted"), "it is written", 20)
    assert (other["status"], other["reason"]) == ("True", "Accepted")
    # A change of the world is a round of the writer: what stands there is not written again.
    written = len(bare.api.patches)
    bare.api.delete("Pod", "stranger")
    wait_for(lambda: state(bare.one)["workloads"] == 3, "the pod is gone")
    bare.manifests.authorization("second", {"action": "DENY", "rules": []})
    bare.api.put(bare.manifests.files["policies.yaml"][-1])
    wait_for(lambda: "ZtunAccepted" in conditions(bare.api, "authorizationpolicies", "second"), "the next is written", 20)
    assert {(plural, name) for plural, _, name, _, _ in bare.api.patches[written:]} == {("authorizationpolicies", "second")}
    assert all(type == "application/merge-patch+json" for _, _, _, type, _ in bare.api.patches)
