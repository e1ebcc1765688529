"""Fixtures of the namespace tests: the shared mesh, and a private one for tests that break things."""
import contextlib

import pytest

from support.mesh import Mesh
from support.netns import Wire
from support.servers import ChecksumServer, EchoServer, HTTPServer, SourceServer
from support.world import World, make_network


@contextlib.contextmanager
def stage(folder):
    """Network, pods, state file and applications; daemons are left to the caller."""
    with make_network() as network, Mesh(network, folder) as mesh:
        mesh.world = World(network)
        mesh.state = mesh.world.state()
        mesh.state.write(mesh.state_path)
        for pod in (mesh.world.server, mesh.world.plain, mesh.world.outsider):
            mesh.use(HTTPServer(pod, 8080))
        mesh.echo = mesh.use(EchoServer(mesh.world.server, 7000))
        mesh.use(ChecksumServer(mesh.world.server, 9000))
        mesh.use(SourceServer(mesh.world.server, 9001))
        mesh.wire = Wire(mesh.first, 15008, 8080)
        yield mesh


def start_both(mesh):
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods)
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Both nodes up; shared by the tests of a file, which leave it as they found it."""
    with stage(tmp_path_factory.mktemp("mesh")) as mesh:
        start_both(mesh)
        yield mesh


@pytest.fixture
def bare(tmp_path):
    """The stage without daemons."""
    with stage(tmp_path) as mesh:
        yield mesh


@pytest.fixture
def own_mesh(bare):
    """Both nodes up, for one test that changes or breaks them."""
    start_both(bare)
    return bare
