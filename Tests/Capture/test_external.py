"""Rules that somebody else installs: the same that istio-cni puts into a pod in ambient mode, in nft's words."""
import json
import sys

import pytest

from support.netns import receive
from support.servers import EchoServer
from support.waiting import wait_for

from .conftest import stage
from .test_canary import passed
from .test_matrix import CONNECTOR, is_captured

pytestmark = pytest.mark.root

# One mark of the node proxy's (0x539) in both directions; conntrack remembers what it dialled (0x111).
RULES = """
table inet their_rules {
  chain marks { type filter hook prerouting priority -150; meta mark & 0xfff == 0x539 ct mark set 0x111; }
  chain restored { type route hook output priority -150; ct mark 0x111 meta mark set 0x111; }
  chain arrivals {
    type nat hook prerouting priority -100;
    ip daddr != 127.0.0.1 tcp dport != 15008 meta mark & 0xfff != 0x539 meta l4proto tcp redirect to :15006
    ip6 daddr != ::1 tcp dport != 15008 meta mark & 0xfff != 0x539 meta l4proto tcp redirect to :15006
  }
  chain departures {
    type nat hook output priority -100;
    meta mark & 0xfff == 0x111 accept
    oif lo ip daddr != 127.0.0.1 accept
    oif lo ip6 daddr != ::1 accept
    ip daddr != 127.0.0.1 meta mark & 0xfff != 0x539 meta l4proto tcp redirect to :15001
    ip6 daddr != ::1 meta mark & 0xfff != 0x539 meta l4proto tcp redirect to :15001
  }
}
"""


def install(pod):
    pod.run("nft", "-f", "-", input=RULES)
    for family in ("-4", "-6"):
        pod.run("ip", family, "rule", "add", "fwmark", "0x111/0xfff", "pref", "32764", "lookup", "100")
        pod.run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "100")


@pytest.fixture
def mesh(tmp_path):
    with stage(tmp_path, "external") as mesh:
        for pod in (mesh.world.client, mesh.world.denied, mesh.world.server):
            install(pod)
        yield mesh


def start(mesh):
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, "--capture", "external")
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods, "--capture", "external")


def test_connections_and_canaries_go_through_somebody_elses_rules(mesh):
    world = mesh.world
    start(mesh)
    for daemon, pod in ((mesh.one, world.client), (mesh.two, world.server)):
        report = passed(daemon, pod)
        assert (report["untried"], report["reason"]) == ([], "")
        assert daemon.pod_status(pod)["capture"] == "external"
    cases = [
        {"name": family, "how": "plain", "address": address, "port": 8080}
        for family, address in (("v4", world.server.ipv4), ("v6", world.server.ipv6))]
    for source, daemon, direction in ((world.client, mesh.one, "outbound"), (world.outsider, mesh.two, "inbound")):
        for family, result in json.loads(source.run(sys.executable, CONNECTOR, json.dumps(cases)).stdout).items():
            assert result.get("server") == "server", result
            # Source addresses stay: the way back from the application is theirs to bend.
            assert result["peer"] == (source.ipv4 if family == "v4" else source.ipv6)
            wait_for(lambda: is_captured(daemon, result, direction), f"{daemon.name} logs {result}")


def test_rules_that_are_gone_are_told(mesh):
    """Class: nobody's fault but somebody's to mend."""
    client = mesh.world.client
    client.run("nft", "delete", "table", "inet", "their_rules")
    with EchoServer(mesh.world.plain, 7000):
        mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, "--capture", "external")
        reason = mesh.one.wait_for_pod(client, "degraded", seconds=30)["reason"]
        assert ":15009" in reason and "did not reach ztund" in reason and "somebody else's" in reason
        passed(mesh.one, mesh.world.denied)
        # ztund breaks nothing by itself.
        with client.connect(mesh.world.plain.ipv4, 7000) as connection:
            connection.sendall(b"in the clear")
            assert receive(connection, 12) == b"in the clear"
        client.run("nft", "-f", "-", input=RULES)
        assert mesh.one.wait_for_pod(client, "captured", seconds=30)["reason"] == ""
