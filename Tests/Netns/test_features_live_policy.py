"""Live connections are looked at again when the state changes, within a second; those still allowed go on."""
import contextlib
import socket
import time

import pytest

from support.netns import receive
from support.servers import EchoServer
from support.waiting import wait_for

pytestmark = pytest.mark.root

LIMIT = 1.0


class Live:
    """An open echo connection."""

    def __init__(self, stack, pod, address, port):
        self.connection = stack.enter_context(pod.connect(address, port))
        self.connection.settimeout(5)
        self.check()

    def check(self):
        self.connection.sendall(b"still")
        assert receive(self.connection, 5) == b"still"

    def wait_for_reset(self):
        """Seconds until the connection is cut."""
        began = time.monotonic()
        with pytest.raises(ConnectionResetError):
            assert self.connection.recv(1) != b"", "an orderly end instead of a reset"
        return time.monotonic() - began


@pytest.fixture
def live(own_mesh):
    """Two connections of one client in one tunnel, to ports 7000 and 7002; one of `denied`, one in plaintext."""
    mesh = own_mesh
    world = mesh.world
    mesh.use(EchoServer(world.server, 7002))
    mesh.state.policies.clear()
    entry(mesh, "server")["authorizationPolicies"] = []
    mesh.state.write(mesh.state_path)
    wait_for(lambda: world.denied.curl(f"http://{world.server.ipv4}:8080/").returncode == 0, "nobody is denied")
    with contextlib.ExitStack() as stack:
        tunnels = mesh.wire[15008]
        mesh.tunnelled = Live(stack, world.client, world.server.ipv4, 7000)
        mesh.neighbour = Live(stack, world.client, world.server.ipv4, 7002)
        assert mesh.wire[15008] <= tunnels + 1, "both use one tunnel"
        mesh.plain = Live(stack, world.outsider, world.server.ipv4, 7000)
        yield mesh


def entry(mesh, name):
    return next(one for one in mesh.state.workloads if one["name"] == name)


def attach(mesh, policy):
    entry(mesh, "server")["authorizationPolicies"] = [policy]
    mesh.state.write(mesh.state_path)


def test_a_selector_policy_that_is_newly_attached(live):
    """The policy is new, and so is its place in the workload's list."""
    attach(live, live.state.policy("no-7000", [
        {"principals": [{"Exact": "cluster.local/ns/default/sa/client"}], "destinationPorts": [7000]}]))
    assert live.tunnelled.wait_for_reset() < LIMIT
    live.neighbour.check()
    live.plain.check()
    line = live.two.wait_for_line("policy_changed", 'direction="inbound"', ":7000")
    assert 'policy="default/no-7000"' in line
    assert live.two.metric("ztun_refusals_total", reason="policy_changed") == 1


def test_an_old_policy_that_is_newly_attached(live):
    """The policy was known, but applied to nobody."""
    key = live.state.policy("no-client", [{"principals": [{"Exact": "cluster.local/ns/default/sa/client"}]}])
    live.state.write(live.state_path)
    generation = wait_for(lambda: live.two.status()["state"]["generation"], "the state is taken")
    assert generation
    wait_for(lambda: live.two.lines("state loaded", "policies=1"), "the policy is known")
    live.tunnelled.check()
    attach(live, key)
    assert live.tunnelled.wait_for_reset() < LIMIT
    assert live.neighbour.wait_for_reset() < LIMIT
    live.plain.check()


def test_strict_is_switched_on(live):
    """Only verified peers may go on; Istio writes it as a DENY for those without a principal."""
    attach(live, live.state.policy("strict", [{"notPrincipals": [{"Presence": []}]}]))
    assert live.plain.wait_for_reset() < LIMIT
    live.tunnelled.check()
    live.neighbour.check()
    assert "src.identity" not in live.two.wait_for_line("policy_changed", 'policy="default/strict"')


def test_an_allow_policy_that_names_others(live):
    live.state.policy(
        "only-denied", [{"principals": [{"Exact": "cluster.local/ns/default/sa/denied"}]}], action="Allow", scope="Namespace")
    live.state.write(live.state_path)
    for connection in (live.tunnelled, live.neighbour, live.plain):
        assert connection.wait_for_reset() < LIMIT
    assert live.world.denied.curl(f"http://{live.world.server.ipv4}:8080/").returncode == 0


def test_a_policy_that_is_edited(live):
    live.state.policy("edited", [{"destinationPorts": [1]}], scope="Namespace")
    live.state.write(live.state_path)
    wait_for(lambda: live.two.lines("state loaded", "policies=1"), "the policy is known")
    for connection in (live.tunnelled, live.neighbour, live.plain):
        connection.check()
    live.state.policies[0]["rules"] = [[[{"destinationPorts": [7002]}]]]
    live.state.write(live.state_path)
    assert live.neighbour.wait_for_reset() < LIMIT
    live.tunnelled.check()
    live.plain.check()


def test_the_workload_is_removed(live):
    """What nobody can be asked about any more is cut; other pods of the node are not concerned."""
    other = live.second.pod("other", 13)
    live.use(EchoServer(other, 7000))
    live.state.workload("other", other.ips, "n2")
    live.state.write(live.state_path)
    live.two.ztun("pod", "add", other.enrolment)
    with contextlib.ExitStack() as stack:
        elsewhere = None

        def connects():
            nonlocal elsewhere
            with contextlib.suppress(OSError, AssertionError):
                elsewhere = Live(stack, live.world.client, other.ipv4, 7000)
            return elsewhere

        wait_for(connects, "the other pod is reached")
        live.state.workloads = [one for one in live.state.workloads if one["name"] != "server"]
        live.state.write(live.state_path)
        for connection in (live.tunnelled, live.neighbour, live.plain):
            assert connection.wait_for_reset() < LIMIT
        elsewhere.check()
    live.two.wait_for_line('direction="inbound"', 'reason="pod_removed"')


def test_half_closed_connections_are_looked_at_too(live):
    live.tunnelled.connection.sendall(b"")
    with live.world.client.connect(live.world.server.ipv4, 9001) as stalled:
        stalled.settimeout(10)
        stalled.sendall((200_000_000).to_bytes(8, "big"))
        stalled.shutdown(socket.SHUT_WR)
        assert stalled.recv(1000)
        attach(live, live.state.policy("no-9001", [{"destinationPorts": [9001]}]))
        live.two.wait_for_line("policy_changed", ":9001")
        with pytest.raises(ConnectionResetError):
            while stalled.recv(1 << 20):
                pass
    live.tunnelled.check()
