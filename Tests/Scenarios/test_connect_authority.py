"""Where a verified peer may have its CONNECT lead to: rows 46 to 50 of the acceptance catalogue.

The peer is Python's ssl and h2. That a refused request leads nowhere is seen in three ways: by its answer, by applications that
would see a connection (on the pod's and the node's wildcard addresses, so also on loopback), and by the daemon's own `connect`
calls under strace.
"""
import pytest

from support.dials import Dials
from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.scenario import DoubleServer, HELLO, TWICE
from support.servers import EchoServer
from support.waiting import wait_for
from support.world import VIP, World, make_network

pytestmark = pytest.mark.root

MARK = 7000
SERVICE = "server.default.svc.cluster.local"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authority")
    with make_network() as network, FileMesh(network, folder) as mesh:
        world = mesh.world = World(network)
        mesh.other = mesh.second.pod("other", 30)
        mesh.state = world.state()
        mesh.state.workload("other", mesh.other.ips, "n2", hostname="other.example")
        mesh.state.write(mesh.state_path)
        mesh.use(EchoServer(world.server, MARK))
        mesh.applications = [
            mesh.use(DoubleServer(place, 8080)) for place in (world.server, world.plain, world.client, mesh.other, mesh.second)]
        mesh.two = mesh.start_ztund(mesh.second, [world.server, mesh.other], "--log-level", "info")
        mesh.dials = mesh.use(Dials(mesh.two.pid, folder / "connect.trace"))
        mesh.marks = 0

        def attached():
            with dial(mesh) as client:
                assert client.connect(f"{world.server.ipv4}:{MARK}")[0] == 200
            return MARK in mesh.dials.ports()

        wait_for(attached, "strace sees the daemon's dials", every=0.1)
        yield mesh


def dial(mesh, address=None):
    raw = mesh.world.outsider.connect(address or mesh.world.server.ipv4, 15008)
    chain, key = mesh.leaf("client", mesh.world.client.identity)
    return Client(raw, client_context(mesh.authority, chain, key))


@pytest.fixture
def nobody_dialled(mesh):
    """A tunnel; after the test it carries a CONNECT that is allowed, and nothing but that was dialled."""
    before = [len(server.peers) for server in mesh.applications]
    dialled = mesh.dials.ports()
    with dial(mesh) as client:
        yield client
        status, stream, _ = client.connect(f"{mesh.world.server.ipv4}:{MARK}")
        assert status == 200, "the connection serves what is right after what was wrong"
        client.send(stream, b"x")
        assert client.receive(stream, 1) == b"x"
        mesh.dials.wait_for_port(MARK, dialled.count(MARK) + 1)
    assert mesh.dials.ports()[len(dialled):] == [MARK]
    assert [len(server.peers) for server in mesh.applications] == before


def refusals(mesh, reason):
    return mesh.two.metric("ztun_refusals_total", reason=reason, direction="inbound")


AUTHORITIES = [
    # Not the pod's: loopback, unspecified, link-local, metadata, multicast, broadcast.
    "127.0.0.1:8080", "127.8.8.8:8080", "[::1]:8080", "0.0.0.0:8080", "[::]:8080", "169.254.1.1:8080", "169.254.169.254:80",
    "[fe80::1]:8080", "[fd00:ec2::254]:80", "224.0.0.1:8080", "[ff02::1]:8080", "255.255.255.255:8080", "240.0.0.1:8080",
    "[64:ff9b::7f00:1]:8080", "[::7f00:1]:8080",
    # The pod's address written so that two readers might differ.
    "[::ffff:{server}]:8080", "[::ffff:127.0.0.1]:8080", "{server6}:8080", "[{server6}%eth0]:8080", "[{server6}]",
    "[{server6}:8080", "[{server}]:8080", "0x7f.1:8080", "0x7f000001:8080", "2130706433:8080", "0177.0.0.1:8080", "127.1:8080",
    "010.61.2.10:8080", "10.61.2.10.:8080", "１０.61.2.10:8080", "10.61.2.1O:8080x",
    # No port, or none that is one.
    "{server}", "{server}:", "{server}:0", "{server}:65536", "{server}:99999", "{server}:08080", "{server}:+8080",
    "{server}:-1", "{server}:8080:8080", "{server}:http", "{server}:0x50", "{server}: 8080", "{server}:80 80",
    # More than an authority.
    "user@{server}:8080", "user:secret@{server}:8080", "http://{server}:8080", "{server}:8080/", "{server}:8080?x",
    "{server}:8080#x", "{server}:8080,{server}:8080", "{server}:8080;{server}:8080", "{server}%3a8080", "%31%30.61.2.10:8080",
    # Nothing, or no name.
    "", ":8080", "*:8080", ".:8080", "..:8080", "-:8080", "a..b:8080", SERVICE + ".:80", "a" * 64 + ":80", "a." * 130 + ":80",
    "a" * 15000 + ":80", "unix:/run/ztun/ztund.sock", "{server}\\:8080",
]


