"""One ztund replaces another: nothing is refused, what is open goes on, and a death in the middle leaves a working node."""
import contextlib
import json
import os
import signal
import socket
import threading
import time

import pytest

from support.capture import capture_of, node_flags
from support.mesh import NodeDaemon, Program
from support.netns import receive
from support.servers import EchoServer
from support.waiting import wait_for

pytestmark = pytest.mark.root


class Generation(NodeDaemon):
    """A ztund in the same run directory as the one that it replaces."""

    def __init__(self, mesh, node, pods, number, *more, ready=True):
        self.node = node
        arguments = ["--state", mesh.state_path, *mesh.identity_arguments(pods), "--replace", *more]
        for pod in pods:
            arguments += ["--pod", pod.enrolment]
        label = f"{node.name}-{number}"
        Program.__init__(
            self, f"ztund {number} on {node.name}", node.netns, mesh.folder, label, "ztund",
            *["--run-dir", mesh.folder / f"run-{node.name}"], *node_flags(mesh.folder, node.name, more), *arguments,
            ready=False)
        self.run_dir = mesh.folder / f"run-{node.name}"
        mesh.daemons[self.name] = self
        mesh.stack.callback(self.stop)
        if ready:
            self.wait_until_serving()

    def wait_until_serving(self):
        wait_for(lambda: self.status()["pid"] == self.pid and self.is_ready(), f"{self.name} serves", 30)


