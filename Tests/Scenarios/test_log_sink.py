"""Standard output that nobody reads: traffic goes on, lines are lost and counted, and the writer comes back."""
import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import subprocess

import pytest

from support import netns
from support.capture import node_flags
from support.mesh import Mesh
from support.programs import program
from support.servers import EchoServer
from support.waiting import wait_for
from support.world import World, make_network

pytestmark = [pytest.mark.root, pytest.mark.slow]

CONNECTIONS = 12_000


@pytest.fixture
def mesh(tmp_path):
    with make_network() as network, Mesh(network, tmp_path) as mesh:
        mesh.world = World(network)
        mesh.world.state().write(mesh.state_path)
        mesh.use(EchoServer(mesh.world.plain, 7000))
        yield mesh


@contextlib.contextmanager
def ztund_on_a_pipe(mesh, run_dir):
    """ztund on the first node with a pipe as its output; the test holds the end to read from."""
    end, other = os.pipe()
    command = netns.enter(
        mesh.first.netns, program("ztund"), "run", "--state", mesh.state_path, "--ca-dir", mesh.ca_dir,
        "--run-dir", run_dir, "--pod", mesh.world.client.enrolment, *node_flags(mesh.folder, mesh.first.name))
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=other, stderr=other, env={**os.environ, "SWIFT_BACKTRACE": "enable=no"})
    os.close(other)
    try:
        yield process, end
    finally:
        os.close(end)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_output_that_nobody_reads(mesh, tmp_path):
    client, plain = mesh.world.client, mesh.world.plain
    run_dir = tmp_path / "run"

    def status(*arguments):
        return subprocess.run(
            [program("ztun"), "status", "--run-dir", run_dir, *arguments], capture_output=True, text=True, timeout=10)

    def dropped():
        return json.loads(status("-o", "json").stdout)["logLinesDropped"]

    with ztund_on_a_pipe(mesh, run_dir) as (process, end):
        wait_for(lambda: status().returncode == 0, "ztund is ready", 15)

        def calls(count):
            good = 0
            with netns.inside(client.netns):
                for _ in range(count):
                    with socket.create_connection((plain.ipv4, 7000), 5) as connection:
                        connection.sendall(b"ping")
                        good += connection.recv(16) == b"ping"
            return good

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            good = sum(pool.map(calls, [CONNECTIONS // 4] * 4))
        assert good == CONNECTIONS
        assert wait_for(dropped, "lost lines are counted") > 0
        assert process.poll() is None

        # Somebody reads again: what was kept comes out whole, and the loss is told.
        text = b""
        while b"log lines were lost" not in text:
            text += os.read(end, 1 << 20)
        lines = text.split(b"\n")[:-1]
        assert all(len(line.split(b"\t")) == 5 for line in lines)