@pytest.mark.parametrize("authority", AUTHORITIES, ids=lambda text: ascii(text[:40]).strip("'"))
def test_row_46_authority(mesh, nobody_dialled, authority):
    text = authority.format(server=mesh.world.server.ipv4, server6=mesh.world.server.ipv6)
    status, _, headers = nobody_dialled.connect(text)
    # What HTTP/2 itself forbids in the field is a stream error instead.
    assert status in (400, None), headers
    if status:
        assert "authority_invalid" in headers["proxy-status"] or "destination_mismatch" in headers["proxy-status"]


@pytest.mark.parametrize(
    "authority",
    ["[::1]:8080", "[::]:8080", "[fe80::1]:8080", "127.0.0.1:8080", "{server}:8080", "[::ffff:{server}]:8080", "[{other6}]:8080",
     "[{server6}%25eth0]:8080", "{server6}:8080", "[{server6}]:0", "[fd61:2::010]:08080", "[fd61:2:::10]:8080"],
    ids=lambda text: text.strip("'"))
def test_row_46_authority_in_a_tunnel_over_ipv6(mesh, nobody_dialled, authority):
    """Also the pod's other address: the tunnel came to this one."""
    server = mesh.world.server
    text = authority.format(server=server.ipv4, server6=server.ipv6, other6=mesh.other.ipv6)
    with dial(mesh, server.ipv6) as client:
        status, _, headers = client.connect(text)
        assert status in (400, None), headers


def test_row_46_one_address_in_two_spellings(mesh):
    """IPv6 has many spellings of one address; what counts is the address."""
    with dial(mesh, mesh.world.server.ipv6) as client:
        for spelling in (mesh.world.server.ipv6, "FD61:2::10", "fd61:2:0:0:0:0:0:10", "fd61:0002::0010"):
            status, stream, _ = client.connect(f"[{spelling}]:{MARK}")
            assert status == 200, spelling
            client.send(stream, b"x", end=True)
            assert client.receive(stream, 1) == b"x"


@pytest.mark.parametrize("raw", [b"10.61.2.10\x00:8080", b"10.61.2.10:8080\r\nhost: x", b"10.61.2.10:8080\n", b"\xff\xfe:8080"])
def test_row_46_bytes_that_no_authority_has(nobody_dialled, raw):
    assert nobody_dialled.connect(raw)[0] in (400, None)


@pytest.mark.parametrize("whose", ["other", "plain", "client", "node", "first_node", "service", "stranger", "other_family"])
def test_row_47_not_the_pod_that_received_it(mesh, nobody_dialled, whose):
    """Also not another pod of the same daemon, and not the service's address: the server is no waypoint."""
    world = mesh.world
    address = {
        "other": mesh.other.ipv4, "plain": world.plain.ipv4, "client": world.client.ipv4, "node": mesh.second.ipv4,
        "first_node": mesh.first.ipv4, "service": VIP, "stranger": "192.0.2.1", "other_family": f"[{mesh.other.ipv6}]"}[whose]
    before = refusals(mesh, "destination_mismatch")
    status, _, headers = nobody_dialled.connect(f"{address}:8080")
    assert status == 400 and "destination_mismatch" in headers["proxy-status"]
    wait_for(lambda: refusals(mesh, "destination_mismatch") == before + 1, "the refusal is counted")
    mesh.two.wait_for_line('reason="destination_mismatch"', f"dst.hbone_addr={address}:8080")


@pytest.mark.parametrize("port", [15001, 15006, 15008])
def test_row_48_our_own_ports_are_no_recursion(mesh, nobody_dialled, port):
    before = refusals(mesh, "recursive_call")
    status, _, headers = nobody_dialled.connect(f"{mesh.world.server.ipv4}:{port}")
    assert status == 503 and "recursive_call" in headers["proxy-status"]
    wait_for(lambda: refusals(mesh, "recursive_call") == before + 1, "the refusal is counted")


@pytest.mark.parametrize("port", [15000, 15020, 15021])
@pytest.mark.parametrize("place", ["pod", "node"])
def test_row_48_our_admin_ports_are_not_there(mesh, place, port):
    """They are the node's: in the pod nothing listens, and the node's address is not the pod's."""
    address = {"pod": mesh.world.server.ipv4, "node": mesh.second.ipv4}[place]
    with dial(mesh) as client:
        assert client.connect(f"{address}:{port}")[0] == {"pod": 503, "node": 400}[place]


def method(name):
    return [(":method", name), (":scheme", "https"), (":authority", "{at}"), (":path", "/")]


