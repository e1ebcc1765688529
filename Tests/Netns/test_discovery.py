"""Pods that run before ztund does: found by name or through their processes' cgroups, and taken in where the state has them."""
import contextlib
import os
import pathlib
import subprocess
import time

import pytest

from support import netns
from support.capture import capture_of
from support.netns import Pod
from support.waiting import wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def folder(tmp_path):
    """A folder with names of namespaces, as a container runtime has one; links do."""
    path = tmp_path / "netns"
    path.mkdir()
    return path


def left(daemon):
    return daemon.status().get("notEnrolled") or {}


def enrolled(daemon, *pods):
    wait_for(
        lambda: all((daemon.pod_status(pod) or {}).get("state") == "captured" for pod in pods), "the pods are taken in", 30)


def test_pods_with_a_name_are_taken_in_and_the_others_are_told_of(bare, folder):
    mesh, world = bare, bare.world
    for pod in (world.client, world.denied, world.outsider):
        os.symlink(pod.path, folder / pod.name)
    os.symlink(mesh.first.pod("unknown", 77).path, folder / "unknown")
    (folder / "file").write_text("")
    mesh.one = mesh.start_ztund(mesh.first, [], "--discover", folder, "--discover", folder / "none")
    mesh.two = mesh.start_ztund(mesh.second, world.second_pods)
    enrolled(mesh.one, world.client, world.denied)
    assert mesh.one.pod_status(world.client)["netns"] == str(folder / "client")
    reasons = wait_for(lambda: left(mesh.one), "the others are told of")
    assert reasons[str(folder / "outsider")] == "default/outsider is not in the mesh"
    assert "no workload at 10.61.1.77" in reasons[str(folder / "unknown")]
    assert "no such folder" in reasons[str(folder / "none")]
    table = mesh.one.ztun("status", check=False).stdout
    assert "NOT TAKEN IN" in table and "default/outsider is not in the mesh" in table
    # It comes later, and goes without a word.
    late = Pod(mesh.first, "late", 33).up()
    mesh.state.workload("late", late.ips, "n1")
    mesh.state.write(mesh.state_path)
    os.symlink(late.path, folder / "late")
    enrolled(mesh.one, late)
    (folder / "late").unlink()
    late.down()
    wait_for(lambda: mesh.one.pod_status(late) is None, "it is forgotten", 60)


def test_a_pod_that_was_found_and_cannot_be_taken_in_is_told_of(nft, bare, folder):
    client, denied = bare.world.client, bare.world.denied
    for pod in (client, denied):
        os.symlink(pod.path, folder / pod.name)
    with netns.inside(client.netns):
        taken = netns.socket.create_server(("0.0.0.0", 15001))
    with taken:
        daemon = bare.start_ztund(bare.first, [], "--discover", folder, ready=False)
        enrolled(daemon, denied)
        entry = daemon.wait_for_pod(client, "pending", seconds=20)
        assert "port 15001 is taken in its network namespace by another process" in entry["reason"]
        assert f"default/client is pending: {entry['reason'].split(': ', 1)[1]}" in " ".join(daemon.status()["problems"])
    enrolled(daemon, client)


def test_pods_of_another_node_are_left_alone(bare, folder, monkeypatch):
    monkeypatch.setenv("NODE_NAME", "n2")
    os.symlink(bare.world.client.path, folder / "client")
    daemon = bare.start_ztund(bare.first, [], "--discover", folder)
    reason = wait_for(lambda: left(daemon).get(str(folder / "client")), "it is told why")
    assert "runs on node n1" in reason and "this is n2" in reason
    assert not capture_of(bare.world.client)


def cgroup_root():
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, path, kind, *_ = line.split()
        if kind == "cgroup2":
            return pathlib.Path(path)
    return None


@contextlib.contextmanager
def cgroups(*names):
    """A tree of control groups, removed at the end with what is in it."""
    root = cgroup_root()
    if root is None:
        pytest.skip("no cgroup v2 is mounted")
    top = root / f"zt-upgrade-{os.getpid()}-{time.monotonic_ns()}"
    made = [top]
    for name in names:
        for parent in reversed(pathlib.PurePath(name).parents):
            made.append(top / parent)
        made.append(top / name)
    made = list(dict.fromkeys(made))
    try:
        for path in made:
            path.mkdir(exist_ok=True)
        yield top
    finally:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()


def test_pods_are_found_through_their_processes(bare):
    """As kubelet arranges groups, in both manners; a process outside a pod's group is nobody's."""
    mesh, world = bare, bare.world
    first = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b2c3d_0000_4000_8000_00000000000a.slice/cri-1.scope"
    second = "besteffort/pod0a1b2c3d-0000-4000-8000-00000000000b/c0"
    with cgroups(first, second, "system") as top, contextlib.ExitStack() as stack:
        for pod, group in ((world.client, first), (world.denied, second), (world.outsider, "system")):
            process = stack.enter_context(subprocess.Popen(netns.enter(pod.netns, "sleep", "1000")))
            stack.callback(process.kill)
            (top / group / "cgroup.procs").write_text(str(process.pid))
        mesh.one = mesh.start_ztund(mesh.first, [], "--discover", top)
        enrolled(mesh.one, world.client, world.denied)
        assert mesh.one.pod_status(world.client)["netns"] == world.client.path, "a path with a name is preferred"
        assert mesh.one.pod_status(world.outsider) is None and left(mesh.one) == {}
        mesh.one.stop()
        mesh.one.kill()
