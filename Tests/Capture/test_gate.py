"""The boot gate: until a pod is enrolled, or let through, it opens and receives no TCP connection."""
import contextlib
import os
import shutil
import subprocess
import sys
import types

import pytest

import support.connector
from CNI.test_cni import RESULT, call
from support import netns
from support.capture import Cgroup, links, pins
from support.programs import program
from support.sniffer import Sniffer
from support.waiting import wait_for

from .conftest import arguments
from .test_without_daemon import connect, wait_until_served

pytestmark = pytest.mark.root

REFUSED = {"error": "EPERM"}
SERVER = """
import socket, sys
with socket.create_server(("::", 9090), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    print("up", flush=True)
    while True:
        connection, _ = listener.accept()
        connection.sendall(b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n{"server": "own", "peer": ""}')
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)
        connection.close()
"""


def gate(mesh, command, *more, node=None, check=True):
    """`ztun gate`, as on the node: in its network namespace, outside of the pods' cgroups."""
    result = subprocess.run(
        netns.enter((node or mesh.first).netns, program("ztun"), "gate", command, "--gate-dir", mesh.bpffs / "gate", *more),
        capture_output=True, text=True, timeout=60)
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture
def gated(bare):
    with contextlib.ExitStack() as stack:
        bare.outside = bare.world.outsider
        bare.outside.cgroup = stack.enter_context(Cgroup(bare.pods_cgroup, "outsider"))
        bare.before = links([], [bare.pods_cgroup])
        yield bare
        gate(bare, "remove", check=False)


def install(mesh, *more):
    # Both nodes of the stage share the pods' cgroup, so the second is let through as if it had a gate of its own.
    allowed = [pod.path for pod in (mesh.world.server, mesh.world.plain)]
    options = [part for path in [*allowed, f"/run/netns/{mesh.second.netns}"] for part in ("--allow", path)]
    return gate(mesh, "install", "--pod-cgroup", mesh.pods_cgroup.path, *options, *more)


def start(mesh, node, pods, *more):
    return mesh.start_ztund(node, pods, *arguments(mesh, node), "--gate-dir", mesh.bpffs / "gate", *more)


@contextlib.contextmanager
def server_in(pod):
    """An application of the pod's own cgroup on port 9090."""
    command = netns.enter(pod.netns, *pod.cgroup.enter(sys.executable, "-c", SERVER))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "up\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def reaches(source, address, seconds=0.5):
    with contextlib.suppress(OSError):
        source.connect(address, 9090, seconds).close()
        return True
    return False


def test_at_boot_no_pod_talks_before_it_is_enrolled(gated):
    """Class: the time between a pod's start and its ztund's."""
    mesh, world = gated, gated.world
    client, plain, server = world.client, world.plain, world.server
    said = install(mesh).stdout
    assert "stands before the pods" in said and "NOTE" not in said
    with Sniffer(mesh.first.netns, client.interface) as wire, server_in(client):
        # The node is up, ztund is not.
        assert connect(client, *server.ips, *plain.ips) == [REFUSED] * 4
        assert not reaches(plain, client.ipv4) and not reaches(plain, client.ipv6)
        assert [answer.get("server") for answer in connect(client, "127.0.0.1", "::1", port=9090)] == ["own", "own"]
        # What is of the node itself is not touched, also in a cgroup of the pods: hostNetwork.
        cases = '[{"name": "0", "how": "plain", "address": "%s", "port": 8080}]' % server.ipv4
        node = netns.run(mesh.first.netns, *client.cgroup.enter(sys.executable, support.connector.__file__, cases))
        assert '"server": "server"' in node.stdout, node.stdout
        status = gate(mesh, "status").stdout
        assert "refused until" in status and "dropped until" in status and str(mesh.pods_cgroup.path) in status
        assert wire.opened_from(client.ips) == []
        # ztund comes, and is killed, and comes again.
        mesh.two = start(mesh, mesh.second, world.second_pods)
        mesh.one = start(mesh, mesh.first, [client])
        wait_until_served(mesh)
        wait_for(lambda: reaches(plain, client.ipv4, 3), "the enrolled pod is reached")
        assert any("boot gate" in note for note in mesh.one.status()["notes"])
        # `denied` is not enrolled by this one.
        assert connect(world.denied, plain.ipv4) == [REFUSED]
        mesh.one.kill()
        assert connect(client, plain.ipv4)[0]["error"] in ("EPERM", "ECONNREFUSED")
        mesh.one = start(mesh, mesh.first, [client])
        wait_until_served(mesh)
        # An orderly end takes capture away, not the gate.
        assert mesh.one.stop() == 0
        assert connect(client, *server.ips) == [REFUSED] * 2
        assert not reaches(plain, client.ipv4)
        assert {port for _, port in wire.opened_from(client.ips)} <= {15008}, "in the clear"
    # Out: everything talks, nothing is left.
    assert "the gate is gone" in gate(mesh, "remove").stdout
    assert connect(client, server.ipv4)[0].get("server") == "server"
    assert gate(mesh, "status", check=False).returncode == 1
    assert "there was no gate" in gate(mesh, "remove").stdout
    assert mesh.two.stop() == 0
    assert links([], [mesh.pods_cgroup]) == mesh.before and not pins(mesh.bpffs)


