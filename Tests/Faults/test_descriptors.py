"""Rows 72 and 77: more connections than the process has descriptors, and many that do nothing."""
import contextlib
import selectors
import socket
import ssl
import threading

import pytest

from support import netns
from support.hbone import Client, client_context
from support.standing import Standing, processor_seconds
from support.waiting import wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def narrow(bare):
    """Both nodes with room for 256 descriptors."""
    few = ["prlimit", "--nofile=256:256", "--"]
    bare.start_first(under=few)
    bare.start_second(under=few)
    return bare


def open_many(pod, address, port, count):
    """As many connections as come up; the kernel's queue takes some that nobody accepts."""
    connections = []
    with netns.inside(pod.netns):
        for _ in range(count):
            connection = socket.socket()
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.connect((address, port))
            connections.append(connection)
    return connections


def still_pausing(daemon, probe):
    """The daemon is full and says so; processor time over two seconds of that."""
    daemon.wait_for_line("accepting pauses", seconds=30)
    before, seen = processor_seconds(daemon.pid), len(probe.times)
    wait_for(lambda: len(probe.times) >= seen + 30, "the open connection goes on while the process is full", 30)
    begin = probe.times[seen:]
    return (processor_seconds(daemon.pid) - before) / max(sum(begin) + probe.every * len(begin), 0.1)


@pytest.mark.parametrize("way", ["strangers-at-the-tunnel-port", "a-pod-that-opens-many"])
def test_row_72_descriptor_exhaustion(narrow, way):
    """Accepting pauses, nothing spins, what is open goes on, and room that comes back is used at once."""
    mesh, world = narrow, narrow.world
    if way == "a-pod-that-opens-many":
        daemon, flood = mesh.one, (world.client, world.plain.ipv4, 7000)
    else:
        daemon, flood = mesh.two, (world.outsider, world.server.ipv4, 15008)
    # Only what was open before the flood is promised to live; new connections have to wait.
    with mesh.probe(opens=False) as probe:
        standing = Standing(daemon)
        connections = open_many(*flood, 1000)
        try:
            share = still_pausing(daemon, probe)
            assert share < 0.25, f"{share:.0%} of a processor while it can do nothing"
            assert daemon.descriptors() < 256, "some are kept for what is already here"
            assert len(daemon.lines("accepting pauses")) < 40, "a line a second for each pod and listener"
            assert daemon.get(15021, "/healthz/ready")[0] == 200, "the kubelet still gets its answer"
            assert daemon.status()["pods"], "and so does the operator"
        finally:
            for connection in connections:
                connection.close()
        wait_for(
            lambda: world.client.curl(f"http://{world.server.ipv4}:8080/").returncode == 0,
            "it accepts again by itself", 60, 0.2)
    standing.back(spare=8)


def test_row_72_dials_have_descriptors_left(narrow):
    """Accepting stops before the last descriptor is gone: a stream in a tunnel that stands still reaches its application."""
    mesh, world = narrow, narrow.world
    with mesh.stranger() as peer:
        status, stream, _ = peer.connect(f"{world.server.ipv4}:7000")
        assert status == 200
        connections = open_many(world.outsider, world.other.ipv4, 15008, 1000)
        try:
            mesh.two.wait_for_line("accepting pauses", seconds=30)
            for _ in range(5):
                status, stream, _ = peer.connect(f"{world.server.ipv4}:7000")
                assert status == 200
                peer.send(stream, b"still there")
                assert peer.receive(stream, 11) == b"still there"
        finally:
            for connection in connections:
                connection.close()


@contextlib.contextmanager
def answering(clients):
    """Answers the pings of the peer: an idle tunnel is not a dead one."""
    selector, end = selectors.DefaultSelector(), threading.Event()

    def run():
        while not end.is_set():
            for key, _ in selector.select(0.2):
                client = key.data
                try:
                    data = client.socket.recv(65536)
                    client.h2.receive_data(data)
                    client.flush()
                except ssl.SSLWantReadError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(client.socket)

    thread = threading.Thread(target=run)
    thread.start()

    def add(client):
        client.socket.settimeout(5)
        selector.register(client.socket, selectors.EVENT_READ, client)
        clients.append(client)

    try:
        yield add
    finally:
        end.set()
        thread.join()
        selector.close()
        for client in clients:
            client.socket.close()


