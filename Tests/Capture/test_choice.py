"""Which mode ztund takes where it may choose, and what it says of it."""
import os
import subprocess

import pytest

from support.balancer import only_program
from support.capture import links, pins, pod_traces
from support.netns import receive
from support.programs import ROOT
from support.servers import EchoServer
from support.waiting import wait_for

from .conftest import arguments, stage
from .test_without_daemon import connect

pytestmark = pytest.mark.root


@pytest.fixture
def bare(tmp_path):
    with stage(tmp_path, "auto") as mesh:
        yield mesh


def start(mesh, *more):
    """One ztund, for the client's node; the server is reached as a pod of another node that has none: in the clear."""
    mesh.one = mesh.start_ztund(mesh.first, [mesh.world.client], *arguments(mesh, mesh.first), *more)
    return mesh.one.pod_status(mesh.world.client)


def test_bpf_where_the_node_has_all_it_takes(bare):
    status = start(bare)
    assert (status["state"], status["capture"]) == ("captured", "bpf")
    assert status["captureReason"] == "the node has all that BPF takes"
    assert "bpf" in bare.one.ztun("status").stdout


def test_nft_without_a_bpf_file_system(bare, tmp_path):
    folder = tmp_path / "no-bpffs"
    status = start(bare, "--bpf-dir", folder)
    assert (status["state"], status["capture"]) == ("captured", "nft")
    assert "not in a BPF file system; mount one" in status["captureReason"]
    assert not folder.exists()
    assert connect(bare.world.client, bare.world.plain.ipv4)[0].get("server") == "plain"
    assert any("BPF file system" in note for note in bare.one.status()["notes"])


def test_nft_where_the_usual_place_is_no_bpf_file_system(bare):
    """Class: "load the BPF programs: EPERM" where nothing is mounted at /sys/fs/bpf, and sysfs takes no folders."""
    nothing = ["unshare", "--mount", "sh", "-c", 'umount -l /sys/fs/bpf 2>/dev/null; exec "$@"', "sh"]
    bare.one = bare.start_ztund(bare.first, [bare.world.client], "--capture", "auto", under=nothing)
    status = bare.one.pod_status(bare.world.client)
    assert (status["state"], status["capture"]) == ("captured", "nft")
    assert '"/sys/fs/bpf/ztun/run-n1-' in status["captureReason"], status
    assert "is not in a BPF file system; mount one" in status["captureReason"]


def test_the_cgroup_tree_of_a_container_is_not_the_nodes(bare):
    """Class: programs on the cgroup of ztund's own container, which the pods' connects do not pass."""
    container = [
        *bare.world.client.cgroup.enter("unshare", "--cgroup", "--mount", "sh", "-ec"),
        'mount -t tmpfs none /sys/fs/cgroup; mkdir /sys/fs/cgroup/x; mount -t cgroup2 none /sys/fs/cgroup/x; '
        'mount --move /sys/fs/cgroup/x /sys/fs/cgroup; exec "$@"', "sh"]
    bare.one = bare.start_ztund(
        bare.first, [bare.world.client], "--capture", "auto", "--bpf-dir", bare.bpffs / "n1", under=container)
    status = bare.one.pod_status(bare.world.client)
    assert (status["state"], status["capture"]) == ("captured", "bpf-route")
    assert "is a container's own; mount the host's there" in status["captureReason"]
    assert connect(bare.world.client, bare.world.plain.ipv4)[0].get("server") == "plain"


def test_bpf_route_without_the_cgroup(bare):
    before = pod_traces(bare.world.client)
    status = start(bare, "--pod-cgroup", "/sys/fs/cgroup/nowhere")
    assert (status["state"], status["capture"]) == ("captured", "bpf-route")
    assert "nowhere" in status["captureReason"]
    assert any("nowhere" in note for note in bare.one.status()["notes"])
    assert connect(bare.world.client, bare.world.plain.ipv4)[0].get("server") == "plain"
    assert not links([], [bare.pods_cgroup])
    assert bare.one.stop() == 0
    # Nothing half attached, nothing left over.
    assert not pins(bare.bpffs) and not links([bare.world.client], [bare.pods_cgroup])
    assert pod_traces(bare.world.client) == before


