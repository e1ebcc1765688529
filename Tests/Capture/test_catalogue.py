"""Rows 87, 89, 94 and 95 of the acceptance catalogue: kill and restart, churn of pods, ways past capture, kernels that say no.

Row 88, replacement under load, is test_upgrade.py; row 94's table of ways to connect is test_matrix.py, in every mode.
"""
import json
import os
import pathlib
import subprocess

import pytest

from support.capture import links, pins, pod_traces
from support.netns import Pod
from support.programs import program
from support.sniffer import Sniffer
from support.waiting import wait_for

from .conftest import MODES, arguments, stage, start_both
from .test_matrix import connect as run_cases
from .test_without_daemon import connect, wait_until_served

pytestmark = pytest.mark.root


def start_first(mesh, *more, **options):
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, *arguments(mesh, mesh.first), *more, **options)


def everything(mesh, pods):
    """What capture has in the kernel: what is pinned, what is attached, and what is in the pods."""
    return pins(mesh.bpffs), links(pods, [mesh.pods_cgroup]), [pod_traces(pod) for pod in pods]


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def entries(mesh):
    """The number of entries of each map that holds something by pod."""
    counts = {}
    for name in ("pods", "addresses", "listeners", "targets"):
        path = mesh.bpffs / "n1" / "v1" / name
        if path.exists():
            shown = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", path], capture_output=True, check=True).stdout
            counts[name] = len(json.loads(shown))
    return counts


def test_row_87_kill_and_restart_leave_nothing_stale(bare):
    mesh, pods = bare, bare.world.first_pods
    set_unusual(pods)
    clean = everything(mesh, pods)
    start_both(mesh)
    wait_until_served(mesh)
    served = [pod_traces(pod) for pod in pods]
    kept = links(pods, [mesh.pods_cgroup])
    for _ in range(3):
        mesh.one.kill()
        # What keeps the pods closed stays; only the listeners went with the process.
        assert links(pods, [mesh.pods_cgroup]) == kept
        start_first(mesh)
        wait_until_served(mesh)
        assert links(pods, [mesh.pods_cgroup]) == kept, "attached anew beside what was there"
        assert [strip_ports(pod_traces(pod)) for pod in pods] == [strip_ports(text) for text in served]
        assert all(pod["repairs"] == 0 for pod in mesh.one.status()["pods"])
    assert mesh.one.stop() == 0 and mesh.two.stop() == 0
    assert everything(mesh, pods) == clean
    assert not (mesh.one.run_dir / "settings").exists()


def set_unusual(pods):
    """Kernel settings as somebody may want them: neither the kernel's own nor, all of them, ztund's."""
    for pod in pods:
        pod.run("sysctl", "-q", "net.ipv4.fwmark_reflect=1", "net.ipv4.conf.all.accept_local=1", "net.ipv4.conf.all.rp_filter=1")


def strip_ports(text):
    """Without the listeners' lines, whose ports are the kernel's choice."""
    return [line for line in text.splitlines() if not line.startswith(("LISTEN", "0 "))]


def settled(daemon, mesh):
    """Descriptors and map entries, when two looks agree."""
    first = (descriptors(daemon), entries(mesh))
    daemon.status()
    return first == (descriptors(daemon), entries(mesh)) and first


def churn(mesh, count):
    """Pods that come and go, with and without being taken out first; every tenth one talks."""
    start_both(mesh)
    wait_until_served(mesh)
    daemon, server = mesh.one, mesh.world.server
    late = Pod(mesh.first, "late", 40)
    mesh.state.workload("late", late.ips, "n1")
    mesh.state.write(mesh.state_path)

    def once(number):
        late.up()
        daemon.ztun("pod", "add", late.enrolment)
        if number % 10 == 0:
            assert wait_for(lambda: connect(late, server.ipv4)[0].get("server") == "server", "it talks", 30)
        if number % 2:
            daemon.ztun("pod", "remove", f"{late.namespace}/{late.name}")
            late.down()
        else:
            late.down()
            # As the kubelet would say; the namespace is gone already.
            daemon.ztun("pod", "remove", f"{late.namespace}/{late.name}", check=False)
            wait_for(lambda: daemon.pod_status(late) is None, "the pod is forgotten", 30)

    for number in range(3):
        once(number)
    # Pods whose namespaces went first are forgotten by and by: maps are swept now and then.
    wait_for(lambda: len(daemon.status()["pods"]) == 2 and entries(mesh).get("pods", 2) == 2, "it settles", 60)
    seen = wait_for(lambda: settled(daemon, mesh), "it settles")
    for number in range(count):
        once(number)
    wait_for(lambda: entries(mesh) == seen[1], f"maps as after the third pod, {seen[1]}", 60)
    wait_for(lambda: descriptors(daemon) <= seen[0], f"no more descriptors than after the third pod, {seen[0]}", 60)
    wait_until_served(mesh)
    assert daemon.stop() == 0 and mesh.two.stop() == 0
    assert not pins(mesh.bpffs)


