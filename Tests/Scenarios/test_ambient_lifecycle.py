"""Istio's namespaced scenarios 17, 18, 25 and 26: a daemon that ends, a pod that leaves, certificates that follow pods, metrics."""
import contextlib
import re
import signal
import socket

import pytest

from support.capture import capture_of
from support.mesh import Mesh
from support.netns import inside
from support.scenario import DoubleServer, converse, exchange
from support.waiting import wait_for
from support.world import World, make_network

pytestmark = pytest.mark.root


@pytest.fixture
def mesh(tmp_path, monkeypatch):
    """A mesh for one test, which ends daemons and takes pods away."""
    # Long enough that a drain which does not end by itself fails the test, not the deadline the connection.
    monkeypatch.setenv("CONNECTION_TERMINATION_DEADLINE", "60s")
    with make_network() as network, Mesh(network, tmp_path) as mesh:
        world = mesh.world = World(network)
        mesh.state = world.state()
        mesh.state.write(mesh.state_path)
        for pod in (world.server, world.plain):
            mesh.use(DoubleServer(pod, 8080))
        yield mesh


def start(mesh, *more):
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, *more)
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods, *more)


def connect_fails(pod, address, port):
    """Whether a connection is refused, or ends without a byte; one that hangs does not fail."""
    try:
        with pod.connect(address, port, seconds=2) as connection:
            connection.settimeout(2)
            connection.sendall(b"hello world")
            return connection.recv(1) == b""
    except TimeoutError:
        return False
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError, PermissionError):
        return True


@pytest.mark.parametrize("side", ["source", "destination"])
def test_17_daemon_shutdown(mesh, side):
    """SIGTERM with a connection open: it still round-trips; new ones are refused at once; when it has ended, so does the daemon.

    Better than upstream: the daemon does not wait out its deadline. (More of drains: Tests/Netns/test_features_drain.py.)
    """
    start(mesh, "--on-exit", "keep")
    client, server = mesh.world.client, mesh.world.server
    ending = {"source": mesh.one, "destination": mesh.two}[side]
    with client.connect(server.ipv4, 8080) as connection:
        converse(connection)
        ending.process.send_signal(signal.SIGTERM)
        wait_for(lambda: connect_fails(client, server.ipv4, 8080), "new connections fail", 10)
        for _ in range(3):
            assert connect_fails(client, server.ipv4, 8080)
        assert ending.alive()
        converse(connection)
        assert ending.alive()
    wait_for(lambda: not ending.alive(), f"{ending.name} ends")
    assert ending.process.returncode == 0
    assert connect_fails(client, server.ipv4, 8080), "with --on-exit keep the pod's capture stays closed"
    # The connection that outlived the signal is complete and whole at both ends.
    for daemon, direction in ((mesh.one, "outbound"), (mesh.two, "inbound")):
        wait_for(
            lambda: len([
                line for line in daemon.lines("connection complete", f'direction="{direction}"')
                if "error=" not in line and re.search(r"bytes_(sent|recv)=44\b", line)]) == 1,
            f"{daemon.name} logs it once, as complete")


def test_17_new_calls_go_plainly_when_nothing_is_kept(mesh):
    """The default at exit: rules are removed, and ordinary programs go on without the mesh."""
    start(mesh)
    client, server = mesh.world.client, mesh.world.server
    exchange(client, server.ipv4, 8080)
    assert mesh.one.stop() == 0
    exchange(client, server.ipv4, 8080)
    wait_for(
        lambda: [line for line in mesh.two.lines("connection complete", 'direction="inbound"') if "src.identity" not in line],
        "the second call came in plaintext")


def test_18_server_leaves(mesh):
    """The server's pod is taken out of the mesh while its application runs on: whoever believes that it is in gets nothing.

    The client's daemon still thinks that the pod has a tunnel port, so its tunnel finds nobody and the application's connection
    ends without a byte; the connection that was open fails too. Better than upstream, it is cut at once and both lines name the reason.
    """
    start(mesh)
    client, server = mesh.world.client, mesh.world.server
    with client.connect(server.ipv4, 8080) as connection:
        converse(connection)
        mesh.two.ztun("pod", "remove", "default/server")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b"", "the open connection ends"
        mesh.two.wait_for_line("connection complete", 'direction="inbound"', 'reason="pod_removed"')
    assert connect_fails(client, server.ipv4, 8080)
    assert "15008" in mesh.one.wait_for_line('direction="outbound"', "error=", "connect_failed")
    # The application itself never went away.
    exchange(mesh.world.outsider, server.ipv4, 8080)