def flood_of_idle_tunnels(mesh, count):
    daemon = mesh.two
    before = daemon.memory_kib()
    chain, key = mesh.leaf("client", mesh.world.client.identity)
    context = client_context(mesh.authority, chain, key)
    clients = []
    with mesh.probe(), answering(clients) as add:
        for _ in range(count):
            add(Client(mesh.world.outsider.connect(mesh.world.server.ipv4, 15008), context, 30))
        wait_for(
            lambda: sum(worker["tunnels"] for worker in daemon.status()["workers"]) >= count, "all are served", 60)
        each = (daemon.memory_kib() - before) / count
        print(f"{each:.1f} KiB for each of {count} idle tunnels")
        assert each < 64, "docs/limits.md has the figure"


def test_row_77_idle_tunnels(harmless):
    flood_of_idle_tunnels(harmless, 300)


@pytest.mark.slow
def test_row_77_ten_thousand_idle_tunnels(mesh):
    standing = Standing(mesh.two)
    flood_of_idle_tunnels(mesh, 10_000)
    standing.back(memory_kib=64 * 1024, growth_kib=None, spare=8)


def slow_handshakes(mesh, count):
    """Each sends one byte of a ClientHello a second; all are let go at the deadline of ten seconds."""
    world = mesh.world
    connections = open_many(world.outsider, world.server.ipv4, 15008, count)
    try:
        sent = 0

        def all_are_let_go():
            nonlocal sent
            for connection in list(connections):
                try:
                    connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[sent % 11 : sent % 11 + 1])
                    if connection.recv(10) == b"":
                        connections.remove(connection)
                        connection.close()
                except BlockingIOError:
                    pass
                except OSError:
                    connections.remove(connection)
                    connection.close()
            sent += 1
            return not connections

        wait_for(all_are_let_go, f"all {count} are let go", 40 + count / 50, 1)
        assert sent >= 8, "not at once: a slow peer has its ten seconds"
    finally:
        for connection in connections:
            connection.close()


def test_row_40_slow_handshakes(harmless):
    with harmless.probe():
        slow_handshakes(harmless, 300)
    assert len(harmless.two.lines("tls_timeout")) <= 60, "one line a second for one cause and address"


@pytest.mark.slow
def test_row_40_two_thousand_slow_handshakes(harmless):
    with harmless.probe():
        slow_handshakes(harmless, 2000)


def client_hello():
    """A correct ClientHello, as Python's TLS makes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def half_finished_handshakes(mesh, count):
    """A whole hello each, and then nothing: sessions are bounded by worker, and a peer from elsewhere is served meanwhile."""
    world, hello = mesh.world, client_hello()
    refused = mesh.two.metric("ztun_refusals_total", reason="over_limit", direction="inbound")
    with mesh.probe(seconds=60) as probe:
        connections = open_many(world.outsider, world.server.ipv4, 15008, count)
        try:
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.settimeout(20)
                    connection.send(hello)
            wait_for(
                lambda: mesh.two.metric("ztun_refusals_total", reason="over_limit", direction="inbound") > refused,
                "handshakes are given up", 60)
            lines = mesh.two.lines("handshakes are under way")
            assert lines and all(world.outsider.ipv4 in line for line in lines), lines
            assert world.client.curl(f"http://{world.server.ipv4}:8080/").returncode == 0, "a peer of another address"
            with mesh.stranger(seconds=60) as peer:
                assert peer.connect(f"{world.server.ipv4}:7000")[0] == 200, "and even one of the flood's own address"
            held = mesh.two.memory_kib()
        finally:
            for connection in connections:
                connection.close()
    assert probe.times
    return held


def test_row_40_half_finished_handshakes_are_bounded(mesh):
    standing = Standing(mesh.two)
    half_finished_handshakes(mesh, 2400)
    standing.back(growth_kib=160 * 1024)


@pytest.mark.slow
def test_row_40_ten_thousand_handshakes_that_stop_half_way(mesh):
    standing = Standing(mesh.two)
    before = mesh.two.memory_kib()
    held = half_finished_handshakes(mesh, 10_000)
    assert held - before < 200 * 1024, f"{held - before} KiB for 10,000 strangers"
    standing.back(growth_kib=200 * 1024)