class Storm:
    """Connections one after another from several threads; every failure is kept."""

    def __init__(self, pod, address, port, threads=4):
        self.pod, self.address, self.port = pod, address, port
        self.failures, self.count, self.over = [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def run(self):
        while not self.over.is_set():
            began = time.monotonic()
            try:
                with self.pod.connect(self.address, self.port, 20) as connection:
                    connection.settimeout(20)
                    connection.sendall(b"storm")
                    assert receive(connection, 5) == b"storm", "closed without an answer"
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


def echo(connection, data=b"x"):
    connection.sendall(data)
    return receive(connection, len(data)) == data


@pytest.mark.parametrize(
    "which, who", [("one", "client"), ("two", "client"), ("two", "outsider")], ids=["outbound", "tunnel", "plaintext"])
def test_a_replacement_under_a_storm(own_mesh, which, who):
    mesh = own_mesh
    node, pods = {
        "one": (mesh.first, mesh.world.first_pods), "two": (mesh.second, mesh.world.second_pods)}[which]
    old = getattr(mesh, which)
    server = mesh.world.server
    with Storm(getattr(mesh.world, who), server.ipv4, 7000) as storm:
        wait_for(lambda: storm.count > 50, "the storm blows", 30)
        new = Generation(mesh, node, pods, 2)
        alone = storm.count
        wait_for(lambda: storm.count > alone + 100, "it blows on with the new one", 30)
        assert old.process.wait(20) == 0, old.text()[-2000:]
        assert old.lines("has taken over all pods")
        alone = storm.count
        wait_for(lambda: storm.count > alone + 100, "and with the new one alone", 30)
    assert storm.failures == []
    status = new.status()
    assert status["generation"] == 2
    assert not any(pod["repairs"] for pod in status["pods"]), "what was installed is taken over as it is"
    assert capture_of(pods[0])


class LongEcho:
    """A connection that sends numbered blocks and reads them back until it is closed; every break is kept."""

    def __init__(self, pod, address, port):
        self.connection = pod.connect(address, port)
        self.connection.settimeout(20)
        self.rounds, self.failure, self.over = 0, None, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.over.is_set():
                block = self.rounds.to_bytes(8, "big") * 2048
                assert echo(self.connection, block), f"round {self.rounds}"
                self.rounds += 1
                self.over.wait(0.01)
        except (OSError, AssertionError) as error:
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.connection.close()

    def goes_on(self):
        seen = self.rounds
        wait_for(lambda: self.failure or self.rounds > seen + 3, "the echo goes on", 30)
        assert self.failure is None, f"{self.failure!r} after {self.rounds} rounds"


def replaced_again_and_again(mesh, times):
    """Replaces the ztund of the second node under storms of all kinds and long-lived echoes without a tunnel."""
    world = mesh.world
    mesh.use(EchoServer(world.plain, 7000))
    first, old = mesh.one, mesh.two
    with contextlib.ExitStack() as stack:
        storms = [
            stack.enter_context(Storm(world.client, world.server.ipv4, 7000, 2)),
            stack.enter_context(Storm(world.outsider, world.server.ipv6, 7000, 2)),
            stack.enter_context(Storm(world.client, world.plain.ipv4, 7000, 1)),
        ]
        echoes = [
            stack.enter_context(LongEcho(world.outsider, world.server.ipv4, 7000)),
            stack.enter_context(LongEcho(world.client, world.plain.ipv4, 7000)),
        ]
        for number in range(2, times + 2):
            if number % 2:
                new = Generation(mesh, mesh.first, world.first_pods, number)
                first, gone = new, first
            else:
                new = Generation(mesh, mesh.second, world.second_pods, number)
                old, gone = new, old
            for long in echoes:
                long.goes_on()
            assert gone.process.wait(30) == 0, gone.text()[-2000:]
            before = [storm.count for storm in storms]
            wait_for(lambda: all(s.count > n + 5 for s, n in zip(storms, before)), "the storms go on", 30)
            assert [storm.failures for storm in storms] == [[], [], []], f"at replacement {number - 1}"
    assert min(long.rounds for long in echoes) > times
    return first, old


def test_ten_replacements(own_mesh):
    first, second = replaced_again_and_again(own_mesh, 10)
    assert {first.status()["generation"], second.status()["generation"]} == {6}


@pytest.mark.slow
def test_a_hundred_replacements(own_mesh):
    first, second = replaced_again_and_again(own_mesh, 100)
    assert {first.status()["generation"], second.status()["generation"]} == {51}


class Peer:
    """Speaks the handover protocol from outside, as far as a test wants, to see what the other side makes of its end."""

    def __init__(self, run_dir):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(15)
        self.socket.connect(str(run_dir / "ztund-handover.sock"))
        self.descriptors = []

    def send(self, **message):
        text = json.dumps(message).encode()
        self.socket.send(len(text).to_bytes(4, "little") + text)

    def hello(self, version=1, capture="auto"):
        self.send(hello={"_0": {
            "protocolVersion": version, "pid": os.getpid(), "program": "test", "generation": 0, "capture": capture}})

    def receive(self):
        """(kind, content), or None at the end."""
        data, descriptors, _, _ = socket.recv_fds(self.socket, 200_000, 64)
        self.descriptors += descriptors
        if not data:
            return None
        length = int.from_bytes(data[:4], "little")
        ((kind, content),) = json.loads(data[4 : 4 + length]).items()
        return kind, content.get("_0", content)

    def receive_until(self, kind):
        seen = []
        while True:
            seen.append(self.receive())
            assert seen[-1], f"ended after {seen}"
            if seen[-1][0] == kind:
                return seen

    def close(self):
        self.socket.close()
        for descriptor in self.descriptors:
            os.close(descriptor)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def still_serves(mesh, daemon):
    """Every kind of new connection works, and the commands that waited are taken."""
    world = mesh.world
    for pod in (world.client, world.outsider):
        with pod.connect(world.server.ipv4, 7000) as connection:
            connection.settimeout(10)
            assert echo(connection)
    assert daemon.status()["pid"] == daemon.pid
    late = world.plain
    wait_for(lambda: daemon.ztun("pod", "add", late.enrolment, check=False).returncode == 0, "pods come and go", 20)
    daemon.ztun("pod", "remove", "default/plain")


def test_a_stranger_version_is_refused_and_the_old_one_serves_on(own_mesh):
    daemon = own_mesh.two
    for different in ({"version": 99}, {"capture": "external"}):
        with Peer(daemon.run_dir) as peer:
            peer.hello(**different)
            kind, reason = peer.receive()
            assert kind == "refused" and "end this one first" in reason
            assert peer.receive() is None
    daemon.wait_for_line("may not take over")
    still_serves(own_mesh, daemon)


def test_garbage_at_the_handover_socket_harms_nobody(own_mesh):
    for noise in (b"", b"\xff" * 4, b"\xff\xff\xff\x7f{}", b"\x02\0\0\0{}", b"\0" * 100_000):
        with Peer(own_mesh.two.run_dir) as peer:
            if noise:
                peer.socket.send(noise)
            else:
                peer.socket.shutdown(socket.SHUT_WR)
            assert peer.receive() is None, noise[:10]
    still_serves(own_mesh, own_mesh.two)


def test_the_handover_socket_is_for_root(own_mesh):
    path = own_mesh.two.run_dir / "ztund-handover.sock"
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("step", ["hello", "complete", "serving", "yielded"])
def test_the_new_one_dies_in_the_middle(own_mesh, step):
    """Whatever it has heard so far, the old one takes everything back."""
    mesh, world = own_mesh, own_mesh.world
    with world.outsider.connect(world.server.ipv4, 7000) as relayed:
        relayed.settimeout(10)
        assert echo(relayed)
        with Peer(mesh.two.run_dir) as peer:
            peer.hello()
            if step != "hello":
                kinds = [kind for kind, _ in peer.receive_until("complete")]
                assert kinds == ["hello", "listeners", "pod", "complete"]
                assert len(peer.descriptors) == 9, "five listeners and the lock, and three of the pod"
            if step in ("serving", "yielded"):
                peer.send(serving={"listeners": []})
            if step == "yielded":
                peer.receive_until("yielded")
        mesh.two.wait_for_line("a handover was given up")
        assert echo(relayed)
        still_serves(mesh, mesh.two)
        assert not mesh.two.status()["draining"]


def test_the_new_one_is_killed_while_it_starts(own_mesh):
    """kill -9 of a real one at many points of time, under a storm: only what it had accepted itself may break."""
    mesh = own_mesh
    with Storm(mesh.world.client, mesh.world.server.ipv4, 7000, 2) as storm:
        wait_for(lambda: storm.count > 20, "the storm blows", 30)
        for number in range(2, 8):
            before = len(mesh.two.lines("takes over")) + len(mesh.two.lines("a handover was given up"))
            new = Generation(mesh, mesh.second, mesh.world.second_pods, number, ready=False)
            if number < 7:
                # From the first word on: six different points, without a clock.
                wait_for(
                    lambda: len(mesh.two.lines("takes over")) + len(mesh.two.lines("a handover was given up")) > before
                    or mesh.two.process.poll() is not None, "it has begun", 20, every=0.001 * number)
            new.kill()
            if mesh.two.process.poll() is not None or mesh.two.lines("has taken over all pods"):
                break
        if mesh.two.lines("has taken over all pods"):
            # It had taken over when it died: a start without anything to replace follows.
            assert mesh.two.process.wait(20) == 0
            mesh.two = Generation(mesh, mesh.second, mesh.world.second_pods, 9)
        now = storm.count
        wait_for(lambda: storm.count > now + 50, "the node works", 30)
    still_serves(mesh, mesh.two)


def test_the_old_one_is_killed_in_the_middle(own_mesh):
    """The new one has the pods' listeners by then, or opens its own: it serves either way."""
    mesh = own_mesh
    for number in range(2, 6):
        old = mesh.two
        mesh.two = Generation(mesh, mesh.second, mesh.world.second_pods, number, ready=False)
        wait_for(lambda: old.lines("takes over") or not mesh.two.alive(), "it has begun", 20, every=0.001 * number)
        old.kill()
        mesh.two.wait_until_serving()
        still_serves(mesh, mesh.two)


def test_the_successor_dies_later(own_mesh):
    """What the old one carries goes on, new work is refused at once, and the next start serves without either."""
    mesh, world = own_mesh, own_mesh.world
    old = mesh.two
    with world.client.connect(world.server.ipv4, 7000) as tunnelled:
        tunnelled.settimeout(10)
        assert echo(tunnelled)
        new = Generation(mesh, mesh.second, world.second_pods, 2)
        wait_for(lambda: any(o["unfinished"] for o in new.status()["predecessors"]), "the old one is told of")
        assert new.status()["predecessors"][0]["pid"] == old.pid
        assert "generation 1" in new.ztun("status", check=False).stdout
        new.kill()
        with pytest.raises(OSError):
            with world.outsider.connect(world.server.ipv4, 7000, 5) as refused:
                assert refused.recv(1), "closed"
                raise AssertionError("somebody answered")
        assert echo(tunnelled)
        mesh.two = Generation(mesh, mesh.second, world.second_pods, 3)
        still_serves(mesh, mesh.two)
        assert echo(tunnelled), "the tunnel of the first generation goes on"
    assert old.process.wait(20) == 0


def test_the_replaced_one_follows_policy_and_pods(own_mesh):
    """What it carries is cut when policy changes, and when its pod leaves the mesh."""
    mesh, world = own_mesh, own_mesh.world
    old = mesh.two
    with world.client.connect(world.server.ipv4, 7000) as tunnelled, \
            world.outsider.connect(world.server.ipv4, 7000) as relayed:
        for connection in (tunnelled, relayed):
            connection.settimeout(20)
            assert echo(connection)
        new = Generation(mesh, mesh.second, world.second_pods, 2)
        for connection in (tunnelled, relayed):
            assert echo(connection)
        server = next(w for w in mesh.state.workloads if w["name"] == "server")
        policy = mesh.state.policy("deny-7000", [{"destinationPorts": [7000]}])
        server["authorizationPolicies"] = [*server.get("authorizationPolicies", []), policy]
        mesh.state.write(mesh.state_path)
        for connection in (tunnelled, relayed):
            with pytest.raises(ConnectionResetError):
                while connection.recv(1):
                    pass
                raise ConnectionResetError("an orderly end would do as well")
    old.wait_for_line('reason="policy_changed"') if old.alive() else None
    assert old.lines('reason="policy_changed"')
    new.wait_for_line('reason="policy_changed"')
    assert old.process.wait(20) == 0


def test_a_pod_removed_from_the_new_one_is_cut_in_the_old_one(own_mesh):
    mesh, world = own_mesh, own_mesh.world
    old = mesh.two
    with world.client.connect(world.server.ipv4, 7000) as tunnelled:
        tunnelled.settimeout(20)
        assert echo(tunnelled)
        new = Generation(mesh, mesh.second, world.second_pods, 2)
        assert echo(tunnelled)
        new.ztun("pod", "remove", "default/server")
        with pytest.raises(ConnectionResetError):
            tunnelled.recv(1)
        assert not capture_of(world.server), "the new one took out what was installed"
    assert old.process.wait(20) == 0


def test_one_that_waits_ends_with_its_successor_or_by_a_signal(bare):
    mesh = bare
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods)
    two = mesh.start_ztund(mesh.second, mesh.world.second_pods, "--when-replaced", "wait", "--replace")
    three = Generation(mesh, mesh.second, mesh.world.second_pods, 2, "--when-replaced", "wait")
    two.wait_for_line("drain started")
    assert two.alive()
    four = Generation(mesh, mesh.second, mesh.world.second_pods, 3)
    wait_for(lambda: len(four.status()["predecessors"]) == 2, "both older ones are known")
    os.kill(two.pid, signal.SIGTERM)
    assert two.process.wait(20) == 0
    wait_for(lambda: [o["generation"] for o in four.status()["predecessors"]] == [2], "one is left")
    assert three.alive()
    four.kill()
    assert three.process.wait(20) == 0
