"""Pods that come and go, and pods that cannot be enrolled: status says why, nothing stays half done."""
import json
import pathlib
import socket
import subprocess

import pytest

from support import netns
from support.capture import capture_of, pod_traces
from support.netns import Pod
from support.servers import HTTPServer
from support.waiting import wait_for

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True, params=["default", "nft"])
def capture(request, monkeypatch):
    """All of this in the mode that is chosen by itself, and with rules."""
    if request.param == "nft":
        monkeypatch.setattr("support.capture.mode", "nft")


only_nft = pytest.mark.parametrize("capture", ["nft"], indirect=True)


def reaches(mesh, source, target, port=8080):
    result = source.curl(f"http://{target.ipv4}:{port}/", seconds=3)
    return result.returncode == 0 and json.loads(result.stdout)["peer"] == source.ipv4


def test_pod_added_and_removed_at_run_time(own_mesh):
    mesh = own_mesh
    late = mesh.first.pod("late", 30)
    mesh.state.workload("late", late.ips, "n1")
    mesh.state.write(mesh.state_path)
    before = pod_traces(late)
    mesh.one.ztun("pod", "add", late.enrolment)
    mesh.one.wait_for_pod(late, "captured")
    assert capture_of(late)
    tunnels = mesh.wire[15008]
    wait_for(lambda: reaches(mesh, late, mesh.world.server), "late reaches the server")
    assert mesh.wire[15008] > tunnels

    mesh.one.ztun("pod", "remove", f"{late.namespace}/{late.name}")
    wait_for(lambda: mesh.one.pod_status(late) is None, "late is gone from status")
    assert pod_traces(late) == before, "something of capture is still there"
    plain = mesh.wire[8080]
    assert reaches(mesh, late, mesh.world.server)
    assert mesh.wire[8080] == plain + 1, "after removal the traffic is plain"
    # Nobody else noticed.
    assert reaches(mesh, mesh.world.client, mesh.world.server)


def test_removing_an_unknown_pod_is_refused(own_mesh):
    result = own_mesh.one.ztun("pod", "remove", "default/nobody", check=False)
    assert result.returncode != 0
    assert "nobody" in result.stderr + result.stdout


def test_missing_namespace_is_pending_and_retried(bare):
    mesh = bare
    ghost = Pod(mesh.first, "ghost", 31)
    mesh.state.workload("ghost", ghost.ips, "n1")
    mesh.state.write(mesh.state_path)
    mesh.one = mesh.start_ztund(mesh.first, [mesh.world.client, ghost], ready=False)
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
    mesh.one.wait_for_pod(mesh.world.client, "captured")
    entry = mesh.one.wait_for_pod(ghost, "pending", "failed")
    assert ghost.path in entry["reason"]
    # The pod that is fine works in the meantime.
    assert reaches(mesh, mesh.world.client, mesh.world.server)
    ghost.up()
    mesh.one.wait_for_pod(ghost, "captured", seconds=20)
    assert reaches(mesh, ghost, mesh.world.server)


@only_nft
def test_taken_port_is_reported_and_retried(bare):
    """An application holds 15008: the pod is not half enrolled, and is taken in once the port is free."""
    mesh = bare
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
    with netns.inside(mesh.world.client.netns):
        holder = socket.create_server(("::", 15008), family=socket.AF_INET6, dualstack_ipv6=True)
    with holder:
        mesh.one = mesh.start_ztund(mesh.first, [mesh.world.client], ready=False)
        entry = mesh.one.wait_for_pod(mesh.world.client, "pending", "failed")
        reason = wait_for(lambda: mesh.one.pod_status(mesh.world.client)["reason"], "a reason")
        assert "15008" in reason
        assert entry["state"] != "captured"
        assert "15001" not in mesh.world.client.rules(), "rules without sockets would black-hole the pod"
    mesh.one.wait_for_pod(mesh.world.client, "captured", seconds=20)
    assert reaches(mesh, mesh.world.client, mesh.world.server)


@only_nft
def test_damaged_rules_are_repaired(own_mesh):
    """(Of the other modes: Tests/Capture/test_repairs.py.)"""
    mesh = own_mesh
    mesh.world.client.run("nft", "flush", "ruleset")
    wait_for(lambda: "15001" in mesh.world.client.rules(), "the rules are back", 30)
    tunnels = mesh.wire[15008]
    assert reaches(mesh, mesh.world.client, mesh.world.server)
    assert mesh.wire[8080] == 0 and mesh.wire[15008] >= tunnels
    assert mesh.one.pod_status(mesh.world.client)["repairs"] >= 1


def test_foreign_rules_are_left_alone(own_mesh):
    mesh = own_mesh
    mesh.world.client.run("nft", "add", "table", "inet", "of_the_user")
    mesh.one.ztun("pod", "remove", "default/client")
    wait_for(lambda: not capture_of(mesh.world.client), "what was ours is gone")
    assert "of_the_user" in mesh.world.client.rules()


def test_sigterm_leaves_nothing_behind(own_mesh):
    mesh = own_mesh
    assert reaches(mesh, mesh.world.client, mesh.world.server)
    run_dir = mesh.one.run_dir
    assert mesh.one.stop() == 0, mesh.one.text()[-2000:]
    for pod in mesh.world.first_pods:
        assert not capture_of(pod) and pod.rules().strip() == "", "capture is left"
        listeners = pod.run("ss", "-ltnH").stdout
        assert not listeners.strip() or all(":8080 " in line for line in listeners.splitlines()), listeners
        for family in ("-4", "-6"):
            policies = pod.run("ip", family, "rule").stdout
            assert "fwmark" not in policies, policies
    assert not pathlib.Path(run_dir, "ztund.sock").exists()
    # The pod talks plainly now.
    assert reaches(mesh, mesh.world.client, mesh.world.server)
    assert mesh.wire[8080] == 1


def test_established_connection_survives_another_pods_removal(own_mesh):
    mesh = own_mesh
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.settimeout(10)
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
        mesh.one.ztun("pod", "remove", "default/denied")
        wait_for(lambda: mesh.one.pod_status(mesh.world.denied) is None, "denied is gone")
        connection.sendall(b"b")
        assert connection.recv(1) == b"b"


def test_pod_that_vanishes_is_noticed(own_mesh):
    """The namespace goes away without a word; the daemon keeps its feet and the others their service."""
    mesh = own_mesh
    before = mesh.one.descriptors()
    for _ in range(3):
        late = Pod(mesh.first, "late", 32).up()
        mesh.one.ztun("pod", "add", late.enrolment)
        mesh.one.wait_for_pod(late, "captured")
        late.down()
        mesh.one.ztun("pod", "remove", "default/late")
        wait_for(lambda: mesh.one.pod_status(late) is None, "late is gone")
    assert reaches(mesh, mesh.world.client, mesh.world.server)
    wait_for(lambda: mesh.one.descriptors() <= before + 4, "descriptors are given back")


def test_two_pods_of_one_node_talk_through_the_tunnel(own_mesh):
    mesh = own_mesh
    with HTTPServer(mesh.world.denied, 8081):
        assert reaches(mesh, mesh.world.client, mesh.world.denied, 8081)
    line = mesh.one.wait_for_line('direction="inbound"', "8081")
    assert 'src.identity="spiffe://cluster.local/ns/default/sa/client"' in line


def test_the_control_socket_is_for_root(own_mesh):
    path = own_mesh.one.run_dir / "ztund.sock"
    assert path.stat().st_mode & 0o077 == 0
    result = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "curl", "-sS", "--unix-socket", path, "http://ztund/status"],
        capture_output=True, text=True)
    assert result.returncode != 0 and not result.stdout
