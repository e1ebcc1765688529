"""`ztun strict-ready`: who still calls in plaintext, so that a namespace can be made STRICT without refusing anybody."""
import json
import socket
import subprocess

import pytest

from support import netns
from support.mesh import Mesh
from support.programs import program
from support.servers import EchoServer
from support.waiting import wait_for
from support.world import World, make_network


@pytest.fixture
def mesh(tmp_path):
    with make_network() as network, Mesh(network, tmp_path) as mesh:
        world = mesh.world = World(network)
        state = world.state()
        state.write(mesh.state_path)
        mesh.use(EchoServer(world.server, 8080))
        mesh.one = mesh.start_ztund(mesh.first, world.first_pods)
        mesh.two = mesh.start_ztund(mesh.second, world.second_pods, "--workers", "2")
        yield mesh


def judge(daemon, scope="default"):
    result = daemon.ztun("strict-ready", scope, "-o", "json", check=False)
    report = json.loads(result.stdout)
    assert result.returncode == {"ready": 0, "not_ready": 1, "no_data": 5}[report["verdict"]], result.stderr
    return report


def talk(pod, address, port=8080):
    with pod.connect(address, port) as connection:
        connection.sendall(b"hello")
        assert netns.receive(connection, 5) == b"hello"


@pytest.mark.root
def test_from_no_data_to_ready_to_not_ready(mesh):
    world = mesh.world
    report = judge(mesh.two)
    assert report["verdict"] == "no_data" and report["pods"] == ["default/server"] and not report["callers"]
    assert report["elsewhere"] == {"n1": ["default/client", "default/denied"], "n2": ["default/waypoint"]}
    assert any("nobody has called" in note for note in report["notes"])

    talk(world.client, world.server.ipv4)
    ready = wait_for(lambda: (one := judge(mesh.two))["verdict"] == "ready" and one, "a call with mutual TLS is known")
    assert ready["mutualConnections"] >= 1 and not ready["callers"]
    assert judge(mesh.two, "default/server")["verdict"] == "ready"
    assert judge(mesh.two, "default/other")["verdict"] == "no_data" and judge(mesh.two, "elsewhere")["verdict"] == "no_data"

    # A pod without the mesh, known by its address; and the node itself, which nobody knows.
    for _ in range(3):
        talk(world.outsider, world.server.ipv4)
    with netns.inside(mesh.first.netns):
        with socket.create_connection((world.server.ipv4, 8080), 5) as connection:
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            by_name = wait_for(
                lambda: {one["workload"] or one["address"]: one for one in judge(mesh.two)["callers"]}
                if len(judge(mesh.two)["callers"]) == 2 else None, "both are known")
            assert by_name[mesh.first.ipv4]["open"] == 1 and by_name[mesh.first.ipv4]["workload"] == ""
    outsider = by_name["default/outsider"]
    assert (outsider["connections"], outsider["open"], outsider["port"], outsider["inMesh"]) == (3, 0, 8080, False)
    assert outsider["destination"] == "default/server" and outsider["verdict"] == "forwarded"
    assert outsider["firstSeen"] <= outsider["lastSeen"] and report["since"] <= outsider["firstSeen"]
    assert judge(mesh.two)["verdict"] == "not_ready"
    table = mesh.two.ztun("strict-ready", "default", check=False)
    assert table.returncode == 1 and "default/outsider" in table.stdout and "not ready" in table.stdout.splitlines()[-1]
    # Who calls is another node's matter.
    assert judge(mesh.one)["verdict"] == "no_data"


@pytest.mark.root
def test_callers_that_policy_refuses_already_do_not_count(mesh):
    """A namespace that is STRICT is ready for it, whoever tries."""
    world = mesh.world
    state = world.state()
    policy = state.policy(
        "strict", [{"notPrincipals": [{"Presence": {}}]}])
    next(one for one in state.workloads if one["name"] == "server")["authorizationPolicies"].append(policy)
    state.write(mesh.state_path)
    wait_for(lambda: mesh.two.status()["state"]["policies"] == 2, "it is in force")
    talk(world.client, world.server.ipv4)

    def refused():
        assert world.outsider.run("curl", "-s", "--max-time", "5", f"http://{world.server.ipv4}:8080/", check=False).returncode
        return [one for one in judge(mesh.two)["callers"] if one["verdict"] == "refused"]

    (caller,) = wait_for(refused, "the refusal is in the journal")
    assert caller["workload"] == "default/outsider"
    assert wait_for(lambda: judge(mesh.two)["verdict"] == "ready", "ready")


@pytest.mark.parametrize("scope, code", [("a/b/c", 2), ("/x", 2), ("", 2), ("app", 3)])
def test_wrong_usage_and_nobody_there(tmp_path, scope, code):
    result = subprocess.run(
        [program("ztun"), "strict-ready", scope, "--run-dir", str(tmp_path)], capture_output=True, text=True, timeout=20)
    assert result.returncode == code and result.stderr and not result.stdout