def certificates(daemon):
    return {entry["identity"] for entry in daemon.status()["certificates"] if entry["state"] == "Available"}


def test_25_certificates_follow_the_pods(mesh):
    """A daemon has the certificates of its own node's pods: not those of other nodes, and not those of pods that have left."""
    start(mesh)
    world = mesh.world
    wait_for(lambda: certificates(mesh.one) == {world.client.identity, world.denied.identity}, "those of the first node")
    assert certificates(mesh.two) == {world.server.identity}
    # A workload elsewhere changes nothing; a pod of its own does.
    late = mesh.first.pod("late", 30)
    mesh.state.workload("late", late.ips, "n1")
    mesh.state.workload("far", ["10.61.2.99"], "n2")
    mesh.state.write(mesh.state_path)
    mesh.one.ztun("pod", "add", late.enrolment)
    expected = {world.client.identity, world.denied.identity, late.identity}
    wait_for(lambda: certificates(mesh.one) == expected, "the new pod's is there")
    exchange(late, world.server.ipv4, 8080)
    assert certificates(mesh.two) == {world.server.identity}
    mesh.one.ztun("pod", "remove", "default/late")
    wait_for(lambda: certificates(mesh.one) == expected - {late.identity}, "the pod's certificate goes with it")
    gauges = [line for line in mesh.one.get(15020, "/metrics")[1].splitlines()
              if line.startswith("ztun_certificate_not_after_seconds{")]
    assert len(gauges) == 2 and not any("sa/late" in line for line in gauges)


def test_26_metrics_from_a_captured_pod(mesh):
    """A captured Prometheus reads the node's metrics.

    Upstream's daemon is itself a pod of the mesh, so that this goes through a tunnel; ours is not: the address is outside the mesh
    and called in plaintext, and the access log says so.
    """
    start(mesh)
    client = mesh.world.client
    result = client.curl(f"http://{mesh.first.ipv4}:15020/metrics", "-w", "%{stderr}%{http_code}")
    assert result.returncode == 0 and result.stderr.endswith("200")
    assert "istio_tcp_connections_opened_total" in result.stdout
    line = mesh.one.wait_for_line("connection complete", 'direction="outbound"', f"dst.addr={mesh.first.ipv4}:15020")
    assert "src.identity" not in line and "dst.hbone_addr" not in line and "error=" not in line


def test_shutdown_over_the_admin_port(mesh):
    """POST /quitquitquit drains and ends, as a signal does; a GET does nothing."""
    start(mesh)
    url = "http://127.0.0.1:15000/quitquitquit"
    assert mesh.second.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url).stdout == "405"
    with mesh.world.client.connect(mesh.world.server.ipv4, 8080) as connection:
        converse(connection)
        assert mesh.second.run("curl", "-sS", "-X", "POST", url).returncode == 0
        mesh.two.wait_for_line("drain started")
        converse(connection)
    assert mesh.two.process.wait(15) == 0
    assert mesh.two.lines("shutdown complete")


@pytest.mark.parametrize("port", [15000, 15020, 15021])
def test_a_port_of_the_daemon_that_is_taken_ends_the_start(mesh, port):
    """Admin, metrics and readiness: the start fails with what, why and the next step, and leaves no rule in a pod."""
    with inside(mesh.second.netns), socket.create_server(("127.0.0.1", port)):
        two = mesh.start_ztund(mesh.second, mesh.world.second_pods, ready=False)
        assert wait_for(lambda: two.process.poll(), "it ends") == 1
    last = two.text().splitlines()[-1]
    assert last.startswith("ztund: ") and str(port) in last and "EADDRINUSE" in last, last
    assert not capture_of(mesh.world.server)
