"""Istio's namespaced scenarios 1 to 4, 8, 11 to 13 and 16: which way a connection takes, and that both reporters say so.

Everywhere the server answers twice what it reads, and the reporters count one connection opened and closed, 11 bytes received
and 22 sent (20 through the scripted waypoint), and log one line.
"""
import pytest

from support.filemesh import FileMesh
from support.gateway import Gateway, server_context
from support.scenario import PREFIX, DoubleServer, HELLO, Ledger, TWICE, WaypointEcho, converse, exchange
from support.world import VIP, World, make_network

pytestmark = pytest.mark.root

WAYPOINT_SERVICE_VIP, BALANCED_VIP = "10.96.62.1", "10.96.62.2"
HOST = "default/{}.default.svc.cluster.local".format
# How the three workloads name their waypoint.
BEHIND = {"address": 31, "service": 32, "workload": 33}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """Two nodes; the waypoint is none of ours: it says so, and echoes."""
    with make_network() as network, FileMesh(network, tmp_path_factory.mktemp("paths")) as mesh:
        world = mesh.world = World(network)
        state = mesh.state = world.state()
        mesh.neighbour = mesh.first.pod("neighbour", 20)
        state.workload("neighbour", mesh.neighbour.ips, "n1", services={HOST("balanced"): {80: 8080}})
        mesh.twin = mesh.second.pod("twin", 21)
        state.workload("twin", mesh.twin.ips, "n2", services={HOST("balanced"): {80: 8080}})
        waypoint = next(entry for entry in state.workloads if entry["name"] == "waypoint")
        waypoint["services"][HOST("gate")] = {15008: 15008}
        waypoint["hostname"] = "waypoint.example"
        ways = {
            "address": f"/{world.waypoint.ipv4}", "service": HOST("gate"), "workload": "default/waypoint.example"}
        mesh.behind, mesh.servers = {}, {}
        for kind, number in BEHIND.items():
            pod = mesh.behind[kind] = mesh.second.pod(f"behind-{kind}", number)
            mesh.servers[kind] = mesh.use(DoubleServer(pod, 8080))
            state.workload(
                pod.name, pod.ips, "n2", waypoint={"destination": ways[kind], "hboneMtlsPort": 15008})
        state.service("gate", [], {15008: 15008})
        state.service(
            "no-endpoints", [WAYPOINT_SERVICE_VIP], {80: 8080},
            waypoint={"destination": f"/{world.waypoint.ipv4}", "hboneMtlsPort": 15008})
        state.service("balanced", [BALANCED_VIP], {80: 8080})
        state.write(mesh.state_path)
        for pod in (world.server, world.plain, mesh.neighbour, mesh.twin):
            mesh.servers[pod.name] = mesh.use(DoubleServer(pod, 8080))
        mesh.use(WaypointEcho(world.waypoint, 7777))
        chain, key = mesh.leaf("waypoint", world.waypoint.identity)
        mesh.waypoint = mesh.use(Gateway(
            world.waypoint, 15008, server_context(mesh.authority, chain, key), lambda _: ("127.0.0.1", 7777)))
        mesh.one = mesh.start_ztund(mesh.first, [*world.first_pods, mesh.neighbour])
        mesh.two = mesh.start_ztund(mesh.second, [*world.second_pods, mesh.twin])
        yield mesh


def between(daemon, reporter, source, destination):
    return Ledger(daemon, reporter, source_workload=source.name, destination_workload=destination.name)


def assert_tunnelled(fields, source, destination, hbone):
    """A complete line of a connection in a tunnel, with both identities."""
    assert "error" not in fields and "reason" not in fields
    assert fields["src.identity"] == source.identity and fields["dst.identity"] == destination.identity
    assert fields["src.workload"] == source.name and fields["dst.workload"] == destination.name
    assert fields["src.addr"].rsplit(":", 1)[0] == source.ipv4
    assert fields["dst.addr"] == f"{destination.ipv4}:15008" and fields["dst.hbone_addr"] == hbone


def assert_counted_bytes(outbound=None, inbound=None, sent=len(HELLO), received=len(TWICE)):
    """`bytes_sent` of the access log goes away from the reporter: to the server at the source, to the client at the destination."""
    if outbound:
        assert (outbound["bytes_sent"], outbound["bytes_recv"]) == (str(sent), str(received))
    if inbound:
        assert (inbound["bytes_sent"], inbound["bytes_recv"]) == (str(received), str(sent))


def check_captured(mesh, destination, reporter):
    client = mesh.world.client
    source, target = between(mesh.one, "source", client, destination), between(reporter, "destination", client, destination)
    exchange(client, destination.ipv4, 8080)
    lines = []
    for ledger in (source, target):
        ledger.expect()
        lines.append(ledger.line(f"{destination.ipv4}:8080"))
        assert_tunnelled(lines[-1], client, destination, f"{destination.ipv4}:8080")
    assert_counted_bytes(*lines)


def test_01_local_captured(mesh):
    """Both on one node: the tunnel is a real one, and the one daemon reports twice."""
    check_captured(mesh, mesh.neighbour, mesh.one)


