"""Who reaches an application past the mesh: what the node's agent opens from an address of the node, and nobody else."""
import json
import sys

import pytest

import support.connector
from support.capture import Cgroup
from support.netns import run
from support.waiting import wait_for

from .conftest import arguments, stage

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=["bpf", "bpf-rewrite", "bpf-route", "nft"])
def mesh(request, tmp_path_factory):
    with stage(tmp_path_factory.mktemp("probes"), request.param) as mesh, Cgroup(mesh.tree, "kubelet") as kubelet, \
            Cgroup(mesh.tree, "system") as system:
        mesh.kubelet, mesh.system = kubelet, system
        mesh.two = mesh.start_ztund(
            mesh.second, mesh.world.second_pods, *arguments(mesh, mesh.second), "--probe-cgroup", kubelet.path)
        yield mesh


def connect(mesh, namespace, cgroup, address):
    case = {"name": "it", "how": "plain", "address": address, "port": 8080}
    command = [sys.executable, support.connector.__file__, json.dumps([case])]
    return json.loads(run(namespace, *cgroup.enter(*command)).stdout)["it"]


def went_through_ztund(mesh, result):
    ip, port = result["local"]
    source = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    return bool(mesh.two.lines("access", f"src.addr={source} "))


def settle(mesh):
    """A connection that is logged, after which those before it would have been logged too."""
    result = connect(mesh, mesh.second.netns, mesh.system, mesh.world.server.ipv4)
    wait_for(lambda: went_through_ztund(mesh, result), "the node logs it")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_probe_of_the_agent_reaches_the_application_directly(mesh, family):
    result = connect(mesh, mesh.second.netns, mesh.kubelet, getattr(mesh.world.server, family))
    assert result["server"] == "server" and result["peer"] == getattr(mesh.second, family), result
    if mesh.mode == "nft":
        # Rules see addresses and no cgroups: a probe is captured as everything else (docs/capture.md).
        wait_for(lambda: went_through_ztund(mesh, result), "the node logs it")
        return
    settle(mesh)
    assert not went_through_ztund(mesh, result)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_another_process_of_the_node_is_captured(mesh, family):
    """Class: an address taken for proof of who opens a connection."""
    result = connect(mesh, mesh.second.netns, mesh.system, getattr(mesh.world.server, family))
    assert result["server"] == "server", result
    wait_for(lambda: went_through_ztund(mesh, result), "the node logs it")


def test_the_agents_cgroup_from_an_address_that_is_not_the_nodes_is_captured(mesh):
    result = connect(mesh, mesh.world.outsider.netns, mesh.kubelet, mesh.world.server.ipv4)
    assert result["server"] == "server", result
    wait_for(lambda: went_through_ztund(mesh, result), "the node logs it")


def test_client_behind_the_nodes_address_is_captured(mesh):
    """A NodePort client: the node translates its address into its own."""
    second, server = mesh.second, mesh.world.server
    second.run(
        "nft", "-f", "-", input=f"table ip zt_snat {{ chain post {{ type nat hook postrouting priority 100\n"
        f"ip daddr {server.ipv4} ip saddr {mesh.world.outsider.ipv4} snat to {second.ipv4}\n}}\n}}\n")
    try:
        result = connect(mesh, mesh.world.outsider.netns, mesh.system, server.ipv4)
    finally:
        second.run("nft", "delete", "table", "ip", "zt_snat")
    assert result["server"] == "server" and result["peer"] == second.ipv4, result
    wait_for(lambda: mesh.two.lines("access", f"src.addr={second.ipv4}:{result['local'][1]} "), "the node logs it")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_probes_pass_while_ztund_is_away(mesh, family):
    if mesh.mode == "nft":
        pytest.skip("nft knows a probe by its address alone, which --probe-source names")
    address = getattr(mesh.world.server, family)
    mesh.two.kill()
    try:
        assert connect(mesh, mesh.second.netns, mesh.kubelet, address).get("server") == "server"
        refusals = ["TimeoutError", "ECONNREFUSED"] if mesh.mode == "bpf-route" else ["ECONNREFUSED"]
        assert connect(mesh, mesh.second.netns, mesh.system, address).get("error") in refusals
    finally:
        mesh.two = mesh.start_ztund(
            mesh.second, mesh.world.second_pods, *arguments(mesh, mesh.second), "--probe-cgroup", mesh.kubelet.path)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_host_network_pod_is_captured(mesh, family):
    """A program of a pod that has no namespace of its own comes from the node's address and a cgroup of the pods."""
    with Cgroup(mesh.pods_cgroup, "hostnetwork") as cgroup:
        result = connect(mesh, mesh.second.netns, cgroup, getattr(mesh.world.server, family))
    assert result["server"] == "server" and result["peer"] == getattr(mesh.second, family), result
    wait_for(lambda: went_through_ztund(mesh, result), "the node logs it")
