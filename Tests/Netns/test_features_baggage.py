"""What peers say of themselves: taken for telemetry where the state does not know them, for nothing else."""
import pytest

from Netns.conftest import stage
from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.netns import inside
from support.waiting import wait_for

pytestmark = pytest.mark.root

STRANGER = "spiffe://cluster.local/ns/elsewhere/sa/stranger"
SAYS = "k8s.cluster.name=far,k8s.namespace.name=forged,k8s.deployment.name=caller,service.name=caller-svc,service.version=v7"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr("Netns.conftest.Mesh", FileMesh)
    with stage(tmp_path_factory.mktemp("baggage")) as mesh:
        mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods)
        yield mesh
    patch.undo()


def call(mesh, port, *headers, where=None, name="stranger", identity=STRANGER):
    """One CONNECT from an address that the state does not know, or from `where`."""
    import socket

    chain, key = mesh.leaf(name, identity)
    with inside(where or mesh.first.netns):
        raw = socket.create_connection((mesh.world.server.ipv4, 15008), 5)
    with Client(raw, client_context(mesh.authority, chain, key)) as client:
        status, stream, answer = client.connect(f"{mesh.world.server.ipv4}:{port}", *headers)
        if status == 200:
            client.send(stream, b"", end=True)
            client.ends(stream)
    return status, answer


def last_line(mesh, *parts):
    return mesh.two.wait_for_line("connection complete", 'direction="inbound"', *parts)


def test_an_unknown_peer_is_named_as_it_says(mesh):
    assert call(mesh, 7000, ("baggage", SAYS))[0] == 200
    line = last_line(mesh, 'src.workload="caller"')
    assert 'src.cluster="far"' in line and STRANGER in line
    # What the certificate proves comes before what is said.
    assert 'src.namespace="elsewhere"' in line and "forged" not in line
    wait_for(
        lambda: mesh.two.metric(
            "istio_tcp_connections_opened_total", source_workload="caller", source_canonical_service="caller-svc",
            source_version="v7", source_workload_namespace="elsewhere") == 1, "the metric says so too")


def test_a_known_peer_is_named_as_the_state_says(mesh):
    """`denied` calls itself `client`: neither its name nor its right changes."""
    denied = mesh.world.denied
    status, answer = call(
        mesh, 7000, ("baggage", "k8s.deployment.name=client,k8s.namespace.name=other"), where=denied.netns,
        name="denied", identity=denied.identity)
    assert status == 401
    assert "policy_denied" in answer["proxy-status"]
    line = last_line(mesh, "policy_denied")
    assert 'src.workload="denied"' in line and "other" not in line


@pytest.mark.parametrize(
    "fields, workload",
    [
        (["k8s.deployment.name=one", "service.name=two"], "one"),
        (["k8s.deployment.name = spaced ;p=1 , , =x, junk"], "spaced"),
        (["k8s.pod.name=a%20b"], "a%20b"),
        (["k8s.deployment.name=" + "x" * 254], None),
        (["k8s.deployment.name=a\tb"], None),
        (["k8s.deployment.name="], None),
        ([""], None),
        (["," * 500 + "k8s.deployment.name=late"], "late"),
        ([",".join(["a=b"] * 40) + ",k8s.deployment.name=late"], None),
    ],
    ids=["split", "spaced", "not-decoded", "too-long", "control", "no-value", "empty", "commas", "many"],
)
def test_baggage_is_read_leniently_and_bounded(mesh, fields, workload):
    count = len(mesh.two.lines("connection complete", 'direction="inbound"'))
    assert call(mesh, 7000, *[("baggage", field) for field in fields])[0] == 200
    line = wait_for(
        lambda: mesh.two.lines("connection complete", 'direction="inbound"')[count:], "the access log has it")[0]
    if workload:
        assert f'src.workload="{workload}"' in line
    else:
        assert "src.workload" not in line


def test_through_a_gateway_the_address_says_nothing_of_the_client(mesh):
    """A gateway hands on from another network: its own workload is not the client."""
    outsider = mesh.world.outsider
    for network, expected in (("far", 'src.workload="caller"'), ("", 'src.workload="outsider"')):
        status, _ = call(
            mesh, 7000, ("baggage", SAYS), ("x-forwarded-network", network), where=outsider.netns)
        assert status == 200
        last_line(mesh, expected, f"{outsider.ipv4}:")
