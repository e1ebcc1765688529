"""How connections begin and end through the tunnel: rows 78 to 80 of the acceptance catalogue.

Half-closes of ordinary programs and gigabytes with a checksum are in Tests/Netns/test_pod_to_pod.py; here are resets, data that
is still on its way at the end, who speaks first, single bytes, and the frames that a peer of other make sees of all that.
"""
import hashlib
import socket
import struct
import threading

import h2.errors
import h2.events
import pytest

from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.netns import receive
from support.servers import EchoServer, Server
from support.waiting import wait_for
from support.world import World, make_network

pytestmark = pytest.mark.root

LINGER_RESET = struct.pack("ii", 1, 0)


def reset(connection):
    """Ends a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    connection.close()


class Scripted(Server):
    """Hands every accepted connection to the test, which decides what the application does."""

    def __init__(self, pod, port):
        self.accepted = []
        self._served = threading.Condition()
        super().__init__(pod, port)

    def _serve(self, connection, address):
        connection.settimeout(10)
        with self._served:
            self.accepted.append(connection)
            self._served.notify_all()

    def next(self):
        with self._served:
            assert self._served.wait_for(lambda: self.accepted, 10), "no connection reached the application"
            return self.accepted.pop(0)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with make_network() as network, FileMesh(network, tmp_path_factory.mktemp("endings")) as mesh:
        world = mesh.world = World(network)
        mesh.state = world.state()
        mesh.state.write(mesh.state_path)
        mesh.scripted = mesh.use(Scripted(world.server, 7002))
        mesh.plain_scripted = mesh.use(Scripted(world.plain, 7002))
        mesh.use(EchoServer(world.server, 7000))
        mesh.one = mesh.start_ztund(mesh.first, world.first_pods)
        mesh.two = mesh.start_ztund(mesh.second, world.second_pods)
        yield mesh
        for daemon in (mesh.one, mesh.two):
            wait_for(
                lambda: sum(worker["connections"] for worker in daemon.status()["workers"]) == 0,
                f"{daemon.name} has no connection left")


# Through a tunnel, from inside to a pod outside the mesh, and from outside to a pod in it.
WAYS = {"tunnel": ("client", "server"), "plaintext-out": ("client", "plain"), "plaintext-in": ("outsider", "server")}


@pytest.fixture(params=WAYS)
def ends(request, mesh):
    """The two ends of a connection: the caller's socket and the application's."""
    source, target = (getattr(mesh.world, name) for name in WAYS[request.param])
    scripted = mesh.plain_scripted if target is mesh.world.plain else mesh.scripted
    caller = source.connect(target.ipv4, 7002)
    caller.settimeout(10)
    application = scripted.next()
    yield caller, application
    caller.close()
    application.close()


def both_ways(caller, application):
    return [(caller, application), (application, caller)]


def exchange(one, other, data=b"ping"):
    one.sendall(data)
    assert receive(other, len(data)) == data


@pytest.mark.parametrize("direction", ["caller", "application"])
def test_row_78_half_close(ends, direction):
    """One side ends its direction; the other direction goes on for as long as it likes."""
    one, other = ends if direction == "caller" else ends[::-1]
    exchange(one, other)
    one.shutdown(socket.SHUT_WR)
    assert other.recv(1) == b""
    for _ in range(3):
        exchange(other, one, b"more" * 1000)
    other.shutdown(socket.SHUT_WR)
    assert one.recv(1) == b""


@pytest.mark.parametrize("direction", ["caller", "application"])
def test_row_78_fin_behind_pending_data(ends, direction):
    """The reader has not begun to read when the sender has written all that fits, ended, and closed: nothing is lost."""
    one, other = ends if direction == "caller" else ends[::-1]
    block, sent = bytes(range(256)) * 256, hashlib.sha256()
    total, limit = 0, 8_000_000
    one.settimeout(0.3)
    try:
        while total < limit:
            count = one.send(block)
            sent.update(block[:count])
            total += count
    except TimeoutError:
        pass
    assert total > 200_000, "there is data on its way"
    one.close()
    got, digest = 0, hashlib.sha256()
    while data := other.recv(65536):
        digest.update(data)
        got += len(data)
    assert (got, digest.digest()) == (total, sent.digest())


@pytest.mark.parametrize("direction", ["caller", "application"])
def test_row_78_reset_is_carried(ends, direction):
    """A reset arrives as one: the other program is not told that all was well."""
    one, other = ends if direction == "caller" else ends[::-1]
    exchange(one, other)
    exchange(other, one)
    reset(one)
    with pytest.raises(ConnectionResetError):
        if other.recv(1) == b"":
            raise AssertionError("an orderly end hides the reset")


@pytest.mark.parametrize("direction", ["caller", "application"])
def test_row_78_reset_after_a_half_close(ends, direction):
    """Who has ended its direction can still be told of the reset, and can still reset."""
    one, other = ends if direction == "caller" else ends[::-1]
    exchange(one, other)
    one.shutdown(socket.SHUT_WR)
    assert other.recv(1) == b""
    reset(other)
    with pytest.raises(ConnectionResetError):
        if one.recv(1) == b"":
            raise AssertionError("an orderly end hides the reset")


def test_row_79_the_application_speaks_first(ends):
    caller, application = ends
    exchange(application, caller, b"220 welcome\r\n")
    exchange(caller, application, b"HELO\r\n")


def test_row_79_the_caller_speaks_first(ends):
    caller, application = ends
    exchange(caller, application)
    exchange(application, caller)


@pytest.mark.parametrize("direction", ["caller", "application"])
def test_row_79_nobody_speaks(ends, direction):
    """Opened, and ended without a byte."""
    one, other = ends if direction == "caller" else ends[::-1]
    other.settimeout(0.3)
    with pytest.raises(TimeoutError):
        other.recv(1)
    other.settimeout(10)
    one.shutdown(socket.SHUT_WR)
    assert other.recv(1) == b""
    other.shutdown(socket.SHUT_WR)
    assert one.recv(1) == b""


def test_row_80_single_bytes(mesh):
    """100,000 writes of one byte, echoed: each byte once and in order, and no memory grows with them."""
    count = 100_000
    before = [daemon.memory_kib() for daemon in (mesh.one, mesh.two)]
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.settimeout(30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = []
        reader = threading.Thread(target=lambda: answer.append(receive(connection, count)), daemon=True)
        reader.start()
        for index in range(count):
            connection.sendall(bytes((index * 7 & 255,)))
        reader.join(60)
        assert answer, "the echo is not whole"
    assert answer[0] == bytes(index * 7 & 255 for index in range(count))
    for daemon, kib in zip((mesh.one, mesh.two), before):
        assert daemon.memory_kib() < kib + 32 * 1024


@pytest.fixture
def stream(mesh):
    """A stream of other make, and the application at its end."""
    chain, key = mesh.leaf("client", mesh.world.client.identity)
    raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
    with Client(raw, client_context(mesh.authority, chain, key)) as client:
        status, number, _ = client.connect(f"{mesh.world.server.ipv4}:7002")
        assert status == 200
        application = mesh.scripted.next()
        yield client, number, application
        application.close()
        status, number, _ = client.connect(f"{mesh.world.server.ipv4}:7000")
        assert status == 200, "the tunnel goes on"


def test_row_78_a_fin_is_end_stream(stream):
    client, number, application = stream
    application.sendall(b"last words")
    application.shutdown(socket.SHUT_WR)
    assert client.receive(number, 10) == b"last words"
    assert client.ends(number)
    client.send(number, b"and the answer", end=True)
    assert receive(application, 14) == b"and the answer" and application.recv(1) == b""


def test_row_78_end_stream_is_a_fin(stream):
    client, number, application = stream
    client.send(number, b"", end=True)
    assert application.recv(1) == b""
    application.sendall(b"late" * 10_000)
    assert client.receive(number, 40_000) == b"late" * 10_000
    application.close()
    assert client.ends(number)


def test_row_78_a_reset_is_rst_stream_cancel(stream):
    client, number, application = stream
    client.send(number, b"x")
    assert application.recv(1) == b"x"
    reset(application)
    event = client.wait((h2.events.StreamReset, h2.events.StreamEnded), number)
    assert isinstance(event, h2.events.StreamReset) and event.error_code == h2.errors.ErrorCodes.CANCEL


@pytest.mark.parametrize(
    "code", [h2.errors.ErrorCodes.CANCEL, h2.errors.ErrorCodes.INTERNAL_ERROR, h2.errors.ErrorCodes.NO_ERROR])
def test_row_78_rst_stream_is_a_reset(stream, code):
    """A stream cut short is no orderly end. (Better than upstream, which reads CANCEL as an end of file.)"""
    client, number, application = stream
    client.send(number, b"x")
    assert application.recv(1) == b"x"
    client.h2.reset_stream(number, code)
    client.flush()
    with pytest.raises(ConnectionResetError):
        if application.recv(1) == b"":
            raise AssertionError("an orderly end hides the reset")


def test_row_78_a_lost_tunnel_is_a_reset(mesh, stream):
    """The peer's connection breaks off without a word: so do the applications behind it."""
    client, number, application = stream
    chain, key = mesh.leaf("client", mesh.world.client.identity)
    raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
    other = Client(raw, client_context(mesh.authority, chain, key))
    status, lost, _ = other.connect(f"{mesh.world.server.ipv4}:7002")
    assert status == 200
    behind = mesh.scripted.next()
    other.send(lost, b"x")
    assert behind.recv(1) == b"x"
    reset(other.socket)
    with behind, pytest.raises(ConnectionResetError):
        if behind.recv(1) == b"":
            raise AssertionError("an orderly end hides the loss")
    client.send(number, b"y")
    assert application.recv(1) == b"y", "the neighbour's tunnel is another"