@pytest.mark.parametrize("bare", ["bpf"], indirect=True)
def test_row_89_pods_come_and_go(bare):
    churn(bare, 12)


@pytest.mark.slow
@pytest.mark.parametrize("bare", MODES, indirect=True)
def test_row_89_pods_come_and_go_500_times(bare):
    churn(bare, 500)


@pytest.mark.parametrize("bare", MODES, indirect=True)
def test_row_94_a_program_that_forges_our_mark(bare):
    """With NET_ADMIN in the pod it gets around capture of what it opens, in every mode (docs/capture.md); the peer sees plaintext."""
    mesh, client, server = bare, bare.world.client, bare.world.server
    start_both(mesh)
    wait_until_served(mesh)
    with Sniffer(mesh.first.netns, client.interface) as wire:
        result = run_cases([{"name": "it", "how": "forged", "address": server.ipv4, "port": 8080}], client)["it"]
        assert result["server"] == "server"
        wait_for(lambda: (server.ipv4, 8080) in wire.opened_from(client.ips), "it left in the clear")
    ip, port = result["local"]
    line = wait_for(lambda: mesh.two.lines("access", f"src.addr={ip}:{port} ", 'direction="inbound"'), "the peer logs it")[0]
    assert "src.identity=" not in line


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM", "EINVAL"])
def test_row_95_a_kernel_without_bpf(tmp_path, error):
    """ENOSYS: built without; EPERM: locked down; EINVAL: too old for these programs, or its verifier refuses them."""
    with stage(tmp_path, "auto") as mesh:
        pods = mesh.world.first_pods
        clean = everything(mesh, pods)
        start_first(mesh, under=failing_bpf(f"error={error}"))
        status = mesh.one.pod_status(mesh.world.client)
        assert (status["state"], status["capture"]) == ("captured", "nft")
        assert "BPF" in status["captureReason"] and error in status["captureReason"], status
        assert connect(mesh.world.client, mesh.world.plain.ipv4)[0].get("server") == "plain"
        assert mesh.one.stop() == 0
        assert everything(mesh, pods) == clean


def test_row_95_bpf_that_was_asked_for_is_refused_with_the_reason(tmp_path):
    with stage(tmp_path, "bpf") as mesh:
        pods = mesh.world.first_pods
        clean = everything(mesh, pods)
        start_first(mesh, ready=False, under=failing_bpf("error=EINVAL"))
        status = wait_for(lambda: mesh.one.pod_status(mesh.world.client), "ztund answers")
        assert status["state"] == "pending" and "EINVAL" in status["reason"], status
        assert "libbpf says" in status["reason"], status
        assert everything(mesh, pods) == clean


def failing_bpf(what):
    """Runs a program whose calls of bpf() fail: all of them, or those that strace's `when` says."""
    return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=bpf", "-e", f"inject=bpf:{what}"]


def bpf_calls(tmp_path):
    """How many times a ztund calls bpf() until its pods are enrolled."""
    trace = tmp_path / "calls"
    with stage(tmp_path, "auto") as mesh:
        start_first(mesh, under=["strace", "-D", "-f", "-qq", "-o", trace, "-e", "signal=none", "-e", "trace=bpf"])
        assert mesh.one.pod_status(mesh.world.client)["capture"] == "bpf"
        return pathlib.Path(trace).read_text().count("bpf(")