def test_who_is_let_through(gated):
    mesh, world = gated, gated.world
    client, denied, plain = world.client, world.denied, world.plain
    install(mesh, "--exempt-cgroup", denied.cgroup.path)
    assert connect(denied, plain.ipv4)[0].get("server") == "plain"
    assert connect(client, plain.ipv4) == [REFUSED]
    with server_in(denied), server_in(client):
        assert reaches(plain, denied.ipv4, 3) and not reaches(plain, client.ipv4)
        gate(mesh, "allow", client.path)
        assert reaches(plain, client.ipv4, 3)
    assert connect(client, *plain.ips)[1].get("server") == "plain"
    # Installing again keeps them.
    install(mesh)
    assert connect(client, plain.ipv4)[0].get("server") == "plain"
    status = gate(mesh, "status").stdout
    assert "by hand" in status and f"exempt      {denied.cgroup.path}" in status
    refused = gate(mesh, "allow", "/run/netns/none-such", check=False)
    assert refused.returncode != 0 and "ENOENT" in refused.stderr


def test_pods_outside_of_the_mesh_are_let_through_by_the_state(gated, tmp_path):
    mesh, world = gated, gated.world
    outside, plain = mesh.outside, world.plain
    folder = tmp_path / "netns"
    folder.mkdir()
    for pod in (world.client, outside):
        os.symlink(pod.path, folder / pod.name)
    install(mesh)
    assert connect(outside, plain.ipv4) == [REFUSED]
    mesh.one = start(mesh, mesh.first, [], "--discover", folder)
    wait_for(lambda: connect(outside, plain.ipv4)[0].get("server") == "plain", "the pod outside talks", 20)
    mesh.one.wait_for_pod(world.client, "captured", seconds=20)
    assert "1 outside of the mesh" in gate(mesh, "status").stdout


def test_a_gate_that_comes_later_spares_enrolled_pods(gated):
    mesh, world = gated, gated.world
    mesh.one = start(mesh, mesh.first, world.first_pods)
    mesh.two = start(mesh, mesh.second, world.second_pods)
    wait_until_served(mesh)
    install(mesh)
    wait_until_served(mesh)
    assert connect(mesh.outside, world.plain.ipv4) == [REFUSED]
    # Taken out by hand, a pod talks in the clear: somebody wanted that.
    mesh.one.ztun("pod", "remove", "default/denied")
    assert connect(world.denied, world.plain.ipv4)[0].get("server") == "plain"


def test_a_gate_may_open_by_itself(gated):
    mesh, world = gated, gated.world
    install(mesh, "--open-after", "1")
    wait_for(lambda: connect(world.client, world.plain.ipv4)[0].get("server") == "plain", "its time is over", 20)
    status = gate(mesh, "status", check=False)
    assert status.returncode == 1 and "HAS OPENED" in status.stdout


@pytest.mark.parametrize("cgroup, why", [("/proc", "cgroup"), ("/none/such/place", "cannot make the cgroup")])
def test_a_gate_that_cannot_stand_leaves_nothing(gated, cgroup, why):
    refused = gate(gated, "install", "--pod-cgroup", cgroup, check=False)
    assert refused.returncode != 0 and why in refused.stderr
    assert not pins(gated.bpffs)
    elsewhere = subprocess.run(
        [program("ztund"), "gate", "install", "--pod-cgroup", gated.pods_cgroup.path, "--gate-dir", gated.folder / "gate"],
        capture_output=True, text=True)
    assert elsewhere.returncode != 0 and "mount a BPF file system" in elsewhere.stderr
    assert not (gated.folder / "gate").exists()
    assert links([], [gated.pods_cgroup]) == gated.before


def test_the_cni_plugin_lets_through_whom_it_leaves_alone(gated, tmp_path):
    """Cluster DNS and its like start before any ztund: nobody enrols them, and the gate must not hold them for ever."""
    install(gated)
    pod, plain = gated.outside, gated.world.plain
    plugin = shutil.copy(program("ztun"), tmp_path / "ztun-cni")
    runtime = types.SimpleNamespace(folder=tmp_path, plugin=plugin, one=types.SimpleNamespace(run_dir=tmp_path / "nobody"))
    here = {"PATH": os.path.dirname(program("ztund"))}
    keys = {"gateDir": str(gated.bpffs / "gate"), "timeoutSeconds": 1}
    assert connect(pod, plain.ipv4) == [REFUSED]
    # One of the mesh waits for ztund, and stays closed.
    answer = call(runtime, "ADD", pod, configuration=keys, **here)
    assert answer.code == 1 and answer.document["code"] == 11
    assert connect(pod, plain.ipv4) == [REFUSED]
    left_alone = {**keys, "excludeNamespaces": [pod.namespace]}
    answer = call(runtime, "ADD", pod, configuration=left_alone, PATH="/nonexistent")
    assert answer.code == 1 and "boot gate" in answer.document["msg"] and "PATH" in answer.document["details"]
    answer = call(runtime, "ADD", pod, configuration=left_alone, **here)
    assert answer.code == 0 and answer.document == RESULT, answer.text + answer.log
    assert connect(pod, plain.ipv4)[0].get("server") == "plain"
    assert connect(gated.world.client, plain.ipv4) == [REFUSED]
    # Without a gate there is nobody to tell.
    gate(gated, "remove")
    assert call(runtime, "ADD", pod, configuration=left_alone, PATH="/nonexistent").code == 0
