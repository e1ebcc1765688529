"""Two ztunds on one machine that were told nothing about each other: both capture with BPF, and neither touches the other's pods."""
import json
import subprocess
import sys

import pytest

import support.connector
from support.balancer import load_balancer
from support.capture import Cgroup, alone_on_the_machine, at_the_usual_place, links, pins
from support.netns import run
from support.programs import program
from support.waiting import wait_for
from support.world import VIP, VIP6

from .conftest import stage
from .test_without_daemon import connect, wait_until_served

pytestmark = pytest.mark.root


@pytest.fixture
def bare(tmp_path):
    """Both with the run directory of their own that a second one on a machine must have, and no --bpf-dir."""
    with stage(tmp_path, "auto") as mesh:
        yield mesh


def start(mesh, node, pods, *more):
    return mesh.start_ztund(
        node, pods, "--pod-cgroup", mesh.pods_cgroup.path, *more, under=at_the_usual_place(mesh.bpffs), own_place=False)


def start_first(mesh, *more):
    mesh.one = start(mesh, mesh.first, mesh.world.first_pods, *more)


def start_second(mesh, *more):
    mesh.two = start(mesh, mesh.second, mesh.world.second_pods, *more)


def folders(mesh):
    """Where programs are pinned: the folder of each ztund."""
    return sorted(path.parent.parent.relative_to(mesh.bpffs) for path in mesh.bpffs.rglob("v1/pods"))


def modes(daemon):
    return {pod["capture"] for pod in daemon.status()["pods"]}


def test_both_choose_bpf_and_keep_apart(bare):
    """Class: another ztund's programs on the hook taken for a load balancer; maps that two ztunds share."""
    mesh, client, server = bare, bare.world.client, bare.world.server
    start_first(mesh, "--capture", "auto")
    start_second(mesh, "--capture", "auto")
    wait_until_served(mesh)
    for daemon in (mesh.one, mesh.two):
        status = daemon.status()
        assert {(pod["capture"], pod["captureReason"]) for pod in status["pods"]} == {("bpf", "the node has all that BPF takes")}
        assert not [note for note in status.get("notes", []) if "ztun_" in note or "closed" in note], status["notes"]
    before = folders(mesh)
    assert [path.parts[0] for path in before] == ["ztun", "ztun"]
    assert [path.name.rsplit("-", 1)[0] for path in before] == ["run-n1", "run-n2"]
    # Two connect programs of each, a lookup program in each pod.
    assert len(links([client, mesh.world.denied, server], [mesh.pods_cgroup])) == 4 + 3
    # One that is gone closes its own pods and no others.
    mesh.one.kill()
    assert connect(client, *server.ips) == [{"error": "EPERM"}] * 2
    assert [answer.get("server") for answer in connect(server, mesh.world.plain.ipv4)] == ["plain"]
    assert connect(mesh.world.outsider, server.ipv4)[0].get("server") == "server"
    # The next one in the same run directory finds what it left.
    start_first(mesh, "--capture", "auto")
    wait_until_served(mesh)
    assert folders(mesh) == before and len(links([client, mesh.world.denied, server], [mesh.pods_cgroup])) == 7
    assert mesh.two.pod_status(server)["repairs"] == 0
    # One that ends takes its own with it, and the last one all of it.
    assert mesh.one.stop() == 0
    assert folders(mesh) == before[1:]
    assert connect(mesh.world.outsider, server.ipv4)[0].get("server") == "server"
    assert mesh.two.stop() == 0
    assert not pins(mesh.bpffs) and not links([client, server], [mesh.pods_cgroup])


def test_the_usual_run_directory_has_the_usual_folder(bare, tmp_path):
    """The run directory is the machine's: the test has one of its own there, and what was a link to it is the same."""
    usual = tmp_path / "usual"
    usual.mkdir()
    under = [*at_the_usual_place(bare.bpffs), "sh", "-ec", 'mkdir -p /run/ztun; mount --bind "$0" /run/ztun; exec "$@"', str(usual)]
    # The flag comes last and wins over the harness's.
    for path in ("/run/ztun", "/var/run/../run/ztun/"):
        daemon = bare.start_ztund(
            bare.first, [bare.world.client], "--capture", "auto", "--pod-cgroup", bare.pods_cgroup.path, "--run-dir", path,
            under=under, own_place=False)
        assert [str(path) for path in folders(bare)] == ["ztun"]
        assert daemon.stop() == 0 and not pins(bare.bpffs)


def test_a_load_balancer_between_them_is_after_one_and_before_the_other(bare, tmp_path):
    """Class: the place of a program told by any ztund's, not by one's own."""
    mesh = bare
    start_first(mesh, "--capture", "auto")
    with load_balancer(mesh.pods_cgroup, tmp_path, mesh.bpffs, (VIP, VIP6), 80, mesh.world.server.ips, 8080):
        wait_for(lambda: modes(mesh.one) == {"bpf-rewrite"}, "the first one rewrites")
        start_second(mesh, "--capture", "auto")
        assert modes(mesh.two) == {"bpf"}
        wait_for(lambda: any("other_lb4" in note for note in mesh.two.status()["notes"]), "the second one tells")
        wait_until_served(mesh)
    wait_for(lambda: modes(mesh.one) == {"bpf"}, "the first one does not rewrite any more")


