"""The CNI plugin, driven as a container runtime drives it: environment, standard input, a network namespace."""
import json
import os
import shutil
import subprocess
import threading

import pytest

from Netns.conftest import stage
from support.capture import capture_of, pod_traces
from support.netns import Pod
from support.programs import program
from support.waiting import wait_for

pytestmark = pytest.mark.root

RESULT = {
    "cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/x"}],
    "ips": [{"address": "10.61.1.40/32", "gateway": "169.254.1.1", "interface": 0}], "dns": {}, "routes": [{"dst": "0.0.0.0/0"}],
    "made/by": "the plugin before", "number": 18446744073709551615, "fraction": 0.5,
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with stage(tmp_path_factory.mktemp("cni")) as mesh:
        mesh.one = mesh.start_ztund(mesh.first, [])
        mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
        mesh.plugin = mesh.folder / "ztun-cni"
        shutil.copy(program("ztun"), mesh.plugin)
        yield mesh


@pytest.fixture
def pod(mesh):
    """A pod whose network is made and that nobody has started yet."""
    pod = Pod(mesh.first, "starting", 40).up()
    try:
        yield pod
    finally:
        try:
            mesh.one.ztun("pod", "remove", "default/starting", check=False)
            wait_for(lambda: mesh.one.pod_status(pod) is None, "the pod is gone", 30)
        finally:
            pod.down()


class Answer:
    def __init__(self, result):
        self.code, self.text, self.log = result.returncode, result.stdout, result.stderr

    @property
    def document(self):
        return json.loads(self.text)


def call(mesh, command, pod=None, version="1.0.0", configuration=None, raw=None, **environment):
    """One call of the plugin. Names in capitals change its environment; None takes a variable out."""
    variables = {"CNI_COMMAND": command, "CNI_CONTAINERID": "c0ffee", "CNI_IFNAME": "eth0", "CNI_PATH": str(mesh.folder)}
    if pod:
        variables |= {
            "CNI_NETNS": pod.path,
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE={pod.namespace};K8S_POD_NAME={pod.name};K8S_POD_UID=1-2",
        }
    variables = {key: value for key, value in {**variables, **environment}.items() if value is not None}
    keys = {
        "cniVersion": version, "name": "net", "type": "ztun-cni", "runDir": str(mesh.one.run_dir), "timeoutSeconds": 20,
        "prevResult": {**RESULT, "cniVersion": version}, **(configuration or {}),
    }
    keys = {key: value for key, value in keys.items() if value is not None}
    return Answer(subprocess.run(
        [mesh.plugin], env=variables, input=json.dumps(keys) if raw is None else raw, capture_output=True, text=True, timeout=60))


def test_add_holds_the_pod_until_it_is_captured(mesh, pod):
    before = pod_traces(pod)
    answer = call(mesh, "ADD", pod)
    assert answer.code == 0, answer.text + answer.log
    assert answer.document == RESULT, "the result of the plugins before is passed on as it is"
    assert mesh.one.pod_status(pod)["state"] == "captured"
    assert capture_of(pod)
    assert call(mesh, "CHECK", pod).code == 0
    assert call(mesh, "ADD", pod).code == 0, "asked again, it is there already"
    gone = call(mesh, "DEL", pod)
    assert (gone.code, gone.text) == (0, "")
    assert mesh.one.pod_status(pod) is None and pod_traces(pod) == before
    assert call(mesh, "DEL", pod).code == 0, "and again"
    missing = call(mesh, "CHECK", pod)
    assert missing.code == 1 and missing.document["code"] == 100


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.1.0"])
def test_versions_of_the_specification(mesh, pod, version):
    answer = call(mesh, "ADD", pod, version=version)
    assert answer.code == 0 and answer.document == {**RESULT, "cniVersion": version}
    assert call(mesh, "DEL", pod, version=version).code == 0


def test_version_is_told(mesh):
    answer = call(mesh, "VERSION", raw='{"cniVersion": "1.0.0"}')
    assert answer.code == 0
    assert answer.document["cniVersion"] == "1.0.0" and {"0.4.0", "1.0.0"} <= set(answer.document["supportedVersions"])
    assert call(mesh, "STATUS", version="1.1.0").code == 0
    assert call(mesh, "GC", version="1.1.0").code == 0


@pytest.mark.parametrize(
    "changes, code, words",
    [
        ({"version": "0.2.0"}, 1, "0.2.0"),
        ({"raw": "{"}, 6, "JSON"),
        ({"raw": ""}, 6, "JSON"),
        ({"raw": "[1]"}, 6, "JSON"),
        ({"raw": '{"name": "x"}'}, 7, "cniVersion"),
        ({"configuration": {"prevResult": None}}, 7, "prevResult"),
        ({"configuration": {"runDir": 5}}, 7, "runDir"),
        ({"configuration": {"timeoutSeconds": 0}}, 7, "timeoutSeconds"),
        ({"configuration": {"excludeNamespaces": "kube-system"}}, 7, "excludeNamespaces"),
        ({"CNI_NETNS": None}, 4, "CNI_NETNS"),
        ({"CNI_NETNS": "relative"}, 4, "CNI_NETNS"),
        ({"CNI_COMMAND": None}, 4, "CNI_COMMAND"),
        ({"CNI_COMMAND": "PLAY"}, 4, "PLAY"),
        ({"CNI_ARGS": "K8S_POD_NAMESPACE=a/../b;K8S_POD_NAME=x"}, 4, "K8S_POD_NAME"),
    ])
def test_wrong_calls_get_the_errors_of_the_specification(mesh, pod, changes, code, words):
    answer = call(mesh, "ADD", pod, **changes)
    assert answer.code == 1 and answer.document["code"] == code, answer.text
    assert words in answer.document["msg"] and answer.document["cniVersion"]
    assert mesh.one.pod_status(pod) is None


