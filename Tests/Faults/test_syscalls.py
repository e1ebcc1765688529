"""System calls that fail: each rule on both daemons at once while connections come and go.

What can be tried again is tried again and nobody notices; what costs a connection costs that one, with a reset; afterwards
all is as it was. EAGAIN on a socket that is ready is left out on purpose: no kernel says that to an edge-triggered reader.
"""
import contextlib
import socket

import pytest

from support.injection import Injection
from support.netns import receive
from support.standing import processor_seconds
from support.waiting import wait_for

pytestmark = pytest.mark.root

# Nobody notices: the call is repeated, at once or after a moment.
UNNOTICED = {
    "accept-interrupted": "accept4:error=EINTR:when=1+2",
    "accept-aborted": "accept4:error=ECONNABORTED:when=1+2",
    "accept-without-descriptors": "accept4:error=EMFILE:when=1+3",
    "accept-without-table": "accept4:error=ENFILE:when=2+3",
    "accept-without-buffers": "accept4:error=ENOBUFS:when=1+3",
    "accept-without-memory": "accept4:error=ENOMEM:when=1+3",
    "accept-forbidden": "accept4:error=EPERM:when=1+2",
    "wait-interrupted": "epoll_wait,epoll_pwait:error=EINTR:when=1+2",
    "wait-fails": "epoll_wait,epoll_pwait:error=ENOMEM:when=2+3",
    "read-interrupted": "read:error=EINTR:when=1+2",
    "send-interrupted": "sendto,sendmsg:error=EINTR:when=1+2",
    "wake-interrupted": "write:error=EINTR:when=1+2",
    "wake-refused": "write:error=EAGAIN:when=1+2",
    "namespace-left-late": "setns:error=ENOMEM:when=2+3",
}
# Some connections are lost, each by itself.
COSTLY = {
    "read-reset": "read:error=ECONNRESET:when=15+25",
    "read-without-memory": "read:error=ENOMEM:when=15+25",
    "send-broken-pipe": "sendto,sendmsg:error=EPIPE:when=10+25",
    "send-without-buffers": "sendto,sendmsg:error=ENOBUFS:when=10+25",
    "send-without-memory": "sendto,sendmsg:error=ENOMEM:when=10+25",
    "connect-interrupted": "connect:error=EINTR:when=2+4",
    "connect-without-ports": "connect:error=EADDRNOTAVAIL:when=2+4",
    "connect-without-buffers": "connect:error=ENOBUFS:when=2+4",
    "socket-without-descriptors": "socket:error=EMFILE:when=2+4",
    "socket-without-memory": "socket:error=ENOMEM:when=2+4",
    "registration-without-memory": "epoll_ctl:error=ENOMEM:when=3+7",
    "registration-above-the-limit": "epoll_ctl:error=ENOSPC:when=3+7",
    "options-refused": "setsockopt:error=ENOBUFS:when=4+9",
    "options-unreadable": "getsockopt:error=ENOBUFS:when=3+6",
}
QUICK = {
    "accept-without-descriptors", "accept-aborted", "wait-interrupted", "read-interrupted", "send-interrupted", "wake-refused",
    "namespace-left-late", "read-reset", "send-without-buffers", "connect-without-ports", "socket-without-memory",
    "registration-without-memory",
}


def some(table):
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in table]


def attempt(pod, address, port=7000, data=b"some bytes" * 200):
    """Whether one connection carries its bytes there and back. A refusal has to be an end, not silence."""
    try:
        with pod.connect(address, port, 15) as connection:
            connection.settimeout(15)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return receive(connection, len(data)) == data and connection.recv(1) == b""
    except TimeoutError:
        raise AssertionError("neither bytes nor an end for 15 s") from None
    except OSError:
        return False


def is_quiet(daemon):
    """Becomes quiet within the wait: a loop that comes back at once for nothing never does."""
    last = [processor_seconds(daemon.pid)]

    def is_now():
        now = processor_seconds(daemon.pid)
        used, last[0] = now - last[0], now
        return used <= 0.02

    wait_for(is_now, f"{daemon.name} is quiet", 20, 0.3)


