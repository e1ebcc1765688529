"""The stage of the fault tests: two nodes with a neighbour beside whoever suffers, and the proof that nothing leaked."""
import contextlib
import os
import pathlib

import pytest

from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.netns import Network
from support.probe import Probe
from support.servers import ChecksumServer, EchoServer, HTTPServer, SourceServer
from support.standing import Standing, folder_of_namespaces
from support.world import World


class FaultMesh(FileMesh):
    """As the namespace tests have it, plus `neighbour` on the first node and `other` on the second: the probe's ends."""

    def __init__(self, network, folder):
        super().__init__(network, folder)
        world = self.world = World(network)
        world.neighbour = self.first.pod("neighbour", 13)
        world.other = self.second.pod("other", 13)
        self.state = world.state()
        self.state.workload("neighbour", world.neighbour.ips, "n1")
        self.state.workload("other", world.other.ips, "n2")
        self.state.write(self.state_path)
        self.first_pods = [world.client, world.denied, world.neighbour]
        self.second_pods = [world.server, world.other]

    def serve(self):
        world = self.world
        for pod in (world.server, world.other, world.plain):
            self.use(HTTPServer(pod, 8080))
            self.use(EchoServer(pod, 7000))
        self.use(ChecksumServer(world.server, 9000))
        self.use(SourceServer(world.server, 9001))

    def start_first(self, *arguments, **more):
        self.one = self.start_ztund(self.first, self.first_pods, *arguments, **more)
        return self.one

    def start_second(self, *arguments, **more):
        self.two = self.start_ztund(self.second, self.second_pods, *arguments, **more)
        return self.two

    def probe(self, **more):
        """Both nodes and both data paths, with an identity and a destination of its own."""
        return Probe(self.world.neighbour, self.world.other.ipv4, 7000, **more)

    def probe_beside(self, **more):
        """In the same pods as whoever suffers, and so in the same tunnel."""
        return Probe(self.world.client, self.world.server.ipv4, 7000, **more)

    def stranger(self, account="client", target=None, seconds=10):
        """A tunnel of other make to a pod of the second node, with the identity of a workload."""
        chain, key = self.leaf(account, f"spiffe://cluster.local/ns/default/sa/{account}")
        raw = self.world.outsider.connect((target or self.world.server).ipv4, 15008)
        return Client(raw, client_context(self.authority, chain, key), seconds)

    def standing(self):
        return [Standing(self.one, self.first_pods), Standing(self.two, self.second_pods)]


@contextlib.contextmanager
def stage(folder):
    """Network, pods, state and applications; daemons are left to the caller."""
    with Network("f") as network, FaultMesh(network, folder) as mesh:
        mesh.serve()
        yield mesh


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Both nodes up, shared by the tests of a file: each leaves it as it found it."""
    with stage(tmp_path_factory.mktemp("faults")) as mesh:
        mesh.start_first()
        mesh.start_second()
        yield mesh


@pytest.fixture
def bare(tmp_path):
    """The stage without daemons."""
    with stage(tmp_path) as mesh:
        yield mesh


@pytest.fixture
def own_mesh(bare):
    """Both nodes up, for one test that breaks them for good."""
    bare.start_first()
    bare.start_second()
    return bare


@pytest.fixture
def harmless(mesh):
    """The standard expectation: afterwards both daemons hold what they held before."""
    with mesh.probe():
        pass
    standing = mesh.standing()
    yield mesh
    for one in standing:
        one.back()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    """When all is over: no namespace, no control group and no mount of this run."""
    yield
    assert not folder_of_namespaces(f"zt-f{os.getpid()}-")
    assert not list(pathlib.Path("/sys/fs/cgroup").glob(f"**/zt-{os.getpid()}-*"))
    assert f"zt-{os.getpid()}-" not in pathlib.Path("/proc/mounts").read_text()
