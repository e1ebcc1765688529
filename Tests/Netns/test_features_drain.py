"""The end of a daemon: what runs may finish, what is new is refused or left to a successor that already listens."""
import contextlib
import os
import signal
import socket
import threading
import time

import h2.connection
import h2.events
import pytest

from Netns.conftest import stage
from support.capture import node_flags
from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.mesh import NodeDaemon, Program
from support.netns import receive
from support.waiting import wait_for
from support.world import VIP

pytestmark = pytest.mark.root


class Successor(NodeDaemon):
    """A second ztund on the same pods, with folders and ports of its own."""

    def __init__(self, mesh, node, pods, label="second"):
        self.node = node
        arguments = [
            "--state", mesh.state_path, *mesh.identity_arguments(pods), "--admin-address", "127.0.0.1:25000",
            "--metrics-address", "[::]:25020", "--readiness-address", "[::]:25021"]
        for pod in pods:
            arguments += ["--pod", pod.enrolment]
        Program.__init__(
            self, f"{label} ztund on {node.name}", node.netns, mesh.folder, f"{node.name}-{label}", "ztund",
            *node_flags(mesh.folder, node.name), *arguments)
        mesh.daemons[self.name] = self
        mesh.stack.callback(self.stop)

    def get(self, port, *arguments, **more):
        return super().get(port + 10000, *arguments, **more)


@pytest.fixture
def patient(monkeypatch):
    """Daemons started from here on drain for up to 4 seconds."""
    monkeypatch.setenv("CONNECTION_TERMINATION_DEADLINE", "4s")


def echo(connection, data=b"x"):
    connection.sendall(data)
    return receive(connection, len(data)) == data


def terminate(daemon):
    os.kill(daemon.pid, signal.SIGTERM)
    wait_for(lambda: daemon.lines("drain started"), "the drain begins")


@pytest.fixture
def draining(patient, own_mesh):
    """The first node drains with one connection open."""
    mesh = own_mesh
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.settimeout(10)
        assert echo(connection)
        terminate(mesh.one)
        mesh.connection = connection
        yield mesh


def test_row_86_not_ready_at_once_and_what_runs_goes_on(draining):
    assert draining.one.get(15021, "/healthz/ready")[0] == 500
    assert draining.one.status()["draining"]
    for _ in range(10):
        assert echo(draining.connection, b"y" * 10_000)
    draining.connection.close()
    assert draining.one.process.wait(3) == 0
    assert not draining.one.lines("drain duration expired")
    assert draining.one.lines("shutdown complete")


def is_reset(pod, address, port):
    """Whether a connection ends with RST at once, which may be before connect returns."""
    try:
        with pod.connect(address, port) as connection:
            connection.settimeout(0.3)
            connection.recv(1)
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_row_86_new_work_is_refused_with_its_reason(draining):
    for pod, address, port, direction in (
        (draining.world.client, VIP, 80, "outbound"), (draining.world.outsider, draining.world.client.ipv4, 8080, "inbound"),
    ):
        wait_for(lambda: is_reset(pod, address, port), "a new connection is reset")
        draining.one.wait_for_line(f'direction="{direction}"', 'reason="draining"')
        assert draining.one.metric("ztun_refusals_total", reason="draining", direction=direction) >= 1
    assert echo(draining.connection), "and what runs is not disturbed"


def test_row_86_at_the_deadline_it_is_cut_with_its_reason(draining):
    began = time.monotonic()
    with pytest.raises(ConnectionResetError):
        while True:
            assert draining.connection.recv(1) != b"", "the end is a reset, not an orderly end"
    assert 2 < time.monotonic() - began < 6
    assert draining.one.process.wait(3) == 0
    assert draining.one.lines("drain duration expired")
    assert draining.one.lines('direction="outbound"', 'reason="drain_deadline"')


def test_a_second_signal_ends_it_now(draining):
    began = time.monotonic()
    os.kill(draining.one.pid, signal.SIGTERM)
    assert draining.one.process.wait(2) == 0
    assert time.monotonic() - began < 1.5
    assert draining.one.lines("second signal")
    with pytest.raises(ConnectionResetError):
        draining.connection.recv(1)


@pytest.fixture
def tunnelled(patient, tmp_path, monkeypatch):
    """A tunnel of other make into the second node."""
    monkeypatch.setattr("Netns.conftest.Mesh", FileMesh)
    with stage(tmp_path) as mesh:
        mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
        chain, key = mesh.leaf("client", mesh.world.client.identity)
        raw = mesh.world.client.connect(mesh.world.server.ipv4, 15008)
        with Client(raw, client_context(mesh.authority, chain, key)) as mesh.tunnel:
            yield mesh


def go_on_after_goaway(client):
    """h2 takes a connection for closed once it has read a GOAWAY; HTTP/2 does not."""
    machine = client.h2.state_machine
    state, inputs = type(machine.state).CLIENT_OPEN, h2.connection.ConnectionInputs
    machine._transitions = {**machine._transitions, (state, inputs.RECV_GOAWAY): (None, state)}


