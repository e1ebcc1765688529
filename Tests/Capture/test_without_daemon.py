"""What becomes of an enrolled pod when its ztund is killed, restarted or ended: closed, then served again, then free."""
import json
import sys
import threading

import pytest

import support.connector
from support.capture import links, pins, pod_traces
from support.sniffer import Sniffer
from support.waiting import wait_for

from .conftest import arguments, start_both

pytestmark = pytest.mark.root


def connect(pod, *addresses, port=8080):
    cases = [{"name": f"{index}", "how": "plain", "address": address, "port": port} for index, address in enumerate(addresses)]
    result = pod.run(sys.executable, support.connector.__file__, json.dumps(cases))
    return list(json.loads(result.stdout).values())


def refusal(mode, family):
    """What a program gets for a connect while no ztund is there."""
    if mode == "nft":
        return {"error": "ECONNREFUSED"}
    if mode == "bpf-route":
        # The kernel refuses to refuse in the name of an IPv4 address that is not its own (docs/capture.md).
        return {"error": "TimeoutError" if family == "ipv4" else "ECONNREFUSED"}
    return {"error": "EPERM"}


def quick(mode, pod):
    """The pod's addresses whose connections are refused at once without a ztund."""
    return [pod.ipv6] if mode == "bpf-route" else pod.ips


def wait_until_served(mesh):
    client, server = mesh.world.client, mesh.world.server
    wait_for(
        lambda: [answer.get("server") for answer in connect(client, *server.ips)] == ["server", "server"],
        "the pods reach each other", 20)


class Storm:
    """Keeps opening connections from a pod, in the background, until it is left."""

    def __init__(self, pod, *addresses):
        self.pod, self.addresses, self.answers = pod, addresses, []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._end.is_set():
            self.answers += connect(self.pod, *self.addresses * 10)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()


def test_nothing_leaves_in_the_clear_across_kill_and_restart(bare):
    """Class: a window without capture."""
    client, server = bare.world.client, bare.world.server
    start_both(bare)
    wait_until_served(bare)
    with Sniffer(bare.first.netns, client.interface) as wire, Storm(client, *quick(bare.mode, server)) as storm:
        for _ in range(2):
            count = len(storm.answers)
            bare.one.kill()
            wait_for(lambda: len(storm.answers) > count + 40, "connections were tried without ztund", 30)
            bare.one = bare.start_ztund(bare.first, bare.world.first_pods, *arguments(bare, bare.first))
            count = len(storm.answers)
            wait_for(
                lambda: any("server" in answer for answer in storm.answers[count:]), "connections get through again", 30)
        opened = wire.opened_from(client.ips)
    assert opened, "the sniffer saw no connection at all"
    assert {port for _, port in opened} == {15008}, "a connection left the pod in the clear"
    errors = {answer["error"] for answer in storm.answers if "error" in answer}
    assert "TimeoutError" not in errors and "ETIMEDOUT" not in errors, errors
    assert refusal(bare.mode, "ipv6")["error"] in errors, errors


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_pod_is_closed_both_ways_without_ztund(bare, family):
    start_both(bare)
    wait_until_served(bare)
    client, server, outsider = bare.world.client, bare.world.server, bare.world.outsider
    bare.one.kill()
    bare.two.kill()
    outwards = connect(client, getattr(server, family))[0]
    assert outwards == refusal(bare.mode, family)
    # What reaches the pod is refused at once as well, on the port of the application and on the tunnel's; but the refusal
    # itself is TCP that leaves the pod, which routes bring back to nobody.
    inwards = {"error": "TimeoutError" if bare.mode == "bpf-route" else "ECONNREFUSED"}
    for port in (8080, 15008):
        assert connect(outsider, getattr(server, family), port=port)[0] == inwards
    # Inside the pod nothing changes.
    assert connect(client, "127.0.0.1", getattr(client, family))[1].get("server") == "client"


def test_a_restarted_ztund_adopts_what_is_attached(bare):
    if bare.mode == "nft":
        pytest.skip("nft rules are replaced, not adopted")
    start_both(bare)
    wait_until_served(bare)
    pods, cgroups = bare.world.first_pods, [bare.pods_cgroup]
    attached = links(pods, cgroups)
    # A lookup program in each pod; two connect programs of each of the two daemons, and three more where they rewrite.
    assert len(attached) == 2 + {"bpf": 4, "bpf-rewrite": 10, "bpf-route": 0}[bare.mode]
    bare.one.kill()
    assert links(pods, cgroups) == attached
    bare.one = bare.start_ztund(bare.first, pods, *arguments(bare, bare.first))
    wait_until_served(bare)
    assert links(pods, cgroups) == attached


