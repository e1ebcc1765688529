"""Another program on the connect hook replaces services' addresses: what becomes of them in each mode."""
import pytest

from support.balancer import load_balancer
from support.waiting import wait_for
from support.world import VIP, VIP6

from .conftest import arguments, stage, start_both
from .test_matrix import connect
from .test_without_daemon import wait_until_served

pytestmark = pytest.mark.root


@pytest.fixture(params=["bpf", "bpf-rewrite", "auto"])
def bare(request, tmp_path):
    with stage(tmp_path, request.param) as mesh:
        yield mesh


def balancer(mesh, folder, cgroup):
    return load_balancer(cgroup, folder, mesh.bpffs, (VIP, VIP6), 80, mesh.world.server.ips, 8080)


def services_seen(mesh):
    """For a connection to the service by each family: the service that ztund took it for, or nothing."""
    cases = [{"name": vip, "how": "plain", "address": vip, "port": 80} for vip in (VIP, VIP6)]
    seen = []
    for result in connect(cases, mesh.world.client).values():
        assert result.get("server") == "server" and result["peer"] in mesh.world.client.ips, result
        ip, port = result["local"]
        source = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        lines = wait_for(lambda: mesh.one.lines("access", f"src.addr={source} "), "the node logs it")
        seen.append("server.default" if 'dst.service="server.default.svc.cluster.local"' in lines[0] else "")
    return seen


def test_one_at_a_cgroup_above_runs_after_ours(bare, tmp_path):
    """Class: a service's address lost before ztund sees it."""
    start_both(bare)
    wait_until_served(bare)
    assert services_seen(bare) == ["server.default"] * 2
    with balancer(bare, tmp_path, bare.tree):
        if bare.mode == "auto":
            # It came after ztund: found on a timer, and the pod goes on in the mode that stands it.
            wait_for(lambda: bare.one.pod_status(bare.world.client)["capture"] == "bpf-rewrite", "the mode changes")
            assert "other_lb4" in bare.one.pod_status(bare.world.client)["captureReason"]
        assert services_seen(bare) == (["", ""] if bare.mode == "bpf" else ["server.default"] * 2)
        told = "bpf-rewrite or auto prevents it" if bare.mode == "bpf" else "in " + str(bare.pods_cgroup.path) + " after ours"
        wait_for(lambda: any("other_lb4" in note and told in note for note in bare.one.status()["notes"]), "ztund tells")
    if bare.mode == "auto":
        wait_for(lambda: bare.one.pod_status(bare.world.client)["capture"] == "bpf", "the mode changes back")
        assert services_seen(bare) == ["server.default"] * 2
    assert bare.one.pod_status(bare.world.client)["repairs"] == 0


def test_one_at_the_pods_own_cgroup_runs_before_ours(bare, tmp_path):
    """Nobody above can do anything about it: the connections are captured, as connections to the backend."""
    start_both(bare)
    wait_until_served(bare)
    with balancer(bare, tmp_path, bare.world.client.cgroup):
        assert services_seen(bare) == ["", ""]
