"""`ztun policy diff` names exactly the connections that the edit then cuts, and the classes whose next connection gets another verdict."""
import contextlib
import json
import subprocess

import pytest
import yaml

from support.programs import program
from support.waiting import wait_for

from .conftest import VIP
from .test_api import api_stage


def policy(kind, name, spec, api="security.istio.io/v1", namespace="default"):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def authorization(name, **spec):
    return policy("AuthorizationPolicy", name, {"selector": {"matchLabels": {"app": "server"}}, **spec})


def network_policy(name, app, **spec):
    return policy("NetworkPolicy", name, {"podSelector": {"matchLabels": {"app": app}}, **spec}, "networking.k8s.io/v1")


def pods(*names):
    return [{"podSelector": {"matchLabels": {"app": name}}} for name in names]


EDITS = {
    "deny one caller one port": [authorization(
        "no-client-7000", action="DENY", rules=[{
            "from": [{"source": {"serviceAccounts": ["default/client"]}}], "to": [{"operation": {"ports": ["7000"]}}]}])],
    "allow one caller": [authorization("client-only", rules=[{"from": [{"source": {"serviceAccounts": ["default/client"]}}]}])],
    "strict": [policy("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}})],
    "ingress by pod": [network_policy("web", "server", ingress=[{"from": pods("client", "outsider"), "ports": [{"port": 7000}]}])],
    "ingress by port": [network_policy("http", "server", ingress=[{"ports": [{"port": 8080}]}])],
    "egress": [network_policy("stranger", "stranger", policyTypes=["Egress"], egress=[{"to": pods("server"), "ports": [{"port": 8080}]}])],
    "nothing": [authorization("all", rules=[{}])],
}


class Held:
    """One open connection with its own address."""

    def __init__(self, pod, address, port):
        self.name, self.port = pod.name, port
        self.socket = pod.connect(address, port)
        self.address = "%s:%d" % self.socket.getsockname()[:2]
        self.lives()

    def lives(self):
        """Whether it still carries bytes; 8080 speaks HTTP."""
        try:
            self.socket.sendall(b"x" if self.port == 7000 else b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            return bool(self.socket.recv(65536))
        except OSError:
            return False


def diff(daemon, *arguments, code=0):
    result = daemon.ztun("policy", "diff", *arguments, "-o", "json", check=False)
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    return json.loads(result.stdout) if result.stdout else result.stderr


def opened(report, **wanted):
    return [
        one for one in report["changes"]
        if one["kind"] == "open" and all(one[key] == value for key, value in wanted.items())]


@pytest.mark.root
@pytest.mark.parametrize("edit", EDITS)
def test_the_diff_names_what_the_edit_cuts(mesh, tmp_path, edit):
    path = tmp_path / "edit.yaml"
    path.write_text(yaml.safe_dump_all(EDITS[edit]))
    with contextlib.ExitStack() as stack:
        held = []
        for pod in (mesh.client, mesh.stranger, mesh.outsider):
            for port in (7000, 8080):
                held.append(Held(pod, mesh.server.ipv4, port))
                stack.callback(held[-1].socket.close)
        held.append(Held(mesh.stranger, VIP, 7000))
        stack.callback(held[-1].socket.close)
        here = wait_for(lambda: (one := diff(mesh.one, path))["openConnections"] == 5 and one, "all are open at the source")
        there = diff(mesh.two, path)
        assert there["openConnections"] == 7
        # A caller in the mesh by its own address, at its own node; one outside it where it arrives.
        told = {one["sourceAddress"] for one in opened(here)} | {one["sourceAddress"] for one in opened(there, mutual=False)}
        assert all(one["cut"] for one in opened(here) + opened(there))
        assert all(not one["after"]["allowed"] and one["before"]["allowed"] for one in opened(here) + opened(there))
        # What the destination's node is to cut, it tells as well; there all in a tunnel have the tunnel's address.
        far = [one for one in opened(here) if one["after"]["place"] == "destination node"]
        assert len(far) == len(opened(there, mutual=True))
        decided = {one["after"]["decidedBy"] for one in opened(here) + opened(there)}
        assert all(text.split()[0] in ("AuthorizationPolicy", "NetworkPolicy", "PeerAuthentication:", "no") for text in decided)
        before = [daemon.status()["state"]["generation"] for daemon in (mesh.one, mesh.two)]

        mesh.manifests.write_text("zz-edit.yaml", path.read_text())
        wait_for(
            lambda: all(
                daemon.status()["state"]["generation"] > old for daemon, old in zip((mesh.one, mesh.two), before)),
            "the edit is in force")
        cut = {one.address for one in held if not one.lives()}
        assert told == cut, edit
        assert bool(cut) == (edit != "nothing")
        assert any(one.name in ("client", "stranger") and one.lives() for one in held)
        # In force it changes nothing any more.
        assert not diff(mesh.one, path, "--exit-code")["changes"] and not diff(mesh.two, path, "--exit-code")["changes"]


@pytest.mark.root
def test_classes_of_the_last_day(mesh, tmp_path):
    """Nothing is open: the journal tells whose next connection will get another verdict, both ways."""
    for pod in (mesh.client, mesh.stranger, mesh.outsider):
        pod.curl(f"http://{mesh.server.ipv4}:8080/", check=True)
    edit = tmp_path / "edit.yaml"
    edit.write_text(yaml.safe_dump_all(EDITS["allow one caller"]))

    def changes():
        report = diff(mesh.two, edit, "--exit-code", code=1)
        assert report["openConnections"] == 0
        return {one["source"]: one for one in report["changes"]} if report["classes"] == 3 else None

    classes = wait_for(changes, "three classes are known")
    assert classes.keys() == {"default/stranger", "default/outsider"}
    for one in classes.values():
        assert (one["kind"], one["destination"], one["port"], one["connections"]) == ("class", "default/server", 8080, 1)
        assert one["before"]["allowed"] and one["after"]["reason"] == "policy_not_allowed"
    assert classes["default/stranger"]["mutual"] and not classes["default/outsider"]["mutual"]
    at_source = wait_for(lambda: diff(mesh.one, edit)["changes"], "the source's node tells of its own")
    assert [one["source"] for one in at_source] == ["default/stranger"]
    assert at_source[0]["after"]["place"] == "destination node"
    table = mesh.two.ztun("policy", "diff", edit).stdout
    assert "refused (policy_not_allowed)" in table and "2 of 3 classes" in table

    # Live traffic gets what was told.
    mesh.manifests.write_text("zz-edit.yaml", edit.read_text())
    wait_for(lambda: mesh.stranger.curl(f"http://{mesh.server.ipv4}:8080/").returncode, "in force")
    assert mesh.client.curl(f"http://{mesh.server.ipv4}:8080/").returncode == 0
    assert mesh.outsider.curl(f"http://{mesh.server.ipv4}:8080/").returncode

    # And back: without the policies in force, those that are refused now are let in.
    empty = tmp_path / "empty.yaml"
    empty.write_text(yaml.safe_dump_all(EDITS["nothing"]))
    report = wait_for(
        lambda: (one := diff(mesh.two, "--replace", empty))["changes"] and one, "the refused classes would be allowed")
    assert {one["source"] for one in report["changes"]} == {"default/stranger", "default/outsider"}
    assert all(not one["before"]["allowed"] and one["after"]["allowed"] for one in report["changes"])
    on_top = diff(mesh.two, empty)["changes"]
    assert {one["after"]["decidedBy"] for one in on_top} == {"AuthorizationPolicy default/all"}


@pytest.mark.root
def test_over_the_kubernetes_api(tmp_path):
    """The objects of an API server in the place of a folder: the diff, the edit, and what is left without it."""
    edit = tmp_path / "edit.yaml"
    edit.write_text(yaml.safe_dump_all(EDITS["allow one caller"]))
    with api_stage(tmp_path) as mesh:
        mesh.start()
        wait_for(lambda: mesh.client.curl(f"http://{VIP}/").returncode == 0, "the service answers", 20)
        with contextlib.closing(Held(mesh.client, mesh.server.ipv4, 7000).socket), \
                contextlib.closing((held := Held(mesh.stranger, mesh.server.ipv4, 7000)).socket):
            here = wait_for(lambda: opened(diff(mesh.one, edit)), "the diff knows it")
            assert [one["sourceAddress"] for one in here] == [held.address]
            mesh.manifests.files["zz-edit.yaml"] = EDITS["allow one caller"]
            mesh.publish()
            wait_for(lambda: not held.lives(), "the edit cuts it")
        wait_for(lambda: mesh.stranger.curl(f"http://{VIP}/").returncode, "it is refused")
        empty = tmp_path / "nothing.yaml"
        empty.write_text("")
        after = wait_for(lambda: diff(mesh.two, "--replace", empty)["changes"], "without policies it would be allowed")
        assert {one["source"] for one in after} == {"default/stranger"} and all(one["after"]["allowed"] for one in after)


@pytest.mark.root
def test_what_cannot_be_compared_is_said(mesh, tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(policy("AuthorizationPolicy", "x", {"acton": "DENY"})).replace("acton: DENY", "action: [1"))
    assert "broken.yaml" in diff(mesh.two, broken, code=1)
    assert "cannot be read" in diff(mesh.two, tmp_path / "none.yaml", code=2)
    mesh.two.stop()
    state = tmp_path / "state.yaml"
    state.write_text("workloads: []\n")
    daemon = mesh.start_ztund(mesh.second, [], state=state)
    fine = tmp_path / "fine.yaml"
    fine.write_text(yaml.safe_dump_all(EDITS["nothing"]))
    assert "runs from a state file" in diff(daemon, fine, code=1)


@pytest.mark.parametrize("arguments, code", [([], 2), (["--replace"], 2), (["FILE"], 3), (["/nowhere/x"], 2)])
def test_wrong_usage_and_nobody_there(tmp_path, arguments, code):
    path = tmp_path / "x.yaml"
    path.write_text("")
    arguments = [str(path) if one == "FILE" else one for one in arguments]
    result = subprocess.run(
        [program("ztun"), "policy", "diff", *arguments, "--run-dir", str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert result.returncode == code and result.stderr and not result.stdout