def test_peers_are_told_in_two_steps(tunnelled):
    """First `open no more streams`, with those under way still served, then the last stream that was."""
    tunnel, echo_at = tunnelled.tunnel, f"{tunnelled.world.server.ipv4}:7000"
    go_on_after_goaway(tunnel)
    status, first, _ = tunnel.connect(echo_at)
    assert status == 200
    terminate(tunnelled.two)
    notice = tunnel.wait(h2.events.ConnectionTerminated)
    assert (notice.error_code, notice.last_stream_id) == (0, 2**31 - 1)
    # As if this stream had been under way before the notice came.
    status, second, _ = tunnel.connect(echo_at)
    assert status == 200
    final = tunnel.wait(h2.events.ConnectionTerminated)
    assert (final.error_code, final.last_stream_id) == (0, second)
    for stream in (first, second):
        tunnel.send(stream, b"still here")
        assert tunnel.receive(stream, 10) == b"still here"
        tunnel.send(stream, b"", end=True)
        assert tunnel.ends(stream)
    assert tunnelled.two.process.wait(3) == 0
    assert not tunnelled.two.lines("drain duration expired")


def test_a_handshake_under_way_is_finished(tunnelled):
    """Accepted before the drain, so it is old work: it gets its tunnel, and is told to open no more than it needs."""
    world = tunnelled.world
    raw = world.client.connect(world.server.ipv4, 15008)
    status, first, _ = tunnelled.tunnel.connect(f"{world.server.ipv4}:7000")
    assert status == 200
    terminate(tunnelled.two)
    assert tunnelled.tunnel.wait(h2.events.ConnectionTerminated)
    assert tunnelled.tunnel.wait(h2.events.ConnectionTerminated), "the second step of the first tunnel is over"
    chain, key = tunnelled.leaf("client", world.client.identity)
    with Client(raw, client_context(tunnelled.authority, chain, key)) as late:
        go_on_after_goaway(late)
        stream = late.request([(":method", "CONNECT"), (":authority", f"{world.server.ipv4}:7000")])
        answer = late.wait((h2.events.ResponseReceived, h2.events.StreamReset), stream)
        assert dict(answer.headers)[":status"] == "200"
        assert late.wait(h2.events.ConnectionTerminated)


class Storm:
    """Connections one after another from several threads; every failure is kept."""

    def __init__(self, mesh, pod, threads=6):
        self.mesh, self.pod, self.failures, self.count, self.over = mesh, pod, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def run(self):
        while not self.over.is_set():
            began = time.monotonic()
            try:
                with self.pod.connect(self.mesh.world.server.ipv4, 7000) as connection:
                    connection.settimeout(10)
                    assert echo(connection, b"storm"), "closed without an answer"
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


@pytest.mark.parametrize(
    "which, who", [("one", "client"), ("two", "client"), ("two", "outsider")], ids=["outbound", "tunnel", "plaintext"])
def test_row_88_a_successor_takes_over_under_a_storm(patient, own_mesh, which, who):
    """Not one connection is refused, reset or left waiting when the first ztund of a node leaves."""
    mesh = own_mesh
    node, pods = {
        "one": (mesh.first, mesh.world.first_pods), "two": (mesh.second, mesh.world.second_pods)}[which]
    old = getattr(mesh, which)
    with Storm(mesh, getattr(mesh.world, who)) as storm:
        wait_for(lambda: storm.count > 50, "the storm blows")
        new = Successor(mesh, node, pods)
        both = storm.count
        wait_for(lambda: storm.count > both + 100, "it blows on with two daemons")
        os.kill(old.pid, signal.SIGTERM)
        assert old.process.wait(6) == 0
        alone = storm.count
        wait_for(lambda: storm.count > alone + 200, "it blows on with the new one alone")
    assert storm.failures == []
    assert old.lines("is left to another ztund")
    assert not old.lines('reason="draining"')
    reporter = {"one": "source", "two": "destination"}[which]
    assert new.metric("istio_tcp_connections_opened_total", reporter=reporter) >= 200


def test_connections_that_wait_go_to_the_successor(patient, own_mesh):
    """The old daemon is stopped (it cannot accept) while connections queue at its listeners; then it leaves."""
    mesh = own_mesh
    successor = Successor(mesh, mesh.first, mesh.world.first_pods)
    with contextlib.ExitStack() as stack:
        os.kill(mesh.one.pid, signal.SIGSTOP)
        try:
            waiting = [
                stack.enter_context(mesh.world.client.connect(mesh.world.server.ipv4, 7000)) for _ in range(40)]
            for connection in waiting:
                connection.sendall(b"q")
        finally:
            # Pending together: it drains before it could serve them all.
            os.kill(mesh.one.pid, signal.SIGTERM)
            os.kill(mesh.one.pid, signal.SIGCONT)
        for connection in waiting:
            connection.settimeout(10)
            assert receive(connection, 1) == b"q"
    assert mesh.one.process.wait(6) == 0
    assert successor.metric("istio_tcp_connections_opened_total", reporter="source") > 0
