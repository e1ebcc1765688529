"""Rows 74, 87 and 89: a starved, a killed and a restless node. (86 and 88 are in Tests/Netns/test_features_drain.py.)"""
import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

from support.capture import capture_of
from support.netns import receive
from support.standing import Standing
from support.waiting import wait_for

pytestmark = pytest.mark.root


def serves(mesh):
    world = mesh.world
    result = world.client.curl(f"http://{world.server.ipv4}:8080/", seconds=3)
    return result.returncode == 0 and json.loads(result.stdout)["peer"] == world.client.ipv4


@pytest.mark.parametrize("which", ["first", "second"])
def test_row_87_killed_and_started_again(own_mesh, which):
    """Closed while nobody serves, in both directions; the next one finds its rules and uses them, once."""
    mesh, world = own_mesh, own_mesh.world
    assert serves(mesh)
    daemon, pods = (mesh.one, mesh.first_pods) if which == "first" else (mesh.two, mesh.second_pods)
    before = {pod.name: Standing.rules_of(pod) for pod in pods}
    with world.client.connect(world.server.ipv4, 7000) as connection:
        connection.settimeout(10)
        connection.sendall(b"x")
        assert receive(connection, 1) == b"x"
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.process.wait(10)
        # The kernel ends the sockets of a process that is killed, in order (docs/limits.md); behind a tunnel that broke
        # off, the other node sees to a reset.
        if which == "first":
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        else:
            with pytest.raises(ConnectionResetError):
                assert connection.recv(1) != b"", "an orderly end hides the loss"
    # Out of and into a pod whose ztund is gone: nothing passes, not even in plaintext.
    pod = pods[0]
    assert world.outsider.curl(f"http://{pod.ipv4}:8080/", seconds=3).returncode != 0
    assert pod.curl(f"http://{world.plain.ipv4}:8080/", seconds=3).returncode != 0
    assert not serves(mesh)
    (mesh.start_first if which == "first" else mesh.start_second)()
    wait_for(lambda: serves(mesh), "the next one serves", 30, 0.2)
    assert {pod.name: Standing.rules_of(pod) for pod in pods} == before, "no rule is there twice"
    other = mesh.two if which == "first" else mesh.one
    assert other.alive()
    wait_for(lambda: not [note for note in other.status()["pods"] if note["state"] != "captured"], "all is captured")


def test_row_87_killed_again_and_again(own_mesh):
    """Ten times in the middle of connections: never stuck, never more rules, and never in the clear."""
    mesh = own_mesh
    rules = {pod.name: Standing.rules_of(pod) for pod in mesh.first_pods}
    for _ in range(10):
        subprocesses = [mesh.world.client.connect(mesh.world.server.ipv4, 7000) for _ in range(5)]
        os.kill(mesh.one.pid, signal.SIGKILL)
        mesh.one.process.wait(10)
        mesh.start_first()
        wait_for(lambda: serves(mesh), "the next one serves", 30, 0.1)
        for connection in subprocesses:
            connection.close()
    assert {pod.name: Standing.rules_of(pod) for pod in mesh.first_pods} == rules
    assert {connection["peer"] for connection in [json.loads(
        mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/").stdout)]} == {mesh.world.client.ipv4}


def come_and_go(mesh, count):
    standing = Standing(mesh.one, mesh.first_pods)
    mesh.state.workload("guest", ["10.61.1.99", "fd61:1::99"], "n1", account="client")
    mesh.state.write(mesh.state_path)
    try:
        with mesh.probe():
            for number in range(count):
                pod = mesh.first.pod("guest", 99, account="client")
                try:
                    mesh.one.ztun("pod", "add", pod.enrolment)
                    mesh.one.wait_for_pod(pod, "captured", seconds=30)
                    if number % 10 == 0:
                        wait_for(
                            lambda: pod.curl(f"http://{mesh.world.server.ipv4}:8080/").returncode == 0, "it is served", 20)
                    if number % 2:
                        # Gone without a word, as a node's pods go.
                        pod.down()
                        mesh.one.ztun("pod", "remove", "default/guest", check=False)
                    else:
                        mesh.one.ztun("pod", "remove", "default/guest")
                        assert not capture_of(pod)
                finally:
                    pod.down()
                wait_for(lambda: mesh.one.pod_status(pod) is None, "it is forgotten", 20)
    finally:
        mesh.state.workloads.pop()
        mesh.state.write(mesh.state_path)
    standing.back()


def test_row_89_pods_come_and_go(mesh):
    come_and_go(mesh, 10)


@pytest.mark.slow
def test_row_89_five_hundred_pods_come_and_go(mesh):
    come_and_go(mesh, 500)


@contextlib.contextmanager
def every_processor_busy(factor=3):
    program = "while True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(factor * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_row_74_no_processor_to_spare(harmless):
    """For longer than a peer may be silent: still ready, and no tunnel is taken for dead."""
    mesh = harmless
    with mesh.probe(), mesh.world.client.connect(mesh.world.server.ipv4, 7000) as quiet, every_processor_busy():
        answers = []

        def is_over():
            assert mesh.one.get(15021, "/healthz/ready")[0] == 200
            answers.append(mesh.one.ztun("status").returncode)
            return len(answers) >= 35

        wait_for(is_over, "thirty-five answers", 300, 1)
        quiet.settimeout(20)
        quiet.sendall(b"still here")
        assert receive(quiet, 10) == b"still here"
    for daemon in (mesh.one, mesh.two):
        assert not daemon.lines("answered no ping")
