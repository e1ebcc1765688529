"""Replacing a running ztund in every mode of capture: nothing is refused, nothing leaves in the clear, old programs serve on."""
import pytest

from Netns.test_upgrade import Generation, LongEcho, Storm as Inbound
from support.capture import pod_traces
from support.servers import EchoServer
from support.sniffer import Sniffer
from support.waiting import wait_for

from .conftest import arguments, stage, start_both
from .test_without_daemon import Storm, wait_until_served

pytestmark = pytest.mark.root


def test_replacements_under_a_storm(bare):
    replaced_again_and_again(bare, 4)


@pytest.mark.slow
def test_a_hundred_replacements(bare):
    replaced_again_and_again(bare, 100)


def replaced_again_and_again(mesh, times):
    """Replaces the ztunds of both nodes in turn under storms of new connections, with one long-lived echo through passthrough."""
    world = mesh.world
    mesh.use(EchoServer(world.server, 7000))
    clean = [pod_traces(pod) for pod in (world.client, world.server)]
    start_both(mesh)
    wait_until_served(mesh)
    first, second = mesh.one, mesh.two
    with Sniffer(mesh.first.netns, world.client.interface) as wire, Storm(world.client, *world.server.ips) as storm, \
            Inbound(world.outsider, world.server.ipv4, 7000, 2) as inbound, \
            LongEcho(world.outsider, world.server.ipv6, 7000) as long:
        for number in range(2, times + 2):
            if number % 2:
                gone, first = first, Generation(
                    mesh, mesh.first, world.first_pods, number, *arguments(mesh, mesh.first))
            else:
                gone, second = second, Generation(
                    mesh, mesh.second, world.second_pods, number, *arguments(mesh, mesh.second))
            long.goes_on()
            assert gone.process.wait(30) == 0, gone.text()[-2000:]
            before = len(storm.answers), inbound.count
            wait_for(
                lambda: len(storm.answers) > before[0] + 20 and inbound.count > before[1] + 20, "the storms go on", 30)
            assert inbound.failures == []
            assert [answer for answer in storm.answers if "server" not in answer] == []
        assert {port for _, port in wire.opened_from(world.client.ips)} == {15008}, "in the clear"
    for daemon in (first, second):
        status = daemon.status()
        assert status["generation"] == times // 2 + 1
        assert not any(pod["repairs"] for pod in status["pods"]), "what was installed is taken over as it is"
    assert first.stop() == 0 and second.stop() == 0
    assert [pod_traces(pod) for pod in (world.client, world.server)] == clean, "the last one takes everything out"


@pytest.mark.parametrize("victim", ["new", "old"])
def test_kill_in_the_middle_of_a_handover_leaves_a_working_node(bare, victim):
    """kill -9 of either side after the handover began: pods are served again, and never in the clear meanwhile."""
    mesh, world = bare, bare.world
    start_both(mesh)
    wait_until_served(mesh)
    with Sniffer(mesh.first.netns, world.client.interface) as wire, Storm(world.client, *world.server.ips) as storm:
        for number in range(2, 4):
            old = mesh.one
            new = Generation(
                mesh, mesh.first, world.first_pods, number, *arguments(mesh, mesh.first), ready=False)
            wait_for(
                lambda: old.lines("takes over") or not new.alive() or not old.alive(), "it has begun", 20, every=0.001)
            (new if victim == "new" else old).kill()
            if victim == "old":
                new.wait_until_serving()
                mesh.one = new
            elif not old.alive() or old.lines("has taken over all pods"):
                # It had all when it died.
                mesh.one = Generation(mesh, mesh.first, world.first_pods, number + 10, *arguments(mesh, mesh.first))
            wait_until_served(mesh)
        count = len(storm.answers)
        wait_for(lambda: any("server" in answer for answer in storm.answers[count:]), "the storm gets through", 30)
        assert wire.segments, "the sniffer saw nothing"
        # None where the old one and its tunnel live on.
        assert {port for _, port in wire.opened_from(world.client.ips)} <= {15008}, "in the clear"


def test_a_successor_that_chooses_by_itself_goes_on_as_it_finds_its_pods(tmp_path):
    """`auto` takes over from a ztund that was told a mode; one that was told another mode does not."""
    with stage(tmp_path, "nft") as mesh:
        world = mesh.world
        start_both(mesh)
        wait_until_served(mesh)
        gone = mesh.one
        other = Generation(mesh, mesh.first, world.first_pods, 2, "--capture", "bpf", *places(mesh), ready=False)
        assert other.process.wait(30) != 0
        assert "it captures in mode nft, not bpf" in other.text()
        with Storm(world.client, *world.server.ips) as storm:
            mesh.one = Generation(mesh, mesh.first, world.first_pods, 3, "--capture", "auto", *places(mesh))
            assert gone.process.wait(30) == 0, gone.text()[-2000:]
            before = len(storm.answers)
            wait_for(lambda: len(storm.answers) > before + 20, "the storm goes on", 30)
            assert [answer for answer in storm.answers if "server" not in answer] == []
        status = mesh.one.status()
        assert status["captureMode"] == "auto"
        assert {pod["capture"] for pod in status["pods"]} == {"nft"}, "what is installed is taken over as it is"


def places(mesh):
    return ["--bpf-dir", mesh.bpffs / mesh.first.name, "--pod-cgroup", mesh.pods_cgroup.path]
