"""Two nodes whose daemons read a folder of Kubernetes manifests."""
import contextlib

import pytest

from support.manifests import AMBIENT, Manifests
from support.mesh import Mesh, NodeDaemon, WaypointDaemon
from support.netns import Network, Wire
from support.servers import EchoServer, HTTPServer

VIP, VIP6, HEADLESS = "10.96.61.1", "fd96:61::1", "headless"


class ManifestMesh(Mesh):
    """`world` of four pods: client, stranger (another account) and outsider (no mesh) on one node, server on the other."""

    def __init__(self, network, folder):
        super().__init__(network, folder)
        self.client = self.first.pod("client", 10)
        self.stranger = self.first.pod("stranger", 11)
        self.outsider = self.first.pod("outsider", 12)
        self.server = self.second.pod("server", 10)
        self.manifests = Manifests(self.folder / "manifests")

    def describe(self):
        """The usual objects; tests add to them before they write."""
        manifests = self.manifests
        manifests.namespace("default", AMBIENT)
        for node in self.network.nodes:
            manifests.node(node, zone=f"z-{node.name}")
        manifests.pod(self.client)
        manifests.pod(self.stranger)
        manifests.pod(self.outsider, labels={"istio.io/dataplane-mode": "none"})
        manifests.pod(self.server, ports={"http": 8080, "echo": 7000})
        manifests.service(
            "server", [VIP, VIP6], [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "echo", "port": 7000}])
        manifests.slice("server", [self.server], {"http": 8080, "echo": 7000})

    def publish(self):
        """Makes what is described what the daemons find."""
        self.manifests.write()

    def source_arguments(self):
        return ["--manifests", self.manifests.folder]

    def start_unready(self, *more):
        self.start(*more, ready=False)

    def start(self, *more, ready=True):
        """Both daemons, on what is written."""
        self.publish()
        for node, pods in ((self.first, [self.client, self.stranger]), (self.second, [self.server])):
            arguments = [*self.source_arguments(), *self.identity_arguments(pods)]
            for pod in pods:
                arguments += ["--pod", pod.enrolment]
            daemon = NodeDaemon(node, self.folder, [*arguments, *more], ready)
            self.daemons[node.name] = daemon
            self.stack.callback(daemon.stop)
        self.one, self.two = self.daemons["n1"], self.daemons["n2"]

    def start_manifest_waypoint(self, pod, *more):
        arguments = [*self.source_arguments(), *self.identity_arguments([pod]), *more]
        daemon = WaypointDaemon(pod, self.folder, arguments)
        self.daemons[pod.name] = daemon
        self.stack.callback(daemon.stop)
        return daemon


@contextlib.contextmanager
def stage(folder):
    with Network("k") as network, ManifestMesh(network, folder) as mesh:
        mesh.describe()
        mesh.use(HTTPServer(mesh.server, 8080))
        mesh.use(EchoServer(mesh.server, 7000))
        mesh.wire = Wire(mesh.first, 15008, 8080, 7000)
        yield mesh


@pytest.fixture
def bare(tmp_path):
    """Pods, applications and manifests that are not written yet."""
    with stage(tmp_path) as mesh:
        yield mesh


@pytest.fixture
def mesh(bare):
    """The same with both daemons up."""
    bare.start()
    return bare
