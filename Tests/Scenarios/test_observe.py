"""`ztun observe`: flows with verdict and reason, and the time of each on the leg where it was spent, and on no other."""
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from support import netns
from support.filemesh import FileMesh
from support.gateway import Gateway, server_context
from support.programs import program
from support.servers import EchoServer, Server
from support.slowlink import SlowLink
from support.waiting import wait_for
from support.world import VIP, World, make_network

DELAY = 0.6


class SlowAnswer(Server):
    """Answers what it reads after a while."""

    def serve(self, connection, address):
        while data := connection.recv(65536):
            time.sleep(DELAY)
            connection.sendall(data)


class SlowPeer(Gateway):
    """A tunnel server that takes its time for the handshake (`before_tls`) or for the answer (`before_answer`)."""

    before_tls = before_answer = 0.0

    def _serve(self, raw):
        time.sleep(self.before_tls)
        super()._serve(raw)

    def answer(self, _):
        time.sleep(self.before_answer)
        return ("127.0.0.1", 7000)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with make_network() as network, FileMesh(network, tmp_path_factory.mktemp("observe")) as mesh:
        world = mesh.world = World(network)
        mesh.state = world.state()
        mesh.state.write(mesh.state_path)
        mesh.use(EchoServer(world.server, 8080))
        mesh.use(SlowAnswer(world.server, 9000))
        # A peer of other make in the place of the pod `waypoint`, which here is an ordinary one.
        mesh.use(EchoServer(world.waypoint, 7000))
        chain, key = mesh.leaf("waypoint", world.waypoint.identity)
        mesh.peer = mesh.use(
            SlowPeer(world.waypoint, 15008, server_context(mesh.authority, chain, key), lambda _: mesh.peer.answer(_)))
        mesh.one = mesh.start_ztund(mesh.first, world.first_pods, "--workers", "1")
        mesh.two = mesh.start_ztund(mesh.second, world.second_pods, "--workers", "2")
        for daemon in (mesh.one, mesh.two):
            observe(daemon)
        yield mesh


def observe(daemon, *arguments):
    output = daemon.ztun("observe", "-o", "json", *arguments).stdout
    return [json.loads(line) for line in output.splitlines()]


def talk(pod, address, port, before=0.0):
    """One exchange; returns the connection's own port, which finds its flow."""
    with pod.connect(address, port, seconds=20) as connection:
        name = "%s:%d" % connection.getsockname()[:2]
        time.sleep(before)
        connection.sendall(b"hello")
        assert netns.receive(connection, 5) == b"hello"
    return name


def flow_of(daemon, address, *arguments):
    """The one flow that came from this address."""
    def found():
        flows = observe(daemon, "--from", address, "--last", "10000", *arguments)
        return [one for one in flows if one["source"]["address"] == address]

    (flow,) = wait_for(found, f"{daemon.name} has the flow of {address}")
    return flow


def port_of(daemon, port):
    """The flow of a connection by the client's port: the destination's node sees another address in front of it."""
    return wait_for(lambda: observe(daemon, "--port", port, "--last", "1"), f"{daemon.name} has a flow to {port}")[0]


def attributed(attempt, stage, most=DELAY / 2):
    """The flow whose delay is in `stage` and nowhere else. A busy machine may add a delay of its own once; never thrice."""
    for tries in range(4):
        flow = attempt()
        stages = {name: value / 1e6 for name, value in flow["stagesMicroseconds"].items()}
        others = {name: value for name, value in stages.items() if name != stage and value >= most}
        if stages.get(stage, 0) >= DELAY * 0.9 and not others:
            return flow
    raise AssertionError((stage, stages, flow))


@pytest.mark.root
def test_a_flow_at_both_ends(mesh):
    world = mesh.world
    address = talk(world.client, VIP, 80)
    flow = flow_of(mesh.one, address)
    assert flow["verdict"] == "forwarded" and flow["state"] == "closed" and "reason" not in flow
    assert (flow["direction"], flow["node"], flow["protocol"]) == ("outbound", "source", "HBONE")
    assert flow["pod"] == "default/client" and flow["target"] == f"{VIP}:80" and flow["port"] == 80
    assert flow["source"] == {"address": address, "workload": "default/client", "identity": world.client.identity}
    assert flow["destination"]["workload"] == "default/server" and flow["destination"]["identity"] == world.server.identity
    assert flow["service"] == "server.default.svc.cluster.local"
    assert (flow["bytesToDestination"], flow["bytesToSource"]) == (5, 5)
    assert {"decision", "pool", "answer", "request", "firstByte"} <= flow["stagesMicroseconds"].keys()
    assert sum(flow["stagesMicroseconds"].values()) <= flow["durationMicroseconds"] + 10_000
    for leg in ("downstream", "upstream"):
        assert flow["legs"][leg]["roundTripMicroseconds"] > 0
    inbound = port_of(mesh.two, 8080)
    assert (inbound["direction"], inbound["node"], inbound["protocol"]) == ("inbound", "destination", "HBONE")
    assert inbound["source"]["identity"] == world.client.identity and inbound["destination"]["workload"] == "default/server"
    assert (inbound["bytesToDestination"], inbound["bytesToSource"]) == (5, 5)
    assert {"decision", "connect", "firstByte"} <= inbound["stagesMicroseconds"].keys()
    assert inbound["legs"].keys() == {"downstream", "upstream"}


