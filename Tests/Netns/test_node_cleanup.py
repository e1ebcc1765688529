"""`ztun node cleanup` after a ztund that is gone without a word: nothing of it stays, and nothing else is touched."""
import pathlib
import subprocess

import pytest

from support.programs import program
from support.waiting import wait_for

# About rules; of BPF capture: Tests/Capture/test_cleanup.py and test_two_nodes.py.
pytestmark = [pytest.mark.root, pytest.mark.usefixtures("nft")]

SETTINGS = {
    "/proc/sys/net/ipv4/tcp_migrate_req": "0", "/proc/sys/net/ipv4/tcp_fwmark_accept": "0",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_loose": "1", "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal": "0",
}


def settings(pod):
    return {path: pod.run("cat", path, check=False).stdout.strip() or value for path, value in SETTINGS.items()}


def traces(pod):
    """Rules, routes, listeners and settings of a pod as text, without what every namespace has."""
    routing = [pod.run("ip", family, "rule").stdout for family in ("-4", "-6")]
    routes = [pod.run("ip", family, "route", "show", "table", "15008", check=False).stdout for family in ("-4", "-6")]
    return {
        "nft": pod.rules().strip(), "rules": [line for text in routing for line in text.splitlines() if "15008" in line],
        "routes": [line for text in routes for line in text.splitlines()], "settings": settings(pod),
    }


CLEAN = {"nft": "", "rules": [], "routes": [], "settings": SETTINGS}


def cleanup(name, run_dir, pods, *more):
    return subprocess.run(
        [program(name), "node", "cleanup", "--run-dir", run_dir, *[a for pod in pods for a in ("--netns", pod.path)], *more],
        capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", ["ztund", "ztun"])
def test_everything_of_a_dead_one_goes_and_nothing_else(own_mesh, name):
    mesh, pods = own_mesh, own_mesh.world.first_pods
    mesh.world.client.run("nft", "add", "table", "inet", "of_the_user")
    mesh.world.client.run("ip", "rule", "add", "pref", "100", "fwmark", "0x7", "lookup", "77")
    mesh.one.kill()
    assert all("15001" in pod.rules() and traces(pod)["rules"] for pod in pods), "they are closed without it"
    dry = cleanup(name, mesh.one.run_dir, pods, "--dry-run")
    assert dry.returncode == 0 and "would remove" in dry.stdout and "15001" in pods[0].rules()
    first = cleanup(name, mesh.one.run_dir, pods)
    assert first.returncode == 0, first.stdout + first.stderr
    for pod in pods:
        assert f"removed {pod.path}: nftables table inet ztun_capture" in first.stdout
        assert first.stdout.count(f"removed {pod.path}: IPv4 rule") == 1
        assert first.stdout.count(f"removed {pod.path}: IPv6 route") == 1
    assert mesh.world.client.rules().split() == ["table", "inet", "of_the_user", "{", "}"]
    assert "lookup 77" in mesh.world.client.run("ip", "rule").stdout
    mesh.world.client.run("nft", "delete", "table", "inet", "of_the_user")
    assert [traces(pod) for pod in pods] == [CLEAN, CLEAN]
    assert [path.name for path in pathlib.Path(mesh.one.run_dir).iterdir()] == []
    second = cleanup(name, mesh.one.run_dir, pods)
    assert (second.returncode, second.stdout) == (0, "nothing of ztund's was found\n")
    assert mesh.world.client.curl(f"http://{mesh.world.plain.ipv4}:8080/").returncode == 0, "the pods are free"


def test_a_live_one_is_left_alone_unless_forced(own_mesh):
    mesh, pods = own_mesh, own_mesh.world.first_pods
    refused = cleanup("ztun", mesh.one.run_dir, pods)
    assert refused.returncode != 0 and f"process {mesh.one.pid}" in refused.stderr
    # Another run directory does not hide that somebody serves the pods.
    elsewhere = cleanup("ztund", mesh.folder, pods)
    assert elsewhere.returncode == 0 and elsewhere.stdout.count("left alone") == 2, elsewhere.stdout
    assert all("15001" in pod.rules() for pod in pods)
    forced = cleanup("ztund", mesh.one.run_dir, pods, "--force")
    assert forced.returncode == 0 and "removed" in forced.stdout
    wait_for(lambda: all("15001" in pod.rules() for pod in pods), "the live one repairs its pods", 20)


def test_namespaces_are_found_by_name_and_by_process(own_mesh, tmp_path):
    """Nothing is changed here: it may look into every namespace of the machine."""
    mesh, pod = own_mesh, own_mesh.world.client
    mesh.one.kill()
    found = subprocess.run(
        [program("ztund"), "node", "cleanup", "--run-dir", tmp_path, "--bpf-dir", tmp_path / "none", "--dry-run"],
        capture_output=True, text=True, timeout=120)
    assert f"would remove {pod.path}: nftables table" in found.stdout, found.stdout + found.stderr


def test_a_path_that_is_no_namespace_is_a_failure(tmp_path):
    (tmp_path / "file").write_text("")
    result = subprocess.run(
        [program("ztund"), "node", "cleanup", "--run-dir", tmp_path, "--netns", tmp_path / "file"],
        capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and "FAILED" in result.stdout and "not a network namespace" in result.stdout
