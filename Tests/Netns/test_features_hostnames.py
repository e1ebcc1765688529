"""Endpoints by host name: looked up when a connection needs them, never on the threads that carry others."""
import concurrent.futures
import json
import time

import pytest

from Netns.conftest import stage
from support import netns
from support.waiting import wait_for
from support.world import PLAIN_VIP

pytestmark = pytest.mark.root

VIPS = {"clear": ("10.96.61.30", "fd96:61::30"), "tunnel": ("10.96.61.31", "fd96:61::31")}
UNKNOWN_VIP, SILENT_VIP = "10.96.61.32", "10.96.61.33"


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """The first node's ztund sees /etc/hosts and /etc/resolv.conf of ours; names outside the file go to a silent server."""
    folder = tmp_path_factory.mktemp("names")
    with stage(folder) as mesh:
        world, state = mesh.world, mesh.state
        hosts, resolv = folder / "hosts", folder / "resolv.conf"
        hosts.write_text(
            f"127.0.0.1 localhost\n{world.plain.ipv4} clear.test\n{world.plain.ipv6} clear.test\n"
            f"{world.server.ipv4} tunnel.test\n{world.server.ipv6} tunnel.test\n")
        resolv.write_text("nameserver 172.31.61.77\noptions timeout:4 attempts:1\n")
        # Nobody answers there, not even with a refusal.
        netns._ip(mesh.first.netns, "neigh add 172.31.61.77 lladdr 02:00:00:00:00:77 dev up0")
        host = "default/{}.default.svc.cluster.local".format
        for name in ("clear", "tunnel"):
            state.service(name, VIPS[name], {80: 8080})
            state.workload(
                f"by-name-{name}", [], "elsewhere", hostname=f"{name}.test", hbone=name == "tunnel",
                account="server", services={host(name): {80: 8080}})
        for name, vip in (("no.such.name.invalid.", UNKNOWN_VIP), ("silent.test", SILENT_VIP)):
            short = name.split(".")[0]
            state.service(short, [vip], {80: 8080})
            state.workload(f"by-{short}", [], "elsewhere", hostname=name.strip("."), hbone=False, services={host(short): {80: 8080}})
        state.write(mesh.state_path)
        enter = netns.enter

        def with_files(namespace, *command):
            script = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
            return enter(namespace, "unshare", "-m", "sh", "-c", script, hosts, resolv, *command)

        netns.enter = with_files
        try:
            mesh.one = mesh.start_ztund(mesh.first, world.first_pods)
        finally:
            netns.enter = enter
        mesh.two = mesh.start_ztund(mesh.second, world.second_pods)
        yield mesh


@pytest.mark.parametrize("name, server", [("clear", "plain"), ("tunnel", "server")])
@pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])
def test_the_name_is_looked_up_in_the_clients_family(named, name, server, family):
    vip = VIPS[name][family]
    before = named.one.metric("istio_on_demand_dns_total")
    result = named.world.client.curl(f"http://[{vip}]/" if family else f"http://{vip}/")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["server"] == server
    assert answer["peer"] == named.world.client.ips[family]
    assert named.one.metric("istio_on_demand_dns_total") == before + 1
    line = named.one.wait_for_line("connection complete", f'dst.service="{name}.default.svc.cluster.local"')
    assert f'dst.workload="by-name-{name}"' in line and "error=" not in line


def test_every_connection_counts_but_not_every_one_asks(named):
    vip = VIPS["clear"][0]
    named.world.client.curl(f"http://{vip}/")
    before = named.one.metric("istio_on_demand_dns_total")
    began = time.monotonic()
    for _ in range(10):
        assert named.world.client.curl(f"http://{vip}/").returncode == 0
    assert named.one.metric("istio_on_demand_dns_total") == before + 10
    assert time.monotonic() - began < 5


def test_a_name_without_address_is_a_refusal_that_names_it(named):
    assert named.world.client.curl(f"http://{UNKNOWN_VIP}/", seconds=15).returncode not in (0, 28)
    line = named.one.wait_for_line('direction="outbound"', "no.such.name.invalid", "no ip addresses were resolved")
    assert 'reason="no_healthy_upstream"' in line


def test_a_silent_name_server_holds_up_nobody_else(named):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(named.world.client.curl, f"http://{SILENT_VIP}/", seconds=20) for _ in range(4)]
        began = time.monotonic()
        for _ in range(20):
            assert named.world.client.curl(f"http://{PLAIN_VIP}/").returncode == 0
        assert not any(call.done() for call in slow), "the lookup still hangs"
        assert time.monotonic() - began < 3.5
        for call in slow:
            assert call.result().returncode not in (0, 28)
    wait_for(lambda: named.one.lines("silent.test", "no_healthy_upstream"), "the cause is logged")
