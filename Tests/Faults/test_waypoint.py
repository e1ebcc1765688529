"""The waypoint under the same faults: failing system calls, no descriptors, slow handshakes, a killed neighbour."""
import contextlib
import os
import signal
import socket
import time

import pytest

from support.h2raw import PREFACE, RawClient, data, settings
from support.hbone import client_context
from support.injection import Injection
from support.standing import Standing
from support.waiting import wait_for
from support.world import WAYPOINT_VIP

pytestmark = pytest.mark.root

ROUTES = """
routes:
- service: default/through-waypoint.default.svc.cluster.local
  rules:
  - {name: all, matches: [{path: {prefix: /}}]}
"""


@pytest.fixture(scope="module")
def waypoint(mesh):
    daemon = mesh.start_waypoint(mesh.world.waypoint, ROUTES)
    wait_for(lambda: call(mesh), "the waypoint serves", 30, 0.2)
    yield daemon
    daemon.stop()


@pytest.fixture
def unharmed(mesh, waypoint):
    standing = Standing(waypoint)
    yield mesh
    standing.back()


def call(mesh):
    return mesh.world.client.curl(f"http://{WAYPOINT_VIP}/", "-f", seconds=20).returncode == 0


UNNOTICED = {
    "accept-without-descriptors": "accept4:error=EMFILE:when=1+3",
    "wait-interrupted": "epoll_wait,epoll_pwait:error=EINTR:when=1+2",
    "read-interrupted": "read:error=EINTR:when=1+2",
    "send-interrupted": "sendto,sendmsg:error=EINTR:when=1+2",
}
COSTLY = {
    "read-reset": "read:error=ECONNRESET:when=15+25",
    "send-without-buffers": "sendto,sendmsg:error=ENOBUFS:when=10+25",
    "connect-without-ports": "connect:error=EADDRNOTAVAIL:when=1+3",
    "socket-without-memory": "socket:error=ENOMEM:when=1+3",
    "registration-without-memory": "epoll_ctl:error=ENOMEM:when=3+7",
}


@pytest.mark.parametrize("name", UNNOTICED)
def test_calls_that_are_repeated(unharmed, waypoint, name):
    with Injection(waypoint, UNNOTICED[name]):
        assert all(call(unharmed) for _ in range(10))


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTLY)
def test_calls_that_cost_a_request(unharmed, waypoint, name):
    with Injection(waypoint, COSTLY[name]):
        assert any([call(unharmed) for _ in range(15)]), "what is not hit goes on"
    wait_for(lambda: call(unharmed), "it serves again", 20, 0.2)
    assert all(call(unharmed) for _ in range(5))


@pytest.mark.slow
def test_row_40_slow_handshakes_at_the_waypoint(unharmed, waypoint):
    """Three hundred that send two bytes of a hello and wait: the requests of others go on, and they are let go in time."""
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(unharmed.world.outsider.connect(unharmed.world.waypoint.ipv4, 15008)) for _ in range(300)]
        for connection in connections:
            connection.sendall(b"\x16\x03")
            connection.settimeout(30)
        assert all(call(unharmed) for _ in range(10))
        for connection in connections:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(10) == b""


def test_a_killed_ztund_costs_the_waypoint_nothing_for_good(unharmed, waypoint):
    """The node of the endpoints is gone for a moment: refused with 503, and served again when it is back."""
    mesh = unharmed
    os.kill(mesh.two.pid, signal.SIGKILL)
    mesh.two.process.wait(10)
    assert not call(mesh)
    mesh.start_second()
    wait_for(lambda: call(mesh), "served again", 30, 0.2)


PARTS = [
    b"GET / HT", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"]


def test_clients_that_reset_their_requests(unharmed, waypoint):
    """In the middle of a head, of a body, of an answer: nothing stays behind."""
    for number in range(150):
        with unharmed.world.client.connect(WAYPOINT_VIP, 80) as connection:
            connection.sendall(PARTS[number % 3])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert call(unharmed)


@pytest.mark.slow
def test_row_65_slow_heads(unharmed, waypoint):
    """A hundred requests whose heads come byte by byte: the others go on, and each gets 408 when its minute is over."""
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(unharmed.world.client.connect(WAYPOINT_VIP, 80)) for _ in range(100)]
        answers = {}
        for connection in connections:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ")
            connection.setblocking(False)

        def all_are_answered():
            for connection in connections:
                if connection in answers:
                    continue
                with contextlib.suppress(BlockingIOError):
                    try:
                        connection.send(b"a")
                        answers[connection] = connection.recv(4096)
                    except ConnectionError:
                        answers[connection] = b"cut"
            assert call(unharmed), "the requests of others"
            return len(answers) == len(connections)

        wait_for(all_are_answered, "all are answered", 150, 1)
    assert time.monotonic() - begun > 50, "not before their time"
    assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers.values()), set(answers.values())


def test_row_73_slow_readers_at_the_waypoint(mesh, waypoint, monkeypatch):
    """A hundred requests whose answers nobody takes, in 4 MiB: new ones are refused with a reason, the heaviest are cut, and
    when they are gone all is as before."""
    monkeypatch.setenv("MEMORY_BUDGET", str(4 << 20))
    # The others' waypoint has the pod's port; this is the last test that could want it.
    waypoint.stop()
    daemon = mesh.start_waypoint(mesh.world.waypoint, ROUTES)
    try:
        wait_for(lambda: call(mesh), "the waypoint serves", 30, 0.2)
        standing = Standing(daemon)
        chain, key = mesh.leaf("client", mesh.world.client.identity)
        raw = mesh.world.outsider.connect(mesh.world.waypoint.ipv4, 15008)
        fields = [(":method", "CONNECT"), (":authority", f"{WAYPOINT_VIP}:80")]
        # No more than what a stream may send while windows are small.
        body = b"z" * 60_000
        request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        statuses, resets = [], 0
        with RawClient(raw, client_context(mesh.authority, chain, key), preface=PREFACE + settings((4, 0)), seconds=30) as client:
            for number in range(100):
                stream = 2 * number + 1
                client.send(client.headers(stream, fields))
                statuses.append(client.status(stream))
                if statuses[-1] == 200:
                    for start in range(0, len(request), 16_000):
                        client.send(data(stream, request[start : start + 16_000]))
                if number % 5 == 4:
                    assert client.round_trip()
            wait_for(lambda: daemon.status()["memory"]["shed"] > 0, "the heaviest are cut", 30)
            assert client.round_trip(), "the tunnel itself lives"
            resets = sum(len(client.resets(2 * number + 1)) for number in range(100))
            memory = daemon.status()["memory"]
            assert memory["held"] <= memory["budget"] * 5 // 4 and memory["budget"] == 4 << 20, memory
        assert resets > 0 and 503 in statuses and memory["refused"] > 0, (resets, statuses, memory)
        assert daemon.lines('reason="over_limit"') or daemon.lines("over_limit")
        wait_for(lambda: daemon.status()["memory"]["held"] == 0, "nothing is held any more", 30)
        wait_for(lambda: call(mesh), "it serves again", 20, 0.2)
        standing.back()
    finally:
        daemon.stop()