def traffic(mesh, count):
    """Through tunnels, out in plaintext and in from outside; how many of each kind came through."""
    world = mesh.world
    ways = [(world.client, world.server), (world.client, world.plain), (world.outsider, world.server)]
    return [sum(attempt(source, target.ipv4) for _ in range(count)) for source, target in ways]


@contextlib.contextmanager
def failing(mesh, rule):
    with Injection(mesh.one, rule) as one, Injection(mesh.two, rule) as two:
        yield
        assert one.count() + two.count() > 0, "nothing was made to fail"


def all_is_well(mesh):
    # An endpoint that failed may be set aside for a moment, a failed dial answers for a moment.
    wait_for(lambda: traffic(mesh, 1) == [1, 1, 1], "it serves again", 20)
    assert traffic(mesh, 5) == [5, 5, 5]
    for daemon in (mesh.one, mesh.two):
        assert daemon.alive()
        is_quiet(daemon)


@pytest.mark.parametrize("name", some(UNNOTICED))
def test_calls_that_are_repeated(harmless, name):
    with failing(harmless, UNNOTICED[name]):
        assert traffic(harmless, 8) == [8, 8, 8]
    all_is_well(harmless)


@pytest.mark.parametrize("name", some(COSTLY))
def test_calls_that_cost_a_connection(harmless, name):
    with failing(harmless, COSTLY[name]):
        assert sum(traffic(harmless, 12)) >= 9, "what is not hit goes on"
    all_is_well(harmless)


def test_a_full_daemon_recovers_when_its_descriptors_come_back(harmless):
    """Nothing can be accepted at all for a while; what waited is served then."""
    mesh = harmless
    with failing(mesh, "accept4:error=EMFILE"):
        waiting = [mesh.world.client.connect(mesh.world.server.ipv4, 7000) for _ in range(5)]
        mesh.one.wait_for_line("accepting pauses", "client", "EMFILE")
        for connection in waiting:
            connection.sendall(b"patience")
    for connection in waiting:
        with connection:
            connection.settimeout(10)
            assert receive(connection, 8) == b"patience"
    all_is_well(mesh)


def test_a_state_file_that_cannot_be_read(harmless):
    """The last good state serves; the next edit is taken."""
    mesh = harmless
    before = mesh.one.status()["state"]["generation"]
    mesh.state.workload("edited", ["10.61.2.88"], "n2")
    with Injection(mesh.one, "openat,open:error=EMFILE", "newfstatat,stat,fstat,statx:error=ENOMEM:when=1+2"):
        mesh.state.write(mesh.state_path)
        assert traffic(mesh, 3)[0] == 3
    wait_for(lambda: mesh.one.status()["state"]["generation"] > before, "the edit is taken later", 20)
    mesh.state.workloads.pop()
    mesh.state.write(mesh.state_path)
    wait_for(lambda: mesh.one.status()["state"]["generation"] > before + 1, "and the next", 20)
    all_is_well(mesh)


def test_no_process_can_be_started_for_nft(harmless):
    """A pod is not enrolled by halves: it waits until its rules can be written. It forwards for others, which takes rules."""
    mesh = harmless
    pod = mesh.first.pod("late", 77, account="client")
    pod.run("ip", "link", "add", "br0", "type", "bridge")
    try:
        mesh.state.workload("late", pod.ips, "n1", account="client")
        mesh.state.write(mesh.state_path)
        with Injection(mesh.one, "clone,clone3,vfork,fork:error=EAGAIN"):
            answer = mesh.one.ztun("pod", "add", pod.enrolment, check=False)
            assert answer.returncode != 0 and "keeps trying" in answer.stdout + answer.stderr, answer
        mesh.one.wait_for_pod(pod, "captured", seconds=60)
        assert attempt(pod, mesh.world.server.ipv4)
        mesh.one.ztun("pod", "remove", f"default/{pod.name}")
    finally:
        pod.down()
        mesh.state.workloads.pop()
        mesh.state.write(mesh.state_path)
    all_is_well(mesh)
