"""Slower: what many connections, much data and a long life leave behind. `make check` runs these."""
import concurrent.futures
import hashlib
import json
import socket
import struct

import pytest

from support.netns import receive
from support.servers import blocks, digest_of
from support.waiting import wait_for

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_many_short_connections_leave_nothing(mesh):
    client, server = mesh.world.client, mesh.world.server

    def burst(count):
        result = client.run(
            "curl", "-sS", "--max-time", "60", "--parallel", "--parallel-max", "50", "-H", "Connection: close",
            "-o", "/dev/null", "-w", "%{http_code}\\n", f"http://{server.ipv4}:8080/[1-{count}]", timeout=120)
        assert result.stdout.split() == ["200"] * count

    burst(2000)
    daemons = (mesh.one, mesh.two)
    wait_for(lambda: all(daemon.descriptors() < 120 for daemon in daemons), "connections have ended", 30)
    descriptors = [daemon.descriptors() for daemon in daemons]
    memory = [daemon.memory_kib() for daemon in daemons]
    for _ in range(5):
        burst(2000)
    wait_for(
        lambda: all(daemon.descriptors() <= before + 4 for daemon, before in zip(daemons, descriptors)),
        "descriptors are given back", 30)
    for daemon, before in zip(daemons, memory):
        assert daemon.memory_kib() - before < 16_384, f"{daemon.name}: {before} KiB before"


def test_eight_uploads_and_eight_downloads_at_once(mesh):
    client, server, size = mesh.world.client, mesh.world.server, 250_000_000

    def upload():
        with client.connect(server.ipv4, 9000) as connection:
            connection.settimeout(120)
            for block in blocks(size):
                connection.sendall(block)
            connection.shutdown(socket.SHUT_WR)
            return receive(connection, 64).decode()

    def download():
        digest, buffer = hashlib.sha256(), bytearray(1 << 20)
        with client.connect(server.ipv4, 9001) as connection:
            connection.settimeout(120)
            connection.sendall(struct.pack(">Q", size))
            while count := connection.recv_into(buffer):
                digest.update(memoryview(buffer)[:count])
        return digest.hexdigest()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = [pool.submit(work) for work in [upload] * 8 + [download] * 8]
        assert {result.result() for result in results} == {digest_of(size)}
    for daemon in (mesh.one, mesh.two):
        assert daemon.memory_kib() < 200_000


def test_idle_connections_are_cheap(mesh):
    """A thousand connections that have spoken once; the bound is loose, docs/benchmarks.md has the figure."""
    client, server, count = mesh.world.client, mesh.world.server, 1000
    before = [daemon.memory_kib() for daemon in (mesh.one, mesh.two)]
    connections = [client.connect(server.ipv4, 7000) for _ in range(count)]
    try:
        for connection in connections:
            connection.settimeout(20)
            connection.sendall(b"x")
        for connection in connections:
            assert connection.recv(1) == b"x"
        for daemon, start in zip((mesh.one, mesh.two), before):
            assert (daemon.memory_kib() - start) / count < 40, f"{daemon.name}: KiB per idle connection"
    finally:
        for connection in connections:
            connection.close()


def test_thirty_pods_on_one_node(own_mesh):
    mesh = own_mesh
    pods = [mesh.first.pod(f"many-{number}", 100 + number) for number in range(30)]
    for pod in pods:
        mesh.state.workload(pod.name, pod.ips, "n1")
    mesh.state.write(mesh.state_path)
    for pod in pods:
        mesh.one.ztun("pod", "add", pod.enrolment)
    for pod in pods:
        mesh.one.wait_for_pod(pod, "captured", seconds=30)
    for pod in pods:
        result = pod.curl(f"http://{mesh.world.server.ipv4}:8080/")
        assert json.loads(result.stdout)["peer"] == pod.ipv4
    for pod in pods:
        mesh.one.ztun("pod", "remove", f"default/{pod.name}")
    wait_for(lambda: len(mesh.one.status()["pods"]) == 2, "all are gone", 30)
