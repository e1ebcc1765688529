"""Two nodes that capture in one mode each time; the pods' programs run in a cgroup tree of the test's own."""
import contextlib

import pytest

from support.capture import Cgroup, bpf_file_system
from support.mesh import Mesh
from support.netns import Wire
from support.servers import HTTPServer
from support.world import World, make_network

MODES = ["bpf", "bpf-rewrite", "bpf-route", "nft"]
# For tests that start daemons of their own: what is peculiar to the others is in the quick tests of all modes.
USUAL_MODES = ["bpf", "nft", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("bpf-rewrite", "bpf-route"))]


@contextlib.contextmanager
def stage(folder, mode):
    """Network, pods in cgroups, state and applications; `arguments(node)` makes a ztund capture in `mode`."""
    with contextlib.ExitStack() as stack:
        bpffs = stack.enter_context(bpf_file_system())
        tree = stack.enter_context(Cgroup())
        parent = stack.enter_context(Cgroup(tree, "kubepods"))
        network = stack.enter_context(make_network())
        mesh = stack.enter_context(Mesh(network, folder))
        mesh.world, mesh.mode, mesh.bpffs = World(network), mode, bpffs
        mesh.tree, mesh.pods_cgroup = tree, parent
        for pod in (mesh.world.client, mesh.world.denied, mesh.world.server):
            pod.cgroup = stack.enter_context(Cgroup(parent, pod.name))
        mesh.state = mesh.world.state()
        mesh.state.write(mesh.state_path)
        for pod in (mesh.world.server, mesh.world.plain, mesh.world.outsider, mesh.world.client):
            mesh.use(HTTPServer(pod, 8080))
        mesh.wire = Wire(mesh.first, 15008, 8080)
        # The daemons and the network go before the file system that holds their programs.
        yield mesh


def arguments(mesh, node):
    """The flags that make a ztund on a node capture in the stage's mode."""
    chosen = ["--capture", mesh.mode]
    if mesh.mode.startswith("bpf") or mesh.mode == "auto":
        chosen += ["--bpf-dir", mesh.bpffs / node.name, "--pod-cgroup", mesh.pods_cgroup.path]
    return chosen


def start_both(mesh, *more):
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, *arguments(mesh, mesh.first), *more)
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods, *arguments(mesh, mesh.second), *more)


@pytest.fixture(scope="module", params=MODES)
def mesh(request, tmp_path_factory):
    """Both nodes up; shared by the tests of a file, once by mode."""
    with stage(tmp_path_factory.mktemp("mesh"), request.param) as mesh:
        start_both(mesh)
        yield mesh


@pytest.fixture(params=USUAL_MODES)
def bare(request, tmp_path):
    """The stage of one mode without daemons."""
    with stage(tmp_path, request.param) as mesh:
        yield mesh
