"""Reasons that need a life of their own: a dead network, a full process, a revoked certificate, a drain and its end."""
import contextlib
import re
import threading

import h2.exceptions
import pytest

from support.filemesh import FileMesh
from support.identities import file_stage, start
from support.reasons import call, denials, seen, stranger
from support.servers import EchoServer, Server
from support.waiting import wait_for
from support.world import World, make_network

pytestmark = pytest.mark.root


class DeafServer(Server):
    """Accepts and reads nothing, so that what is sent to it waits in the proxy."""

    def __init__(self, pod, port):
        self.leave = threading.Event()
        super().__init__(pod, port)

    def serve(self, connection, _):
        self.leave.wait(120)

    def __exit__(self, *more):
        self.leave.set()
        return super().__exit__(*more)


@pytest.fixture
def bare(tmp_path):
    """Network, state and an echo; daemons are left to the test."""
    with make_network() as network, FileMesh(network, tmp_path) as mesh:
        mesh.world = World(network)
        mesh.world.state().write(mesh.state_path)
        mesh.use(EchoServer(mesh.world.server, 7000))
        yield mesh


def open_echo(mesh):
    connection = mesh.world.client.connect(mesh.world.server.ipv4, 7000)
    connection.settimeout(60)
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"
    return connection


def ends(connection):
    """Waits for the end of a connection that says nothing more."""
    with contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""


def test_peer_unresponsive_at_both_ends(bare):
    """The network between the nodes swallows everything: each end gives the other up after its pings, within 30 s of silence."""
    mesh = bare
    one = mesh.start_ztund(mesh.first, mesh.world.first_pods)
    two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
    with open_echo(mesh) as connection:
        rules = ["add table ip hole", "add chain ip hole way { type filter hook forward priority 0 ; }",
                 f"add rule ip hole way ip saddr {mesh.world.server.ipv4} drop",
                 f"add rule ip hole way ip daddr {mesh.world.server.ipv4} drop"]
        with seen("peer_unresponsive", one, two, seconds=60):
            mesh.first.run("nft", "; ".join(rules))
            ends(connection)
        # Both ends: the pod that called, and the pod that was called.
        assert one.lines('reason="peer_unresponsive"', 'direction="outbound"', 'src.workload="client"', ":7000")
        assert two.lines('reason="peer_unresponsive"', 'direction="inbound"', 'dst.workload="server"', ":7000")
    mesh.first.run("nft", "delete", "table", "ip", "hole")
    wait_for(lambda: open_echo(mesh).close() is None, "a new tunnel is made once the network is back", 20)


def test_over_limit_in_the_reply_and_at_both_ends(bare):
    """A pod whose application reads nothing uses its memory up; the next CONNECT is told so."""
    mesh = bare
    settings = mesh.folder / "budget.yaml"
    settings.write_text("podMemoryBudget: 1048576\n")
    deaf = mesh.use(DeafServer(mesh.world.server, 7200))
    one = mesh.start_ztund(mesh.first, mesh.world.first_pods)
    two = mesh.start_ztund(mesh.second, mesh.world.second_pods, "--config", settings, "--workers", "1")
    stop = threading.Event()
    senders = []

    def send():
        # What is cut to make room is sent again by the next connection.
        while not stop.is_set():
            with contextlib.suppress(OSError), mesh.world.client.connect(mesh.world.server.ipv4, 7200) as connection:
                connection.settimeout(0.5)
                while not stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        connection.sendall(bytes(65536))

    try:
        for _ in range(16):
            senders.append(threading.Thread(target=send, daemon=True))
            senders[-1].start()
        replies = set()

        def told():
            with stranger(mesh, mesh.world.server) as peer:
                status, _, headers = peer.connect(f"{mesh.world.server.ipv4}:7000")
                replies.add((status, re.sub(r".*details=", "", headers.get("proxy-status", ""))))
            # Another pod's tunnel: that of the senders is not read from while there is no room.
            call(mesh.world.denied, mesh.world.server.ipv4, 7000, 1)
            return one.metric("ztun_refusals_total", reason="over_limit") > 0 and (503, '"over_limit"') in replies

        with seen("over_limit", one, two, seconds=40):
            wait_for(told, "a CONNECT is refused for want of memory", 40)
            assert replies <= {(200, ""), (503, '"over_limit"')}
    finally:
        stop.set()
        deaf.leave.set()
        for sender in senders:
            sender.join(20)
    wait_for(lambda: open_echo(mesh).close() is None, "there is room again", 20)


@pytest.mark.parametrize("revoked, where", [("client", "two"), ("server", "one")])
def test_certificate_revoked(tmp_path, revoked, where):
    with file_stage(tmp_path) as mesh:
        crl = tmp_path / "crl.pem"
        crl.write_bytes(mesh.pki.revocations())
        start(mesh)
        getattr(mesh, where).stop()
        node, pods = (mesh.first, mesh.world.first_pods) if where == "one" else (mesh.second, mesh.world.second_pods)
        daemon = mesh.start_ztund(node, pods, "--crl", crl)
        with open_echo(mesh) as connection:
            with seen("certificate_revoked", daemon):
                temporary = crl.with_suffix(".new")
                temporary.write_bytes(mesh.pki.revocations(mesh.pki.issued[revoked]))
                temporary.replace(crl)
                ends(connection)
        # And the next handshake.
        with seen("certificate_revoked", daemon):
            call(mesh.world.client, mesh.world.server.ipv4)


LISTENERS = {"tunnel": ("server", 15008), "captured": ("server", 8080), "opened-by-the-pod": ("plain", 8080)}


def test_draining_at_every_listener_and_what_is_left_at_the_deadline(bare, monkeypatch):
    """New work is refused with the reason while the program drains; what is open goes on, and is cut at the deadline."""
    mesh = bare
    monkeypatch.setenv("CONNECTION_TERMINATION_DEADLINE", "6s")
    world = mesh.world
    one = mesh.start_ztund(mesh.first, world.first_pods)
    two = mesh.start_ztund(mesh.second, world.second_pods)
    with open_echo(mesh) as connection, stranger(mesh, world.server) as peer:
        status, stream, _ = peer.connect(f"{world.server.ipv4}:7000")
        assert status == 200
        two.process.terminate()
        wait_for(lambda: two.status()["draining"], "the drain is seen")
        # Somebody from outside at both of its ports, and its own pod.
        with seen("draining", two):
            with contextlib.suppress(OSError), world.outsider.connect(world.server.ipv4, 15008) as refused:
                ends(refused)
        with seen("draining", two):
            call(world.outsider, world.server.ipv4, seconds=3)
        with seen("draining", two):
            call(world.server, world.plain.ipv4, seconds=3)
        connection.sendall(b"y")
        assert connection.recv(1) == b"y", "what is open goes on"
        # On a tunnel that is there a new CONNECT is answered with the reason, or not at all once GOAWAY forbade it.
        with contextlib.suppress(h2.exceptions.ProtocolError):
            status, _, headers = peer.connect(f"{world.server.ipv4}:7000")
            assert status in (None, 503)
            assert status is None or 'details="draining' in headers["proxy-status"]
        two.process.wait(20)
        ends(connection)
    # The program that would count and answer has ended: this one stands in the log, and at the other end as a reset.
    assert two.lines('reason="drain_deadline"', 'direction="inbound"', ":7000")
    one.wait_for_line('reason="reset"', 'direction="outbound"', ":7000")
    assert denials(one, "drain_deadline") == 0