@pytest.mark.root
def test_a_refusal_at_both_ends(mesh):
    world = mesh.world
    world.denied.curl(f"http://{VIP}/")
    flow = wait_for(lambda: observe(mesh.one, "--from", "default/denied", "--verdict", "refused"), "the source has it")[-1]
    assert (flow["reason"], flow["policy"] if "policy" in flow else "") in (
        ("policy_denied", ""), ("policy_denied", "default/deny-denied"))
    assert "policy_denied" in flow["detail"]
    inbound = wait_for(
        lambda: observe(mesh.two, "--reason", "policy_denied", "--namespace", "default"), "the destination too")[-1]
    assert inbound["policy"] == "default/deny-denied" and inbound["source"]["identity"] == world.denied.identity
    assert not observe(mesh.two, "--reason", "policy_denied", "--verdict", "forwarded")


@pytest.mark.root
def test_plaintext_both_ways(mesh):
    world = mesh.world
    with EchoServer(world.plain, 8081):
        flow = flow_of(mesh.one, talk(world.client, world.plain.ipv4, 8081))
    assert flow["protocol"] == "TCP" and "connect" in flow["stagesMicroseconds"] and "tls" not in flow["stagesMicroseconds"]
    assert "identity" not in flow["source"] and flow["destination"]["workload"] == "default/plain"
    address = talk(world.outsider, world.server.ipv4, 8080)
    inbound = flow_of(mesh.two, address)
    assert (inbound["direction"], inbound["protocol"], inbound["source"]["workload"]) == ("inbound", "TCP", "default/outsider")
    assert inbound["legs"]["upstream"]["roundTripMicroseconds"] > 0


@pytest.mark.root
def test_a_slow_application_is_the_first_byte(mesh):
    world = mesh.world
    attributed(lambda: flow_of(mesh.one, talk(world.client, world.server.ipv4, 9000)), "firstByte")
    def at_the_server():
        talk(world.client, world.server.ipv4, 9000)
        return port_of(mesh.two, 9000)
    attributed(at_the_server, "firstByte")


@pytest.mark.root
def test_a_slow_client_is_the_request(mesh):
    world = mesh.world
    attributed(lambda: flow_of(mesh.one, talk(world.client, world.server.ipv4, 8080, before=DELAY)), "request")


@pytest.mark.root
def test_a_full_accept_queue_is_the_connect_there_and_the_answer_here(mesh):
    """The application's listener has no room: the kernel drops the SYN, which comes again after a second."""
    world = mesh.world

    def attempt(daemon_flow):
        with netns.inside(world.server.netns):
            listener = socket.create_server((world.server.ipv4, 9001), backlog=0)
            listener.settimeout(20)
            fill = socket.create_connection((world.server.ipv4, 9001), 5)
        with listener, fill:
            def serve():
                time.sleep(0.4)
                for _ in range(2):
                    connection, _ = listener.accept()
                    opened.append(connection)
                opened[-1].sendall(opened[-1].recv(100))

            opened = []
            thread = threading.Thread(target=serve)
            thread.start()
            address = talk(world.client, world.server.ipv4, 9001)
            thread.join()
            for connection in opened:
                connection.close()
        return daemon_flow(address)

    attributed(lambda: attempt(lambda address: flow_of(mesh.one, address)), "answer")
    attributed(lambda: attempt(lambda _: port_of(mesh.two, 9001)), "connect")


@pytest.mark.root
def test_a_slow_handshake_is_tls(mesh):
    def attempt():
        mesh.peer.cut()
        mesh.peer.before_tls = DELAY
        try:
            return flow_of(mesh.one, talk(mesh.world.client, mesh.world.waypoint.ipv4, 7000))
        finally:
            mesh.peer.before_tls = 0.0

    flow = attributed(attempt, "tls")
    assert flow["stagesMicroseconds"]["connect"] < DELAY * 1e6 / 2