def every_call_fails_once(tmp_path, step):
    count = bpf_calls(tmp_path)
    assert count > 30
    modes = set()
    with stage(tmp_path, "auto") as mesh:
        pods = mesh.world.first_pods
        clean = everything(mesh, pods)
        for number in range(1, count + 1, step):
            start_first(mesh, under=failing_bpf(f"error=ENOMEM:when={number}"), ready=False)
            status = wait_for(
                lambda: mesh.one.pod_status(mesh.world.client)["state"] == "captured" and
                mesh.one.pod_status(mesh.world.client), f"captured in spite of call {number}", 30)
            modes.add(status["capture"])
            assert connect(mesh.world.client, mesh.world.plain.ipv4)[0].get("server") == "plain", number
            assert mesh.one.stop() == 0, number
            assert everything(mesh, pods) == clean, f"left over after call {number} failed"
    return modes


def test_row_95_a_call_that_fails_leaves_nothing_half_attached(tmp_path):
    assert every_call_fails_once(tmp_path, 17) <= {"bpf", "bpf-route", "nft"}


@pytest.mark.slow
def test_row_95_each_call_that_fails_leaves_nothing_half_attached(tmp_path):
    assert {"bpf", "nft"} <= every_call_fails_once(tmp_path, 1)


@pytest.mark.parametrize("bare", ["bpf"], indirect=True)
def test_a_cgroup_that_disappears_is_told_and_taken_up_again(bare):
    """With the cgroup above all pods go the programs on it. Whoever makes it anew finds the pods captured again."""
    mesh, client, server = bare, bare.world.client, bare.world.server
    start_both(mesh)
    wait_until_served(mesh)
    folders = [pod.cgroup.path for pod in (client, mesh.world.denied, server)]
    for path in [*folders, mesh.pods_cgroup.path]:
        path.rmdir()
    status = mesh.one.wait_for_pod(client, "pending", seconds=30)
    assert str(mesh.pods_cgroup.path) in status["reason"], status
    for path in [mesh.pods_cgroup.path, *folders]:
        path.mkdir()
    for daemon, pod in ((mesh.one, client), (mesh.two, server)):
        daemon.wait_for_pod(pod, "captured", seconds=30)
    with Sniffer(mesh.first.netns, client.interface) as wire:
        assert connect(client, server.ipv4)[0].get("server") == "server"
        assert {port for _, port in wire.opened_from(client.ips)} <= {15008}, "in the clear"
    assert mesh.one.stop() == 0 and mesh.two.stop() == 0
    assert not pins(mesh.bpffs) and not links([client, server], [mesh.pods_cgroup])


# Slow enough to be met in the middle: each question to the kernel's routing takes a while longer.
SLOW = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=sendto", "-e", "inject=sendto:delay_exit=15000"]


@pytest.mark.parametrize("bare", ["bpf", pytest.param("nft", marks=pytest.mark.slow)], indirect=True)
def test_a_namespace_that_disappears_while_it_is_taken_in_leaves_nothing(bare):
    mesh = bare
    start_first(mesh, under=SLOW, ready=False)
    wait_for(lambda: len(mesh.one.lines("is enrolled")) == 2, "its pods are enrolled", 60)
    before = (entries(mesh), pins(mesh.bpffs)) if mesh.mode == "bpf" else None
    late = Pod(mesh.first, "late", 40)
    met = 0
    for place, trace in (("ss -Htln", "LISTEN"), ("ip rule", "15008:"), ("ip -6 rule", "15008:"), ("ip -6 rule", "15007:")):
        late.up()
        asked = subprocess.Popen(
            [program("ztun"), "pod", "add", late.enrolment, "--run-dir", mesh.one.run_dir],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(
            lambda: trace in late.run(*place.split()).stdout or asked.poll() is not None, f"{place} shows {trace}", 30, every=0.001)
        met += asked.poll() is None
        late.down()
        asked.wait(60)
        mesh.one.ztun("pod", "remove", f"{late.namespace}/{late.name}", check=False)
        wait_for(lambda: mesh.one.pod_status(late) is None, "the pod is forgotten", 60)
    assert met, "it was never met in the middle"
    assert mesh.one.alive()
    if before:
        wait_for(lambda: (entries(mesh), pins(mesh.bpffs)) == before, f"maps and pins as before: {before}", 60)
    # A whole one of the same name is taken in as ever.
    late.up()
    # The answer may come later than the command waits for it.
    mesh.one.ztun("pod", "add", late.enrolment, check=False)
    mesh.one.wait_for_pod(late, "captured", seconds=60)
    assert mesh.one.stop(60) == 0
    late.down()
    assert not pins(mesh.bpffs)