CONNECT = [(":method", "CONNECT"), (":authority", "{at}")]
REQUESTS = {
    **{name.lower(): method(name) for name in ("GET", "POST", "PUT", "OPTIONS", "PRI", "TRACE")},
    "lower-case": method("connect"),
    "lower-case-without-path": [(":method", "connect"), (":authority", "{at}")],
    "empty-method": [(":method", ""), (":authority", "{at}")],
    "no-method": [(":authority", "{at}")],
    "two-methods": [(":method", "CONNECT"), (":method", "GET"), (":authority", "{at}")],
    "extended": [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/"), (":authority", "{at}")],
    "extended-without-path": [(":method", "CONNECT"), (":protocol", "websocket"), (":authority", "{at}")],
    "extended-connect-udp": [
        (":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "https"), (":path", "/.well-known/masque/udp/x/1/"),
        (":authority", "{at}")],
    "path": [*CONNECT, (":path", "/")],
    "scheme": [*CONNECT, (":scheme", "https")],
    "path-and-scheme": [*CONNECT, (":scheme", "https"), (":path", "/")],
    "two-authorities": [(":method", "CONNECT"), (":authority", "{at}"), (":authority", "127.0.0.1:8080")],
    "the-same-authority-twice": [(":method", "CONNECT"), (":authority", "{at}"), (":authority", "{at}")],
    "no-authority": [(":method", "CONNECT")],
    "host-alone": [(":method", "CONNECT"), ("host", "{at}")],
    "other-host": [*CONNECT, ("host", "127.0.0.1:8080")],
    "host-without-port": [*CONNECT, ("host", "{host}")],
    "two-hosts": [*CONNECT, ("host", "{at}"), ("host", "127.0.0.1:8080")],
    "empty-host": [*CONNECT, ("host", "")],
    "unknown-pseudo-header": [*CONNECT, (":forward-to", "127.0.0.1:8080")],
    "response-pseudo-header": [*CONNECT, (":status", "200")],
    "pseudo-header-last": [(":method", "CONNECT"), ("x", "y"), (":authority", "{at}")],
    "upper-case-name": [*CONNECT, ("X-Upper", "y")],
    "connection": [*CONNECT, ("connection", "keep-alive")],
    "transfer-encoding": [*CONNECT, ("transfer-encoding", "chunked")],
    "upgrade": [*CONNECT, ("upgrade", "h2c")],
    "te": [*CONNECT, ("te", "gzip")],
    "line-feed-in-a-value": [*CONNECT, ("baggage", "a=b\n:authority: 127.0.0.1:8080")],
    "blank-in-a-name": [*CONNECT, ("x y", "z")],
}


@pytest.mark.parametrize("name", REQUESTS)
def test_row_49_request(mesh, nobody_dialled, name):
    server = mesh.world.server.ipv4
    fields = [(key, value.format(at=f"{server}:8080", host=server)) for key, value in REQUESTS[name]]
    status = nobody_dialled.answer(nobody_dialled.request(fields))[0]
    assert status in (400, 405, None)


def test_row_49_the_same_host_is_no_offence(mesh):
    at = f"{mesh.world.server.ipv4}:8080"
    with dial(mesh) as client:
        assert client.connect(at, ("host", at))[0] == 200


@pytest.mark.parametrize("name", [SERVICE, SERVICE.upper()])
def test_row_50_service_names_are_known(mesh, name):
    """By the endpoint's own port; names have no case."""
    with dial(mesh) as client:
        status, stream, _ = client.connect(f"{name}:80")
        assert status == 200
        client.send(stream, HELLO)
        assert client.receive(stream, len(TWICE)) == TWICE


def test_row_50_own_host_name_is_known(mesh):
    with dial(mesh, mesh.other.ipv4) as client:
        assert client.connect("other.example:8080")[0] == 200


@pytest.mark.parametrize(
    "authority, status, reason",
    [
        (f"{SERVICE}:8080", 503, "service_port_unknown"), (f"{SERVICE}:15008", 503, "service_port_unknown"),
        ("plain.default.svc.cluster.local:80", 400, "destination_mismatch"), ("other.example:8080", 503, "service_unknown"),
        ("nowhere.default.svc.cluster.local:80", 503, "service_unknown"), ("server:80", 503, "service_unknown"),
        ("server.default:80", 503, "service_unknown"), ("server.default.svc:80", 503, "service_unknown"),
        ("server.other.svc.cluster.local:80", 503, "service_unknown"), ("localhost:8080", 503, "service_unknown"),
        ("localhost.localdomain:8080", 503, "service_unknown"), ("metadata.google.internal:80", 503, "service_unknown"),
        ("kubernetes.default.svc:443", 503, "service_unknown"), ("example.com:80", 503, "service_unknown"),
    ],
)
def test_row_50_other_names_are_not_looked_up(mesh, nobody_dialled, authority, status, reason):
    """A name is one that the state gives to this pod, or none: no DNS by a peer's choice (a look-up would be a `connect`)."""
    answer, _, headers = nobody_dialled.connect(authority)
    assert answer == status and reason in headers["proxy-status"]
