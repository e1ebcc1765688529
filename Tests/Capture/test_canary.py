"""Each pod's capture is tested by ztund itself, and what it says is true."""
import threading

import pytest

from support import netns
from support.waiting import wait_for

from .conftest import arguments, start_both
from .test_without_daemon import wait_until_served

pytestmark = pytest.mark.root

PORT = 15009


def canary(daemon, pod):
    return (daemon.pod_status(pod) or {}).get("canary")


def passed(daemon, pod):
    wait_for(lambda: (canary(daemon, pod) or {}).get("passed"), f"the canary of {pod.name} comes through", 20)
    return canary(daemon, pod)


class Listener:
    """An application on the canaries' own port: what it accepts is remembered."""

    def __init__(self, pod):
        with netns.inside(pod.netns):
            self.socket = netns.socket.create_server(("::", PORT), family=netns.socket.AF_INET6, dualstack_ipv6=True)
        self.accepted = []
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while True:
            try:
                connection, peer = self.socket.accept()
            except OSError:
                return
            connection.close()
            self.accepted.append(peer)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(netns.socket.SHUT_RDWR)
        self._thread.join()
        self.socket.close()


def test_canaries_pass_and_leave_no_trace(bare):
    client = bare.world.client
    with Listener(client) as application:
        start_both(bare)
        report = passed(bare.one, client)
        assert report["untried"] == [] and report["reason"] == ""
        passed(bare.two, bare.world.server)
        wait_until_served(bare)
        # After a repair it flies again.
        client.run("ip", "rule", "del", "pref", "15008")
        wait_for(lambda: bare.one.pod_status(client)["repairs"] == 1, "the repair", 20)
        assert passed(bare.one, client)["untried"] == []
        assert application.accepted == []
    for daemon in (bare.one, bare.two):
        assert str(PORT) not in daemon.text(), "a canary is no connection of the pod's"
        assert daemon.status()["recentRefusals"] == []


def obstruct(pod, *rules):
    pod.run("nft", "-f", "-", input="table inet zt_obstacle {\n" + "\n".join(rules) + "\n}\n")


@pytest.mark.parametrize("obstacle, told", [
    pytest.param("chain out { type filter hook output priority -400; ip daddr 192.0.2.1 tcp dport 15009 drop; }",
     "192.0.2.1:15009 did not reach ztund", id="out"),
    pytest.param("chain in { type filter hook prerouting priority -400; iifname lo ip6 saddr 2001:db8::1 tcp flags & (syn | ack) == syn drop; }",
     "application from a client's address does not come through", id="dial", marks=pytest.mark.slow),
])
def test_a_pod_whose_capture_does_not_work_is_degraded(bare, obstacle, told):
    """Class: all is installed, and nothing gets through."""
    client = bare.world.client
    obstruct(client, obstacle)
    bare.one = bare.start_ztund(bare.first, bare.world.first_pods, *arguments(bare, bare.first))
    reason = bare.one.wait_for_pod(client, "degraded", seconds=30)["reason"]
    assert told in reason and "nft list ruleset" in reason
    shown = bare.one.ztun("status", check=False)
    assert shown.returncode == 1 and "degraded" in shown.stdout and told in shown.stdout
    passed(bare.one, bare.world.denied)
    client.run("nft", "delete", "table", "inet", "zt_obstacle")
    assert bare.one.wait_for_pod(client, "captured", seconds=30)["reason"] == ""
    assert passed(bare.one, client)


def test_what_no_canary_can_try_is_told_and_no_fault(bare):
    """A network policy between ztund and the pod, say."""
    client = bare.world.client
    obstruct(client, "chain in { type filter hook prerouting priority -400; iifname eth0 tcp dport 15009 drop; }")
    bare.one = bare.start_ztund(bare.first, bare.world.first_pods, *arguments(bare, bare.first))
    untried = " ".join(passed(bare.one, client)["untried"])
    assert f"no answer from {client.ipv4}" in untried and f"no answer from {client.ipv6}" in untried
    assert bare.one.pod_status(client)["state"] == "captured"


def test_canaries_can_be_switched_off(bare):
    bare.one = bare.start_ztund(bare.first, bare.world.first_pods, *arguments(bare, bare.first), "--no-canary")
    bare.one.wait_for_pod(bare.world.client, "captured")
    assert canary(bare.one, bare.world.client) is None
