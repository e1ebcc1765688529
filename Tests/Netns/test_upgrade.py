"""One ztund replaces another: nothing is refused, what is open goes on, and a death in the middle leaves a working node."""
import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from support.mesh import NodeDaemon, Program
from support.netns import receive
from support.waiting import wait_for

pytestmark = pytest.mark.root


class Generation(NodeDaemon):
    """A ztund in the same run directory as the one that it replaces."""

    def __init__(self, mesh, node, pods, number, *more, ready=True):
        self.node = node
        arguments = ["--state", mesh.state_path, *mesh.identity_arguments(pods), "--replace", *more]
        for pod in pods:
            arguments += ["--pod", pod.enrolment]
        label = f"{node.name}-{number}"
        Program.__init__(
            self, f"ztund {number} on {node.name}", node.netns, mesh.folder, label, "ztund",
            *["--run-dir", mesh.folder / f"run-{node.name}"], *arguments, ready=False)
        self.run_dir = mesh.folder / f"run-{node.name}"
        mesh.daemons[self.name] = self
        mesh.stack.callback(self.stop)
        if ready:
            self.wait_until_serving()

    def wait_until_serving(self):
        wait_for(lambda: self.status()["pid"] == self.pid and self.is_ready(), f"{self.name} serves", 30)


class Storm:
    """Connections one after another from several threads; every failure is kept."""

    def __init__(self, pod, address, port, threads=4):
        self.pod, self.address, self.port = pod, address, port
        self.failures, self.count, self.over = [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def run(self):
        while not self.over.is_set():
            began = time.monotonic()
            try:
                with self.pod.connect(self.address, self.port, 20) as connection:
                    connection.settimeout(20)
                    connection.sendall(b"storm")
                    assert receive(connection, 5) == b"storm", "closed without an answer"
                    connection.shutdown(socket.SHUT_WR)
                    assert connection.recv(1) == b""
            except (OSError, AssertionError) as error:
                self.failures.append(f"{time.monotonic() - began:.3f} s: {error!r}")
            self.count += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def echo(connection, data=b"x"):
    connection.sendall(data)
    return receive(connection, len(data)) == data


@pytest.mark.parametrize(
    "which, who", [("one", "client"), ("two", "client"), ("two", "outsider")], ids=["outbound", "tunnel", "plaintext"])
def test_a_replacement_under_a_storm(own_mesh, which, who):
    mesh = own_mesh
    node, pods = {
        "one": (mesh.first, mesh.world.first_pods), "two": (mesh.second, mesh.world.second_pods)}[which]
    old = getattr(mesh, which)
    server = mesh.world.server
    with Storm(getattr(mesh.world, who), server.ipv4, 7000) as storm:
        wait_for(lambda: storm.count > 50, "the storm blows", 30)
        new = Generation(mesh, node, pods, 2)
        alone = storm.count
        wait_for(lambda: storm.count > alone + 100, "it blows on with the new one", 30)
        assert old.process.wait(20) == 0, old.text()[-2000:]
        assert old.lines("has taken over all pods")
        alone = storm.count
        wait_for(lambda: storm.count > alone + 100, "and with the new one alone", 30)
    assert storm.failures == []
    status = new.status()
    assert status["generation"] == 2
    assert not any(pod["repairs"] for pod in status["pods"]), "what was installed is taken over as it is"
    assert "15001" in pods[0].rules()
