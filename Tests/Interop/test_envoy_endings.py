"""How tunnels with the real Envoy end: GOAWAY in mid-life, half-closes and resets, and authorities that are odd."""
import socket
import struct

import pytest

from support.capture import node_flags
from support.netns import receive
from support.servers import Server
from support.waiting import wait_for

pytestmark = pytest.mark.root


class FirstToEnd(Server):
    """Says its piece, ends its side, and only then reads: what still came is kept."""

    def __init__(self, pod, port):
        self.heard = []
        super().__init__(pod, port)

    def serve(self, connection, _):
        connection.sendall(b"said")
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while part := connection.recv(65536):
            data += part
        self.heard.append(data)


class Watcher(Server):
    """Echoes, and keeps how each connection ended."""

    def __init__(self, pod, port):
        self.ends = []
        super().__init__(pod, port)

    def serve(self, connection, _):
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
            self.ends.append("end")
        except ConnectionResetError:
            self.ends.append("reset")


def echo(connection, text=b"x"):
    connection.settimeout(10)
    connection.sendall(text)
    assert receive(connection, len(text)) == text


def open_echo(mesh, port=7000):
    connection = mesh.world.client.connect(mesh.world.server.ipv4, port)
    echo(connection)
    return connection


@pytest.fixture
def ours_to_envoy(mesh, envoy):
    """Our outbound in front of an Envoy with these HCM options."""
    daemons = []

    def begin(options=""):
        envoy(mesh.world.server, "envoy-server.yaml", streams=100, options=options).wait_for_port(15008)
        daemons.append(mesh.start_ztund(mesh.first, [mesh.world.client], "--workers", "1"))
        return daemons[0]

    yield begin
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def envoy_to_ours(mesh, envoy, captured_by_envoy):
    """An Envoy in front of our inbound."""
    daemons = []

    def begin(**values):
        daemons.append(mesh.start_ztund(mesh.second, [mesh.world.server]))
        envoy(mesh.world.client, "envoy-client.yaml", peer=mesh.world.server.identity, source="0.0.0.0", **values
              ).wait_for_port(15001)
        return daemons[0]

    yield begin
    for daemon in daemons:
        daemon.stop()


def test_goaway_of_envoy_in_mid_life(mesh, ours_to_envoy):
    """Envoy ends its connections after a second: what runs goes on in the old tunnel, new calls take another, none fails."""
    one = ours_to_envoy("drain_timeout: 1s\n          common_http_protocol_options: {max_connection_duration: 1s}")

    def tunnels():
        return sum(worker["tunnels"] for worker in one.status()["workers"])

    with open_echo(mesh) as old:
        for turn in range(3):
            # A second after its opening the tunnel takes no streams any more, so that each turn needs another.
            wait_for(lambda: open_echo(mesh).close() or tunnels() > 1, "a new tunnel beside the old one", 15, 0.1)
            echo(old, b"still %d" % turn)
            wait_for(lambda: tunnels() == 1, "the later tunnels end with their last stream", 15, 0.1)
        echo(old, b"to the last")
    wait_for(lambda: tunnels() == 0, "the old one ends with its stream", 15)
    assert one.metric("istio_tcp_connections_failed_total") == 0


def test_our_goaway_in_mid_life(mesh, envoy_to_ours, monkeypatch):
    """Our daemon drains under Envoy: what runs goes on, Envoy dials anew, to the successor, and no call fails."""
    monkeypatch.setenv("CONNECTION_TERMINATION_DEADLINE", "30s")
    two = envoy_to_ours()
    with open_echo(mesh) as old:
        successor_dir = mesh.folder / "successor"
        successor_dir.mkdir(exist_ok=True)
        successor = type(two)(
            mesh.second, successor_dir,
            ["--state", mesh.state_path, *mesh.identity_arguments([mesh.world.server]), "--pod",
             mesh.world.server.enrolment, "--admin-address", "127.0.0.1:25000", "--metrics-address", "127.0.0.1:25020",
             "--readiness-address", "127.0.0.1:25021", *node_flags(mesh.folder, mesh.second.name)], ready=False)
        try:
            successor.wait_for_line("is enrolled")
            two.process.terminate()
            two.wait_for_line("drain started")
            wait_for(lambda: open_echo(mesh).close() or successor.lines('direction="inbound"', ":7000"),
                     "Envoy's next stream reaches the successor", 20, 0.1)
            for turn in range(20):
                open_echo(mesh).close()
                echo(old, b"still %d" % turn)
            old.close()
            assert two.process.wait(20) == 0, "it ends when its last stream has"
            open_echo(mesh).close()
        finally:
            successor.stop()
    assert not two.lines('reason="drain_deadline"')


@pytest.mark.parametrize("role", ["ours_to_envoy", "envoy_to_ours"])
def test_the_caller_ends_first(mesh, request, role):
    request.getfixturevalue(role)()
    with Watcher(mesh.world.server, 7300) as watcher:
        with open_echo(mesh, 7300) as connection:
            connection.sendall(b"last words")
            connection.shutdown(socket.SHUT_WR)
            assert receive(connection, 100) == b"last words"
        wait_for(lambda: watcher.ends == ["end"], "the application sees an end, not a reset")


def test_the_application_ends_first_behind_ours(mesh, envoy_to_ours):
    """What the caller says after the application has ended its side still arrives.

    With Envoy in front of the application it does not: its router ends a request whose answer is complete.
    """
    envoy_to_ours()
    with FirstToEnd(mesh.world.server, 7301) as server:
        with mesh.world.client.connect(mesh.world.server.ipv4, 7301) as connection:
            connection.settimeout(10)
            assert receive(connection, 100) == b"said"
            connection.sendall(b"and yet")
            connection.shutdown(socket.SHUT_WR)
            wait_for(lambda: server.heard == [b"and yet"], "it is heard")


def test_the_application_ends_first_behind_envoy(mesh, ours_to_envoy):
    ours_to_envoy()
    with FirstToEnd(mesh.world.server, 7302):
        with mesh.world.client.connect(mesh.world.server.ipv4, 7302) as connection:
            connection.settimeout(10)
            assert receive(connection, 100) == b"said", "all it said, then its end"


@pytest.mark.parametrize("role", ["ours_to_envoy", "envoy_to_ours"])
def test_a_reset_of_the_caller_reaches_the_application(mesh, request, role):
    request.getfixturevalue(role)()
    with Watcher(mesh.world.server, 7303) as watcher:
        connection = open_echo(mesh, 7303)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        wait_for(lambda: watcher.ends, "the application's connection ends")
        # Envoy's own way of ending a TCP connection may be an orderly one; ours carries the reset.
        assert role == "ours_to_envoy" or watcher.ends == ["reset"]


ODD = {
    "nonsense": False, "10.61.2.77:8080": False, "127.0.0.1:8080": False, "10.61.2.10:15008": False, "10.61.2.10:0": False,
    "10.61.2.10": False, "[::ffff:10.61.2.10]:8080": False, "nosuch.default.svc.cluster.local:80": False,
    "server.default.svc.cluster.local:80": True, "10.61.2.10:8080": True,
}


@pytest.mark.parametrize("authority", ODD)
def test_an_odd_authority_from_envoy(mesh, envoy_to_ours, authority):
    """Only what belongs to the pod is let in; the refusal is a closed connection at Envoy's client, and a reason here."""
    two = envoy_to_ours(authority=authority)
    result = mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=10)
    assert (result.returncode == 0) is ODD[authority], result.stderr
    if not ODD[authority]:
        two.wait_for_line('direction="inbound"', "reason=")
    assert two.alive()
