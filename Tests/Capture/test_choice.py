"""Which mode ztund takes where it may choose, and what it says of it."""
import json
import os
import subprocess
import sys

import pytest

from Netns.test_upgrade import LongEcho
from support.balancer import only_program
from support.capture import links, pins, pod_traces
from support.netns import receive
from support.programs import ROOT
from support.servers import EchoServer
from support.sniffer import Sniffer
from support.waiting import wait_for

from .conftest import arguments, stage
from .test_matrix import CONNECTOR
from .test_without_daemon import Storm, connect

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
    bare.one = bare.start_ztund(bare.first, [bare.world.client], "--capture", "auto", under=nothing, own_place=False)
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
        bare.first, [bare.world.client], "--capture", "auto", "--bpf-dir", bare.bpffs / "n1", under=container, own_place=False)
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


# A guest behind the pod's bridge, as a virtual machine is: a namespace of its own, which ends with its process.
GUEST = """
set -e
unshare -n sleep 60 & guest=$!
trap 'kill $guest' EXIT
until [ "$(readlink /proc/$guest/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
sysctl -q net.ipv4.ip_forward=1
ip addr add 10.99.0.1/24 dev br0
ip link add v0 type veth peer name v1 netns $guest
ip link set v0 master br0 up
ip link set br0 up
enter="nsenter -t $guest -n"
$enter ip addr add 10.99.0.2/24 dev v1
$enter ip link set v1 up
$enter ip route add default via 10.99.0.1
$enter "$@"
"""


@pytest.mark.parametrize("replaced", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_nft_for_a_pod_that_forwards_for_others_from_now_on(bare, replaced):
    """A bridge that comes after enrolment: what the guest behind it opens does not leave in the clear, and nothing breaks."""
    client, plain = bare.world.client, bare.world.plain
    case = {"name": "it", "how": "plain", "address": plain.ipv4, "port": 8080}
    clean = pod_traces(client)
    with EchoServer(client, 7000), Sniffer(bare.first.netns, client.interface) as wire:
        assert start(bare)["capture"] == "bpf"
        with LongEcho(bare.world.outsider, client.ipv4, 7000) as long, Storm(client, *plain.ips) as storm:
            wait_for(lambda: len(storm.answers) > 5, "the storm has begun", 30)
            client.run("ip", "link", "add", "br0", "type", "bridge")
            status = wait_for(lambda: mode_of(bare, "nft"), "the pod is captured with nft")
            assert "br0" in status["captureReason"] and status["state"] == "captured", status
            assert bare.one.lines("captured in another mode", 'capture="nft"')
            if replaced:
                bare.one = bare.start_ztund(
                    bare.first, [client], *arguments(bare, bare.first), "--replace", ready=False)
                wait_for(lambda: bare.one.status()["pid"] == bare.one.pid, "the new ztund serves", 30)
                assert "br0" in mode_of(bare, "nft")["captureReason"]
            # What is not of the pod is refused: ztund must not carry it in the pod's name.
            command = ["sh", "-c", GUEST, "sh", sys.executable, CONNECTOR, json.dumps([case])]
            guest = json.loads(client.run(*command).stdout)["it"]
            assert guest == {"error": "ECONNREFUSED"}, guest
            assert not wire.opened_from(["10.99.0.2"]), "it left in the clear"
            # What was open goes on, and new connections are captured both ways.
            long.goes_on()
            count = len(storm.answers)
            wait_for(lambda: len(storm.answers) > count + 20, "the storm goes on", 30)
            assert [answer for answer in storm.answers if answer.get("server") != "plain"] == []
        reached = connect(bare.world.outsider, client.ipv4)[0]
        assert reached.get("server") == "client", reached
        ip, port = reached["local"]
        wait_for(lambda: bare.one.lines("access", f"src.addr={ip}:{port} ", 'direction="inbound"'), "ztund carried it")
    client.run("ip", "link", "del", "br0")
    client.run("sysctl", "-q", "net.ipv4.ip_forward=0")
    assert bare.one.stop() == 0
    assert pod_traces(client) == clean
    assert not pins(bare.bpffs) and not links([client], [bare.pods_cgroup])


def mode_of(mesh, mode):
    """The status of the client pod where it has that mode."""
    status = mesh.one.pod_status(mesh.world.client)
    return status if status and status["capture"] == mode else None


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