def test_02_server_uncaptured(mesh):
    """A server outside the mesh is called in plaintext; no identities anywhere."""
    client, plain = mesh.world.client, mesh.world.plain
    source = between(mesh.one, "source", client, plain)
    exchange(client, plain.ipv4, 8080)
    source.expect()
    fields = source.line(f"{plain.ipv4}:8080")
    assert fields["dst.addr"] == f"{plain.ipv4}:8080"
    assert not {"src.identity", "dst.identity", "dst.hbone_addr", "error"} & set(fields)
    assert_counted_bytes(fields)
    assert mesh.servers["plain"].peers[-1][0] == client.ipv4
    assert mesh.one.metric(
        "istio_tcp_connections_opened_total", destination_workload="plain", connection_security_policy="unknown") >= 1


def test_03_client_uncaptured(mesh):
    """Upstream runs the body of scenario 2 here; this is the direction that its name promises."""
    outsider, server = mesh.world.outsider, mesh.world.server
    target = between(mesh.two, "destination", outsider, server)
    exchange(outsider, server.ipv4, 8080)
    target.expect()
    fields = target.line(f"dst.addr={server.ipv4}:8080")
    assert fields["src.workload"] == "outsider" and fields["dst.workload"] == "server"
    assert not {"src.identity", "dst.identity", "dst.hbone_addr", "error"} & set(fields)
    assert_counted_bytes(inbound=fields)
    assert mesh.servers["server"].peers[-1][0] == outsider.ipv4
    assert mesh.two.metric(
        "istio_tcp_connections_opened_total", source_workload="outsider", connection_security_policy="unknown",
        source_principal="unknown") >= 1


def test_04_cross_node_captured(mesh):
    check_captured(mesh, mesh.world.server, mesh.two)
    assert mesh.servers["server"].peers[-1][0] == mesh.world.client.ipv4


def check_through_waypoint(mesh, address, port):
    """The connection ends at the waypoint, which sees where it was to go."""
    client, waypoint = mesh.world.client, mesh.world.waypoint
    source = between(mesh.one, "source", client, waypoint)
    exchange(client, address, port, PREFIX + HELLO)
    source.expect(sent=len(PREFIX + HELLO))
    assert mesh.waypoint.requests[-1][":authority"] == f"{address}:{port}"
    fields = source.line(f"{address}:{port}")
    assert_tunnelled(fields, client, waypoint, f"{address}:{port}")
    assert_counted_bytes(fields, received=len(PREFIX + HELLO))


def test_08_workload_waypoint(mesh):
    check_through_waypoint(mesh, mesh.behind["address"].ipv4, 8080)
    assert not mesh.servers["address"].peers, "the server itself is never contacted"


def test_11_service_waypoint(mesh):
    """The service has no endpoints: what is behind the waypoint is the waypoint's business."""
    check_through_waypoint(mesh, WAYPOINT_SERVICE_VIP, 80)


def test_12_workload_waypoint_by_service_hostname(mesh):
    check_through_waypoint(mesh, mesh.behind["service"].ipv4, 8080)
    assert not mesh.servers["service"].peers


def test_13_workload_waypoint_by_workload_hostname(mesh):
    """No service has that name: the waypoint is the workload whose own host name it is."""
    check_through_waypoint(mesh, mesh.behind["workload"].ipv4, 8080)
    assert not mesh.servers["workload"].peers


def test_16_service_load_balancing(mesh):
    """One endpoint on this node, one on the other; a connection has one of them, many have both."""
    client = mesh.world.client
    servers = [mesh.servers["neighbour"], mesh.servers["twin"]]

    def seen():
        return [len(server.peers) for server in servers]

    before = seen()
    labels = {"destination_service": "balanced.default.svc.cluster.local", "source_workload": "client"}
    source = Ledger(mesh.one, "source", **labels)
    exchange(client, BALANCED_VIP, 80)
    assert sum(seen()) == sum(before) + 1
    source.expect()
    fields = source.line("balanced.default.svc.cluster.local")
    assert fields["dst.service"] == "balanced.default.svc.cluster.local"
    source = Ledger(mesh.one, "source", **labels)
    remote = between(mesh.two, "destination", client, mesh.twin)
    before = seen()
    for _ in range(50):
        exchange(client, BALANCED_VIP, 80)
    here, there = (after - earlier for after, earlier in zip(seen(), before))
    assert here + there == 50 and here >= 1 and there >= 1, "each endpoint has its share; neither is starved"
    source.expect(opened=50, closed=50, received=50 * len(HELLO), sent=50 * len(TWICE))
    remote.expect(opened=there, closed=there, received=there * len(HELLO), sent=there * len(TWICE))


def test_16_the_service_is_named_at_both_ends(mesh):
    """The destination knows of the service from its state: the connection was to an endpoint's port of that service."""
    labels = {"destination_service": "server.default.svc.cluster.local", "source_workload": "client"}
    ledgers = [Ledger(mesh.one, "source", **labels), Ledger(mesh.two, "destination", **labels)]
    exchange(mesh.world.client, VIP, 80)
    for ledger in ledgers:
        ledger.expect()


def test_a_long_connection_is_counted_while_it_runs(mesh):
    """Opened at once and closed not before its end; its bytes are visible in between."""
    client, server = mesh.world.client, mesh.world.server
    source = between(mesh.one, "source", client, server)
    with client.connect(server.ipv4, 8080) as connection:
        converse(connection)
        source.expect(closed=0)
    source.expect()
