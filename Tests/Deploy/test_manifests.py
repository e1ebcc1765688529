"""The manifests are valid against the schemas of Kubernetes and agree with each other and with the programs."""
import pathlib
import re
import subprocess

import pytest
import yaml
import kubernetes_validate

from support.programs import ROOT, program

FILES = sorted((ROOT / "deploy").glob("*.yaml"))
DOCUMENTS = [
    pytest.param(document, id=f"{path.name}-{document['kind']}-{document['metadata']['name']}")
    for path in FILES
    for document in yaml.safe_load_all(path.read_text())
]


DEMO = [
    pytest.param(document, id=f"{path.name}-{document['kind']}-{document['metadata']['name']}")
    for path in sorted((ROOT / "deploy/demo").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    # The schemas are those of Kubernetes itself.
    if document["apiVersion"] in ("v1", "networking.k8s.io/v1")
]


@pytest.mark.parametrize("document", DEMO)
def test_schema_of_the_demo(document):
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_demo_needs_no_word():
    """`ztun lint` has nothing to say of its folder: no faults, no name that leads nowhere."""
    result = subprocess.run([program("ztun"), "lint", ROOT / "deploy/demo"], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0 and "0 errors, 0 warnings" in result.stdout, result.stdout + result.stderr


def documents(kind):
    return [parameter.values[0] for parameter in DOCUMENTS if parameter.values[0]["kind"] == kind]


def test_there_is_something_to_check():
    assert len(DOCUMENTS) >= 10


@pytest.mark.parametrize("document", DOCUMENTS)
def test_schema(document):
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_a_wrong_manifest_is_noticed():
    wrong = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "x"}, "spec": {"template": 7}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_mounts_have_volumes(document):
    if document["kind"] not in ("DaemonSet", "Deployment"):
        return
    spec = document["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    for container in spec["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_policies_open_the_tunnel_port_beside_the_applications():
    for policy in documents("NetworkPolicy"):
        ports = {entry["port"] for rule in policy["spec"]["ingress"] for entry in rule["ports"]}
        assert 15008 in ports or policy["metadata"]["name"] == "ztund"


def test_ztund_has_the_three_capabilities_and_no_more():
    (daemon,) = [document for document in documents("DaemonSet") if document["metadata"]["name"] == "ztund"]
    (container,) = daemon["spec"]["template"]["spec"]["containers"]
    context = container["securityContext"]
    assert not context["privileged"]
    assert sorted(context["capabilities"]["add"]) == ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"]
    assert "hostNetwork" not in daemon["spec"]["template"]["spec"]


def test_capture_by_bpf_finds_what_is_the_hosts():
    """Pins that outlive the pod, and the cgroups of all pods: a container sees others of its own (docs/capture.md)."""
    (daemon,) = [document for document in documents("DaemonSet") if document["metadata"]["name"] == "ztund"]
    spec = daemon["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for path, is_read_only in (("/sys/fs/bpf", False), ("/sys/fs/cgroup", True)):
        assert volumes[mounts[path]["name"]]["hostPath"] == {"path": path, "type": "Directory"}
        assert mounts[path].get("readOnly", False) == is_read_only and mounts[path]["mountPropagation"] == "HostToContainer"
    (config,) = [document for document in documents("ConfigMap") if document["metadata"]["name"] == "ztund"]
    assert yaml.safe_load(config["data"]["config.yaml"])["capture"] == "auto"


def test_the_image_has_what_the_programs_need():
    text = (ROOT / "deploy/Dockerfile").read_text()
    for package in ("libssl3t64", "libnghttp2-14", "libyaml-0-2", "libbpf1", "nftables"):
        assert package in text
    assert pathlib.Path(ROOT / "deploy/Dockerfile").read_text().count("trixie") == 2


def test_ztund_takes_the_configuration_of_the_daemonset(tmp_path):
    """The keys are right: what it complains of is that this is no cluster."""
    (config,) = [document for document in documents("ConfigMap") if document["metadata"]["name"] == "ztund"]
    text = config["data"]["config.yaml"].replace("/run/ztun", str(tmp_path / "run"))
    (tmp_path / "config.yaml").write_text(text)
    result = subprocess.run(
        [program("ztund"), "run", "--config", tmp_path / "config.yaml", "--admin-address", "127.0.0.1:0",
         "--metrics-address", "127.0.0.1:0", "--readiness-address", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=20)
    assert result.returncode != 0
    assert "KUBERNETES_SERVICE_HOST is not set" in result.stderr, result.stderr


def test_the_role_is_what_is_read_and_no_more():
    """Every kind that is listed may be listed and watched; nothing may be written, and no Secret read."""
    (role,) = [document for document in documents("ClusterRole") if document["metadata"]["name"] == "ztun-mesh-reader"]
    granted = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                granted[f"{group}/{resource}"] = set(rule["verbs"])
    assert all(verbs == {"list", "watch"} for verbs in granted.values())
    source = (ROOT / "Sources/ControlPlane/KubernetesAPI/WatchedKind.swift").read_text()
    read = {f"{group}/{plural}" for group, plural in
            re.findall(r'WatchedKind\(\s*"([^"]*)", \[[^]]*\], "[^"]+", "([^"]+)"', source)}
    assert len(read) >= 12 and read <= set(granted), read - set(granted)
    (config,) = [rule for rule in role["rules"] if "configmaps" in rule["resources"]]
    assert config["resourceNames"] == ["istio"]


def test_an_update_surges_and_takes_over():
    """The new pod must start beside the old one, meet it in the host's run directory, and not be started again by mistake."""
    (daemon,) = [document for document in documents("DaemonSet") if document["metadata"]["name"] == "ztund"]
    assert daemon["spec"]["updateStrategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    spec = daemon["spec"]["template"]["spec"]
    assert next(v for v in spec["volumes"] if v["name"] == "run")["hostPath"]["path"] == "/run/ztun"
    (config,) = [document for document in documents("ConfigMap") if document["metadata"]["name"] == "ztund"]
    settings = yaml.safe_load(config["data"]["config.yaml"])
    assert (settings["replace"], settings["whenReplaced"], settings["runDir"]) == (True, "wait", "/run/ztun")
