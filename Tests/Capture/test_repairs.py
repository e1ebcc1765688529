"""What somebody takes away from under an enrolled pod is put back as soon as the kernel tells of it."""
import time

import pytest

from support.waiting import wait_for

from .conftest import start_both
from .test_without_daemon import connect, wait_until_served

pytestmark = pytest.mark.root

# Longer than a repair ever takes on a loaded machine, far shorter than the look that comes round without being told.
SOON = 2.0
DAMAGE = {
    "rules": ("ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default; "
              "ip -6 rule flush; ip -6 rule add pref 32766 lookup main"),
    "routes": "ip route flush table 15008; ip -6 route flush table 15008; ip route flush table 15007; ip -6 route flush table 15007; true",
    "ruleset": "nft flush ruleset",
}


def rules_and_routes(pod):
    return pod.run("sh", "-c", (
        "ip rule; ip -6 rule; for t in 15007 15008; do ip route show table $t; ip -6 route show table $t; done; nft -s list ruleset"
    )).stdout


def settle(mesh):
    """No round is under way that would repair by chance: the pods were looked after a moment ago, whole."""
    wait_until_served(mesh)
    wait_for(lambda: all((mesh.one.pod_status(pod).get("canary") or {}).get("passed") for pod in mesh.world.first_pods), "canaries")


@pytest.mark.parametrize("what", DAMAGE)
def test_a_flush_is_repaired_at_once(mesh, what):
    """Class: a gap until somebody happens to look."""
    if what == "ruleset" and mesh.mode != "nft":
        pytest.skip("bpf has no rules in the pod")
    client = mesh.world.client
    settle(mesh)
    whole = rules_and_routes(client)
    for _ in range(3):
        before = mesh.one.pod_status(client)["repairs"]
        client.run("sh", "-c", DAMAGE[what])
        start = time.monotonic()
        wait_for(lambda: rules_and_routes(client) == whole, f"the {what} are back", SOON)
        took = time.monotonic() - start
        wait_for(lambda: mesh.one.pod_status(client)["repairs"] > before, "it is counted")
        # What a person may rely on is in the documentation; here the clock of a loaded machine only has to tell a watch from a look.
        print(f"{mesh.mode} {what}: whole again {took * 1000:.0f} ms after the command, the time of looking included")
    assert connect(client, *mesh.world.server.ips)[0].get("server") == "server"


def test_an_address_that_comes_later_is_the_pods_own(bare):
    """Class: a CNI that is not done when the pod is enrolled."""
    mesh, world = bare, bare.world
    start_both(mesh)
    settle(mesh)
    client = world.client
    client.run("ip", "link", "add", "net1", "type", "veth", "peer", "name", "net1p")
    client.run("ip", "addr", "add", "10.99.1.5/24", "dev", "net1")
    client.run("ip", "link", "set", "net1", "up")
    # The pod reaches itself at it, not through ztund, as at its first one.
    wait_for(lambda: connect(client, "10.99.1.5")[0].get("server") == "client", "the second NIC is the pod's own", 5)
    if mesh.mode == "bpf":
        assert "dev net1" in client.run("ip", "route", "show", "table", "15007").stdout
    assert connect(client, world.server.ipv4)[0].get("server") == "server"


def test_a_pod_that_changes_its_routes_without_end_costs_little(bare):
    """Class: a notice for each change makes the node look all the time."""
    start_both(bare)
    settle(bare)
    client = bare.world.client
    storm = "i=0; while [ $i -lt 150 ]; do ip route add 203.0.113.7 dev lo; ip route del 203.0.113.7 dev lo; i=$((i+1)); done"
    before = bare.one.pod_status(client)["repairs"]
    client.run("sh", "-c", storm)
    assert bare.one.pod_status(client)["repairs"] == before
    assert connect(client, bare.world.server.ipv4)[0].get("server") == "server"
    bare.one.wait_for_pod(client, "captured")
