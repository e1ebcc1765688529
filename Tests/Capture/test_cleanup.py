"""`ztund node cleanup` in every mode of capture: pods of a dead ztund are free again, nothing of it is left."""
import subprocess

import pytest

from support.capture import pod_traces
from support.programs import program

from .conftest import arguments, start_both
from .test_without_daemon import connect, wait_until_served

pytestmark = pytest.mark.root


def test_a_dead_ones_pods_are_free_again(bare):
    mesh, client, server = bare, bare.world.client, bare.world.server
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
    assert [answer.get("server") for answer in connect(client, *server.ips)] == ["server", "server"]
