"""`ztund node cleanup` in every mode of capture: pods of a dead ztund are free again, nothing of it is left."""
import subprocess

import pytest

from support.capture import pins, pod_traces
from support.programs import program
from support.waiting import wait_for

from .conftest import arguments, start_both
from .test_catalogue import set_unusual
from .test_without_daemon import connect, wait_until_served

pytestmark = pytest.mark.root


def test_a_dead_ones_pods_are_free_again(bare):
    mesh, client, server = bare, bare.world.client, bare.world.server
    set_unusual([client, server])
    clean = [pod_traces(pod) for pod in (client, server)]
    start_both(mesh)
    wait_until_served(mesh)
    for daemon, node, pods in ((mesh.one, mesh.first, mesh.world.first_pods), (mesh.two, mesh.second, mesh.world.second_pods)):
        daemon.kill()
        chosen = arguments(mesh, node)
        command = [program("ztund"), "node", "cleanup", "--run-dir", daemon.run_dir]
        if "--bpf-dir" in chosen:
            command += ["--bpf-dir", chosen[chosen.index("--bpf-dir") + 1]]
        for pod in pods:
            command += ["--netns", pod.path]
        first = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert first.returncode == 0 and "removed" in first.stdout, first.stdout + first.stderr
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (second.returncode, second.stdout) == (0, "nothing of ztund's was found\n")
    assert [pod_traces(pod) for pod in (client, server)] == clean
    assert not [path for path in mesh.bpffs.iterdir() if path.is_dir()], "pins are left"
    assert not [daemon for daemon in (mesh.one, mesh.two) if (daemon.run_dir / "settings").exists()]
    assert [answer.get("server") for answer in connect(client, *server.ips)] == ["server", "server"]


def test_a_live_one_puts_back_what_was_forced_from_it(bare):
    """Class: pins that are gone for good, so that the next ztund finds none of the pods that are closed."""
    if not bare.mode.startswith("bpf"):
        pytest.skip("nft: Tests/Netns/test_node_cleanup.py")
    mesh, client, server = bare, bare.world.client, bare.world.server
    start_both(mesh)
    wait_until_served(mesh)
    folder = mesh.bpffs / mesh.first.name
    before = pins(folder)
    forced = subprocess.run(
        [program("ztund"), "node", "cleanup", "--run-dir", mesh.one.run_dir, "--bpf-dir", folder, "--force"]
        + [word for pod in mesh.world.first_pods for word in ("--netns", pod.path)], capture_output=True, text=True, timeout=60)
    assert forced.returncode == 0 and f"removed {folder}/v1/pods" in forced.stdout, forced.stdout + forced.stderr
    wait_for(lambda: pins(folder) == before, "the live one repairs its pods", 30)
    wait_until_served(mesh)
    mesh.one.kill()
    assert "server" not in connect(client, server.ipv6)[0]
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, *arguments(mesh, mesh.first))
    wait_until_served(mesh)