def test_an_orderly_end_leaves_nothing(bare):
    pods = [*bare.world.first_pods, *bare.world.second_pods]
    before = [pod_traces(pod) for pod in pods]
    start_both(bare)
    wait_until_served(bare)
    assert [pod_traces(pod) for pod in pods] != before
    assert bare.one.stop() == 0 and bare.two.stop() == 0
    assert [pod_traces(pod) for pod in pods] == before
    assert not pins(bare.bpffs)
    assert not links(pods, [bare.pods_cgroup])
    # And the pods talk as they did before ztund, in the clear.
    assert connect(bare.world.client, *bare.world.server.ips)[0].get("server") == "server"


def test_kept_capture_is_closed_until_a_ztund_takes_it_up(bare):
    start_both(bare, "--on-exit", "keep")
    wait_until_served(bare)
    client, server = bare.world.client, bare.world.server
    assert bare.one.stop() == 0
    assert connect(client, *server.ips) == [refusal(bare.mode, family) for family in ("ipv4", "ipv6")]
    bare.one = bare.start_ztund(bare.first, bare.world.first_pods, *arguments(bare, bare.first))
    wait_until_served(bare)
    assert bare.one.stop() == 0
    assert connect(client, server.ipv4)[0].get("server") == "server"


def test_replacement_refuses_nothing_and_leaks_nothing(bare):
    """The listening sockets go from one ztund to the next; what is attached stays where it is."""
    client, server = bare.world.client, bare.world.server
    start_both(bare)
    wait_until_served(bare)
    attached = links(bare.world.first_pods, [bare.pods_cgroup])
    with Sniffer(bare.first.netns, client.interface) as wire, Storm(client, *server.ips) as storm:
        for _ in range(2):
            old = bare.one
            bare.one = bare.start_ztund(
                bare.first, bare.world.first_pods, *arguments(bare, bare.first), "--replace", ready=False)
            wait_for(lambda: bare.one.status()["pid"] == bare.one.pid, "the new ztund serves", 30)
            wait_for(lambda: not old.alive(), "the old one has ended", 30)
            count = len(storm.answers)
            wait_for(lambda: len(storm.answers) > count + 40, "connections went through the new one", 30)
        opened = wire.opened_from(client.ips)
    failures = [answer for answer in storm.answers if answer.get("server") != "server"]
    assert not failures, failures[:5]
    assert {port for _, port in opened} == {15008}
    assert links(bare.world.first_pods, [bare.pods_cgroup]) == attached
    assert bare.one.pod_status(client)["capture"] == bare.mode
    assert bare.one.stop() == 0
    # The last one takes out what the first had put there.
    assert not pins(bare.bpffs / "n1")


def test_a_killed_ztund_is_followed_by_one_of_another_mode(bare):
    """Class: what the dead one left stands in the way of the living."""
    start_both(bare)
    wait_until_served(bare)
    bare.one.kill()
    bare.two.kill()
    first = bare.mode
    bare.mode = "bpf" if first == "nft" else "nft"
    flags = {node: [*arguments(bare, node), "--bpf-dir", bare.bpffs / node.name] for node in (bare.first, bare.second)}
    bare.one = bare.start_ztund(bare.first, bare.world.first_pods, *flags[bare.first])
    bare.two = bare.start_ztund(bare.second, bare.world.second_pods, *flags[bare.second])
    wait_until_served(bare)
    assert connect(bare.world.outsider, *bare.world.server.ips)[1].get("server") == "server"
    assert ("table inet ztun_capture" in bare.world.client.rules()) == (bare.mode == "nft")
    if bare.mode == "nft":
        assert not links([*bare.world.first_pods, *bare.world.second_pods])
    assert bare.one.stop() == 0 and bare.two.stop() == 0
    assert not pins(bare.bpffs)
    assert not links([*bare.world.first_pods, *bare.world.second_pods], [bare.pods_cgroup])


def test_pods_that_nobody_serves_are_told(bare):
    if bare.mode == "nft":
        pytest.skip("nft keeps no list of pods")
    start_both(bare)
    wait_until_served(bare)
    bare.one.kill()
    # One of the two pods of the dead ztund is not asked for again: it stays closed, and the status says so.
    client, denied = bare.world.first_pods
    bare.one = bare.start_ztund(bare.first, [client], *arguments(bare, bare.first))
    wait_for(lambda: any("1 pod is closed" in note for note in bare.one.status()["notes"]), "ztund notes the pod")
    assert connect(denied, bare.world.plain.ipv6) == [refusal(bare.mode, "ipv6")]
    bare.network.remove(denied.netns)
    bare.one.kill()
    bare.one = bare.start_ztund(bare.first, [client], *arguments(bare, bare.first))
    wait_until_served(bare)
    assert not any("closed" in note for note in bare.one.status()["notes"])


def test_a_pod_that_ended_is_forgotten(bare):
    """Class: what a pod that ended leaves keeps the programs in the kernel."""
    start_both(bare)
    wait_until_served(bare)
    client, denied = bare.world.first_pods
    bare.network.remove(denied.netns)
    assert bare.one.stop() == 0
    assert not (bare.bpffs / "n1").exists()
    assert connect(client, bare.world.server.ipv4)[0].get("server") == "server"