def test_each_lets_the_agents_probes_reach_its_own_pods(bare):
    """The sockops programs of both are on one cgroup, and both note what it opens."""
    mesh = bare
    with Cgroup(mesh.tree, "kubelet") as kubelet, Cgroup(mesh.tree, "system") as system:
        start_first(mesh, "--capture", "auto", "--probe-cgroup", kubelet.path)
        start_second(mesh, "--capture", "auto", "--probe-cgroup", kubelet.path)
        for node, daemon, pod in ((mesh.first, mesh.one, mesh.world.client), (mesh.second, mesh.two, mesh.world.server)):
            seen = []
            for cgroup in (kubelet, system):
                case = {"name": "it", "how": "plain", "address": pod.ipv4, "port": 8080}
                command = cgroup.enter(sys.executable, support.connector.__file__, json.dumps([case]))
                result = json.loads(run(node.netns, *command).stdout)["it"]
                assert result.get("server") == pod.name, result
                seen.append("src.addr={}:{} ".format(*result["local"]))
            # The second is captured and logged; the first, before it, is not.
            wait_for(lambda: daemon.lines("access", seen[1]), "the node logs what is captured")
            assert not daemon.lines("access", seen[0])


def test_cleanup_takes_what_no_live_one_holds(bare):
    """Class: the pins of a dead ztund that nobody finds; those of a live one that go with them."""
    mesh, client, server = bare, bare.world.client, bare.world.server
    pods = [client, mesh.world.denied, server]
    start_first(mesh, "--capture", "auto")
    start_second(mesh, "--capture", "auto")
    wait_until_served(mesh)
    first, second = folders(mesh)
    mesh.two.kill()

    def cleanup(*more):
        # Any run directory of a dead one: pins are found by themselves.
        command = [program("ztund"), "node", "cleanup", "--run-dir", mesh.folder / "nobody", *more]
        return subprocess.run(
            [*alone_on_the_machine(mesh.bpffs, pods), *map(str, command)], capture_output=True, text=True, timeout=60)

    dry = cleanup("--dry-run")
    assert dry.returncode == 0 and f"would remove /sys/fs/bpf/{second}/v1/pods" in dry.stdout, dry.stdout + dry.stderr
    assert folders(mesh) == [first, second]
    result = cleanup()
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"removed /sys/fs/bpf/{second}/v1/pods" in result.stdout
    assert f"left alone /sys/fs/bpf/{first}: a ztund that runs holds it" in result.stdout
    assert f"left alone {client.path}: a ztund listens there" in result.stdout
    assert f"removed {server.path}: IPv4 rule" in result.stdout and f"{client.path}: IPv4" not in result.stdout
    assert folders(mesh) == [first]
    # The dead one's pod is free, the live one's are captured as before.
    assert connect(server, mesh.world.plain.ipv4)[0].get("server") == "plain"
    assert connect(mesh.world.outsider, server.ipv4)[0].get("server") == "server"
    assert connect(client, mesh.world.plain.ipv4)[0].get("server") == "plain"
    assert mesh.one.pod_status(client)["repairs"] == 0 and modes(mesh.one) == {"bpf"}
    mesh.one.kill()
    assert connect(client, mesh.world.plain.ipv4) == [{"error": "EPERM"}]
    last = cleanup()
    assert last.returncode == 0 and "left alone" not in last.stdout, last.stdout + last.stderr
    assert not pins(mesh.bpffs) and not links(pods, [mesh.pods_cgroup])
    assert connect(client, mesh.world.plain.ipv4)[0].get("server") == "plain"
    again = cleanup()
    assert (again.returncode, again.stdout) == (0, "nothing of ztund's was found\n")


def test_a_pod_that_another_one_serves_is_left_to_it(bare):
    """Class: two with maps of their own in one pod, each taking away the other's routes."""
    mesh, client, server = bare, bare.world.client, bare.world.server
    start_first(mesh)
    start_second(mesh)
    wait_until_served(mesh)
    late = mesh.first.pod("late", 40)
    mesh.two.ztun("pod", "add", late.enrolment)
    asked = mesh.two.ztun("pod", "add", client.enrolment, check=False)
    assert asked.returncode != 0 and "another ztund serves the pod and has its programs elsewhere" in asked.stdout + asked.stderr
    assert [answer.get("server") for answer in connect(client, *server.ips)] == ["server", "server"]
    mesh.two.ztun("pod", "remove", "default/client")
    assert [answer.get("server") for answer in connect(client, *server.ips)] == ["server", "server"]
    assert mesh.one.pod_status(client)["repairs"] == 0, "nothing of it was touched"