@pytest.mark.root
def test_a_slow_answer_to_connect_is_the_answer(mesh):
    def attempt():
        mesh.peer.before_answer = DELAY
        try:
            return flow_of(mesh.one, talk(mesh.world.client, mesh.world.waypoint.ipv4, 7000))
        finally:
            mesh.peer.before_answer = 0.0

    attributed(attempt, "answer")


@pytest.mark.root
def test_who_waits_for_a_dial_of_another_waits_for_the_same(mesh):
    """Two connections, one dial: both have their part of its handshake."""
    mesh.peer.cut()
    mesh.peer.before_tls = DELAY
    try:
        addresses = []
        threads = [
            threading.Thread(target=lambda: addresses.append(talk(mesh.world.client, mesh.world.waypoint.ipv4, 7000)))
            for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        mesh.peer.before_tls = 0.0
    for address in addresses:
        stages = flow_of(mesh.one, address)["stagesMicroseconds"]
        assert stages["tls"] > stages["pool"] and stages["tls"] > DELAY * 1e6 / 2


@pytest.mark.root
def test_a_proxy_that_hangs_is_the_capture(mesh):
    """The kernel has the connection; the proxy comes to it late."""
    world = mesh.world

    def attempt():
        os.kill(mesh.one.pid, signal.SIGSTOP)
        try:
            connection = world.client.connect(world.server.ipv4, 8080, seconds=20)
            time.sleep(DELAY + 0.1)
        finally:
            os.kill(mesh.one.pid, signal.SIGCONT)
        with connection:
            connection.sendall(b"hello")
            assert netns.receive(connection, 5) == b"hello"
            address = "%s:%d" % connection.getsockname()[:2]
        return flow_of(mesh.one, address)

    attributed(attempt, "capture")


@pytest.mark.root
def test_a_long_path_is_the_connect_and_the_leg_upstream(mesh):
    """Packets to one pod take longer, and one gets lost: the leg towards it shows both, the other leg neither."""
    world = mesh.world

    def attempt():
        mesh.peer.cut()
        return flow_of(mesh.one, talk(world.client, world.waypoint.ipv4, 7000))

    with SlowLink(mesh.first, mesh.second, world.waypoint.ipv4, DELAY / 4, lost_syns=1) as link:
        # The lost SYN comes again after a second, which is the connect's.
        flow = attempt()
        assert link.lost == 1
        stages = flow["stagesMicroseconds"]
        assert stages["connect"] >= 1e6 and stages["connect"] > max(
            value for stage, value in stages.items() if stage != "connect")
        upstream, downstream = flow["legs"]["upstream"], flow["legs"]["downstream"]
        assert upstream["roundTripMicroseconds"] > DELAY * 1e6 / 8 > downstream["roundTripMicroseconds"]
        assert upstream["retransmits"] >= 1 and downstream["retransmits"] == 0
    assert not mesh.first.run("ip", "-o", "link").stdout.count("slow0")
    mesh.peer.cut()


@pytest.mark.root
def test_flows_that_are_open(mesh):
    world = mesh.world
    with world.client.connect(world.server.ipv4, 8080) as connection:
        connection.sendall(b"x" * 1000)
        assert len(netns.receive(connection, 1000)) == 1000
        address = "%s:%d" % connection.getsockname()[:2]
        (flow,) = [one for one in observe(mesh.one, "--open", "--last", "0") if one["source"]["address"] == address]
        assert flow["state"] == "open" and flow["bytesToSource"] == 1000
        assert flow["legs"]["upstream"]["roundTripMicroseconds"] > 0
        inbound = observe(mesh.two, "--open", "--last", "0", "--to", "default/server")
        assert any(one["state"] == "open" and one["bytesToDestination"] == 1000 for one in inbound)
    wait_for(lambda: not [
        one for one in observe(mesh.one, "--open", "--last", "0") if one["source"]["address"] == address], "it is gone")


@contextlib.contextmanager
def following(daemon, *arguments):
    process = subprocess.Popen(
        [program("ztun"), "observe", "-f", "--run-dir", str(daemon.run_dir), *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, bufsize=0)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process, seconds=10):
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    assert ready, "no line came"
    return process.stdout.readline().decode()


@pytest.mark.root
def test_following_with_a_filter(mesh):
    world = mesh.world
    with following(mesh.one, "-o", "json", "--service", "server", "--from", "default/client") as process, \
            following(mesh.one, "-o", "wide", "--from", "default/client") as wide:
        header = line_of(wide)
        assert header.split() == [
            "TIME", "VERDICT", "NODE", "PROTOCOL", "FROM", "TO", "SENT", "RECEIVED", "DURATION", "SLOWEST", "REASON"]
        wait_for(
            lambda: talk(world.client, VIP, 80) and select.select([process.stdout], [], [], 0.5)[0], "the stream has begun", 20)
        row = line_of(wide)
        assert "forwarded" in row and "default/client:" in row and "default/server:" in row
        assert f"from {world.client.identity}" in line_of(wide)
        assert "firstByte" in line_of(wide) and "downstream rtt" in line_of(wide) and "upstream rtt" in line_of(wide)
        other = talk(world.client, world.waypoint.ipv4, 7000)
        address = talk(world.client, VIP, 80)
        seen = []
        while not seen or seen[-1] != address:
            seen.append(json.loads(line_of(process))["source"]["address"])
        assert other not in seen


@pytest.mark.root
def test_filters(mesh):
    world = mesh.world
    talk(world.client, VIP, 80)
    wait_for(lambda: observe(mesh.one, "--service", "server.default.svc.cluster.local"), "a flow")
    for arguments, some in [
        (("--from", "client"), True), (("--from", world.client.ipv4), True), (("--from", "sa/client"), True),
        (("--from", "default/server"), False), (("--to", "default/server"), True), (("--to", "server.default"), True),
        (("--namespace", "default"), True), (("--namespace", "other"), False), (("--port", "80"), True), (("--port", "81"), False),
        (("--service", "default/server"), True), (("--service", "nothing"), False), (("--verdict", "forwarded"), True),
        (("--reason", "drain_deadline"), False), (("--last", "0"), False),
    ]:
        assert bool(observe(mesh.one, *arguments)) == some, arguments
    assert len(observe(mesh.one, "--last", "2")) == 2


@pytest.mark.root
def test_a_reader_that_stalls_misses_flows_and_hears_how_many(mesh):
    """The ring goes on without it; nobody waits for it."""
    world = mesh.world
    reader = socket.socket(socket.AF_UNIX)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(str(mesh.one.run_dir / "ztund.sock"))
    with reader:
        reader.sendall(b"GET /flows?follow HTTP/1.1\r\nhost: x\r\n\r\n")
        reader.settimeout(20)
        assert reader.recv(12) == b"HTTP/1.1 200"
        # Refusals are quick to make: nobody listens there, in the pod's own node's namespace.
        count = 0
        before = mesh.one.metric("ztun_refusals_total")
        while count < 6000:
            with netns.inside(world.client.netns):
                batch = [socket.socket() for _ in range(200)]
            for one in batch:
                one.setblocking(False)
                one.connect_ex((world.server.ipv4, 1))
            count += len(batch)
            wait_for(
                lambda: mesh.one.metric("ztun_refusals_total") - before >= count, "they are refused", 60)
            for one in batch:
                one.close()
        assert talk(world.client, VIP, 80), "who does not read keeps nobody waiting"
        data, lost, lines = b"", 0, 0
        while not lost:
            chunk = reader.recv(1 << 20)
            assert chunk
            *whole, data = (data + chunk).split(b"\n")
            for line in whole:
                if line.startswith(b'{"lost"'):
                    lost = json.loads(line)["lost"]
                elif line.startswith(b"{"):
                    lines += 1
        assert lost > 0 and lost + lines <= count + 200


def test_hostile_text_is_made_harmless(tmp_path):
    hostile = "x\x1b[31m\nFORGED\r\u202e"
    flow = {
        "time": "2026-11-21T00:00:00Z", "unixMicroseconds": 1, "verdict": hostile, "reason": hostile, "detail": hostile,
        "source": {"address": hostile, "workload": hostile, "identity": hostile}, "target": hostile, "policy": hostile}
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "ztund.sock"))
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(flow).encode() + b"\n")

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        result = subprocess.run(
            [program("ztun"), "observe", "-o", "wide", "--run-dir", str(tmp_path)], capture_output=True, text=True, timeout=20)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.stdout) and "FORGED" in result.stdout
    assert not [line for line in result.stdout.splitlines() if line.startswith("FORGED")]


@pytest.mark.parametrize("arguments, code", [
    (["--last", "10001"], 2), (["--verdict", "maybe"], 2), (["--reason", "nonsense"], 2), (["--port", "65536"], 2),
    (["-o", "xml"], 2), ([], 3), (["-f"], 3),
])
def test_wrong_usage_and_nobody_there(tmp_path, arguments, code):
    result = subprocess.run(
        [program("ztun"), "observe", *arguments, "--run-dir", str(tmp_path)], capture_output=True, text=True, timeout=20)
    assert result.returncode == code and result.stderr and not result.stdout
