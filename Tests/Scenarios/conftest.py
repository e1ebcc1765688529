"""The stage of the scenario tests: a mesh with a waypoint."""
import pytest

from support.mesh import Mesh
from support.servers import EchoServer, HTTPServer
from support.world import World, make_network

ROUTES = """
routes:
- service: default/through-waypoint.default.svc.cluster.local
  rules:
  - name: header
    matches: [{path: {prefix: /api}, method: GET, headers: {x-user: tester}}]
    backends: [{workload: default/server, port: 8082}]
  - name: nowhere
    matches: [{path: {prefix: /nowhere}}]
    backends: [{workload: default/server, port: 8099}]
  - name: split
    matches: [{path: {prefix: /split}}]
    backends:
    - {workload: default/server, port: 8080, weight: 80}
    - {workload: default/server, port: 8082, weight: 20}
  - name: api
    matches: [{path: {prefix: /api}, method: GET}]
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("waypoint")
    with make_network() as network, Mesh(network, folder) as mesh:
        mesh.world = World(network)
        mesh.state = mesh.world.state()
        mesh.state.write(mesh.state_path)
        mesh.use(HTTPServer(mesh.world.server, 8080, "v1"))
        mesh.use(HTTPServer(mesh.world.server, 8082, "v2"))
        mesh.use(EchoServer(mesh.world.server, 7000))
        mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods)
        mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
        mesh.waypoint = mesh.start_waypoint(mesh.world.waypoint, ROUTES)
        yield mesh