def test_bpf_route_where_the_hook_is_taken(bare):
    """Somebody's program that allows no others beside or below it."""
    with only_program(bare.tree, bare.bpffs):
        status = start(bare)
        assert (status["state"], status["capture"]) == ("captured", "bpf-route")
        assert "EPERM" in status["captureReason"]
        assert connect(bare.world.client, bare.world.plain.ipv4)[0].get("server") == "plain"
        assert not links([], [bare.pods_cgroup])


def test_nft_where_routes_would_cut_open_connections(bare):
    with EchoServer(bare.world.plain, 7000), bare.world.client.connect(bare.world.plain.ipv4, 7000) as old:
        status = start(bare, "--pod-cgroup", "/sys/fs/cgroup/nowhere")
        assert (status["state"], status["capture"]) == ("captured", "nft")
        assert "would cut 1 connection of the pod" in status["captureReason"]
        old.sendall(b"still here")
        assert receive(old, 10) == b"still here"


def test_nft_for_a_pod_that_forwards_for_others(bare):
    bare.world.client.run("ip", "link", "add", "br0", "type", "bridge")
    status = start(bare)
    assert status["capture"] == "nft" and "br0" in status["captureReason"]
    assert connect(bare.world.client, bare.world.plain.ipv4)[0].get("server") == "plain"


def test_nft_for_a_pod_whose_source_says_that_it_forwards(bare):
    """The annotation istio.io/reroute-virtual-interfaces, as the state file has it: the interface itself comes later."""
    client = next(entry for entry in bare.state.workloads if entry["name"] == "client")
    client["rerouteVirtualInterfaces"] = "br0"
    bare.state.write(bare.state_path)
    status = start(bare)
    assert status["capture"] == "nft"
    assert "istio.io/reroute-virtual-interfaces: br0" in status["captureReason"]


def test_bpf_that_was_asked_for_and_cannot_be_leaves_the_pod_out_with_the_reason(bare, tmp_path):
    bare.one = bare.start_ztund(
        bare.first, [bare.world.client], "--capture", "bpf", "--bpf-dir", tmp_path / "no-bpffs", ready=False)
    status = wait_for(lambda: bare.one.pod_status(bare.world.client), "ztund answers")
    assert status["state"] == "pending" and "not in a BPF file system" in status["reason"]


def test_another_program_on_the_hook_is_told(bare, tmp_path):
    """A socket load balancer that comes later: nothing breaks, and `ztun status` says what it means."""
    start(bare)
    source, compiled = tmp_path / "other.bpf.c", tmp_path / "other.o"
    source.write_text(
        '#define SEC(n) __attribute__((section(n), used))\n'
        'SEC("cgroup/connect4") int other_lb(void *c) { return 1; }\nchar _license[] SEC("license") = "GPL";\n')
    swift = subprocess.run(["sh", "-c", "readlink -f $(command -v swift)"], capture_output=True, text=True).stdout
    clang = os.path.join(os.path.dirname(swift), "clang")
    subprocess.run([clang, "--target=bpf", "-O2", "-c", source, "-o", compiled], check=True, cwd=ROOT)
    pin = bare.bpffs / "other"
    subprocess.run(["bpftool", "prog", "load", compiled, pin], check=True)
    subprocess.run(["bpftool", "cgroup", "attach", bare.pods_cgroup.path, "connect4", "pinned", pin, "multi"], check=True)
    wait_for(lambda: any("other_lb" in note for note in bare.one.status()["notes"]), "ztund notes the program")
    assert connect(bare.world.client, bare.world.plain.ipv4)[0].get("server") == "plain"
    subprocess.run(["bpftool", "cgroup", "detach", bare.pods_cgroup.path, "connect4", "pinned", pin], check=True)
    wait_for(lambda: not any("other_lb" in note for note in bare.one.status()["notes"]), "the note goes")