@pytest.mark.parametrize(
    "configuration, namespace",
    [
        ({}, "kube-system"), ({}, "ztun-system"), ({"excludeNamespaces": ["default"]}, "default"),
        ({"namespaces": ["shop"]}, "default"),
        ({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"istio.io/dataplane-mode": "none"}}}, "default"),
        ({"args": {"cni": {"labels": [{"key": "istio.io/dataplane-mode", "value": "none"}]}}}, "default"),
    ])
def test_the_exempt_are_passed_on_without_ztund(mesh, pod, configuration, namespace):
    pod.namespace = namespace
    answer = call(mesh, "ADD", pod, configuration={**configuration, "runDir": "/nonexistent"})
    assert answer.code == 0 and answer.document == RESULT
    assert call(mesh, "CHECK", pod, configuration={**configuration, "runDir": "/nonexistent"}).code == 0
    assert not capture_of(pod)
    pod.namespace = "default"


def test_an_annotation_takes_a_pod_in_that_its_namespace_leaves_out(mesh, pod):
    annotated = {"io.kubernetes.cri.pod-annotations": {"istio.io/dataplane-mode": "ambient"}}
    assert call(mesh, "ADD", pod, configuration={"namespaces": ["shop"], "runtimeConfig": annotated}).code == 0
    assert mesh.one.pod_status(pod)["state"] == "captured"


def test_what_is_no_kubernetes_pod_is_passed_on(mesh, pod):
    answer = call(mesh, "ADD", pod, CNI_ARGS="IgnoreUnknown=1")
    assert answer.code == 0 and answer.document == RESULT


def test_without_ztund_the_pod_does_not_start(mesh, pod):
    answer = call(mesh, "ADD", pod, configuration={"runDir": str(mesh.folder / "nobody"), "timeoutSeconds": 1})
    assert answer.code == 1 and answer.document["code"] == 11 and "ztund" in answer.document["msg"]
    assert call(mesh, "DEL", pod, configuration={"runDir": str(mesh.folder / "nobody")}).code == 0, "it can always go"
    status = call(mesh, "STATUS", version="1.1.0", configuration={"runDir": str(mesh.folder / "nobody")})
    assert status.code == 1 and status.document["code"] == 50


def test_a_pod_that_cannot_be_enrolled_does_not_start_and_is_forgotten(mesh, pod):
    """Its loopback interface is not up: ADD says so, and nothing of the pod stays at ztund."""
    pod.run("ip", "link", "set", "lo", "down")
    answer = call(mesh, "ADD", pod, configuration={"timeoutSeconds": 1})
    assert answer.code == 1 and answer.document["code"] == 11
    assert " lo " in answer.document["details"], answer.text
    assert mesh.one.pod_status(pod) is None


def test_add_waits_for_a_ztund_that_is_being_started(mesh, pod):
    """Killed when the runtime calls: the pod is held, and starts once ztund is back."""
    mesh.one.kill()
    answers = []
    caller = threading.Thread(target=lambda: answers.append(call(mesh, "ADD", pod, configuration={"timeoutSeconds": 60})))
    caller.start()
    try:
        mesh.one = mesh.start_ztund(mesh.first, [])
    finally:
        caller.join()
    assert answers[0].code == 0, answers[0].text
    assert mesh.one.pod_status(pod)["state"] == "captured"


def test_a_new_sandbox_under_an_old_name(mesh, pod):
    """The end of the first sandbox was never told; then it is told late, and must not take the new one out."""
    first = Pod(mesh.first, "starting-before", 41).up()
    first.name = pod.name
    assert call(mesh, "ADD", first).code == 0
    assert call(mesh, "ADD", pod).code == 0
    assert mesh.one.pod_status(pod)["netns"] == pod.path
    assert call(mesh, "DEL", first).code == 0
    assert call(mesh, "DEL", pod, CNI_NETNS="").code == 0
    assert mesh.one.pod_status(pod)["state"] == "captured"
    first.down()


def installed(folder, *arguments):
    return subprocess.run(
        [program("ztun"), "cni", *arguments, "--bin-dir", folder / "bin", "--conf-dir", folder / "net.d"],
        capture_output=True, text=True, timeout=60)


def test_install_puts_it_last_and_uninstall_takes_it_out(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "net.d").mkdir()
    without = installed(tmp_path, "install")
    assert without.returncode == 1 and "no network configuration" in without.stderr
    own = {"cniVersion": "0.3.1", "name": "net", "plugins": [{"type": "bridge", "mtu": 1450}, {"type": "portmap"}]}
    path = tmp_path / "net.d/10-net.conflist"
    path.write_text(json.dumps(own))
    (tmp_path / "net.d/99-other.conf").write_text("{}")
    for _ in range(2):
        done = installed(tmp_path, "install", "--run-dir", "/run/x", "--namespace", "shop")
        assert done.returncode == 0, done.stderr
        changed = json.loads(path.read_text())
        assert changed["plugins"][:2] == own["plugins"] and len(changed["plugins"]) == 3
        ours = changed["plugins"][2]
        assert (ours["type"], ours["runDir"], ours["namespaces"]) == ("ztun-cni", "/run/x", ["shop"])
        assert "ztun-system" in ours["excludeNamespaces"]
    assert os.access(tmp_path / "bin/ztun-cni", os.X_OK)
    assert installed(tmp_path, "uninstall").returncode == 0
    assert json.loads(path.read_text()) == own and list((tmp_path / "bin").iterdir()) == []
    assert sorted(p.name for p in (tmp_path / "net.d").iterdir()) == ["10-net.conflist", "99-other.conf"]
    assert "nothing was installed" in installed(tmp_path, "uninstall").stdout
