"""Every way in which a pod's program may open a connection, and every way in which one may reach the pod, in every mode."""
import json
import pathlib
import socket
import sys

import pytest

import support.connector
from support.capture import Cgroup
from support.netns import inside, receive, run
from support.servers import EchoServer, HTTPServer
from support.sniffer import Sniffer
from support.waiting import wait_for
from support.world import VIP, VIP6

pytestmark = pytest.mark.root

CONNECTOR = str(pathlib.Path(support.connector.__file__))


def connect(cases, pod=None, namespace=None, cgroup=None):
    """Runs the connector once for all cases, in a pod (or in another namespace and cgroup)."""
    command = [sys.executable, CONNECTOR, json.dumps(cases)]
    if namespace:
        result = run(namespace, *cgroup.enter(*command))
    else:
        result = pod.run(*command)
    return json.loads(result.stdout)


def cases(world):
    client, server = world.client, world.server
    table = []

    def add(name, how, address, port=8080, **more):
        table.append({"name": name, "how": how, "address": address, "port": port, **more})

    for family, address, vip, own, far in (
        ("v4", server.ipv4, VIP, client.ipv4, "10.61.2.99"), ("v6", server.ipv6, VIP6, client.ipv6, "fd61:2::99"),
    ):
        for how in ("plain", "nonblocking", "device", "mptcp", "fastopen", "marked", "udp"):
            add(f"{how} {family}", how, address)
        add(f"bound to the pod's address {family}", "bound", address, bind=own)
        add(f"service {family}", "plain", vip, 80)
        add(f"closed port {family}", "plain", address, 8099)
        add(f"own address {family}", "plain", own)
        add(f"loopback {family}", "plain", "127.0.0.1" if family == "v4" else "::1")
        add(f"own address after another connection {family}", "reused", own, first=address)
        add(f"own address from loopback {family}", "bound", own, bind="127.0.0.1" if family == "v4" else "::1")
    add("v4-mapped", "plain", f"::ffff:{server.ipv4}")
    add("v4-mapped loopback", "plain", "::ffff:127.0.0.1")
    add("bound to loopback", "bound", server.ipv4, bind="127.0.0.1")
    add("link-local", "plain", "169.254.1.1", 8085)
    add("tunnel port of a pod outside the mesh", "plain", world.plain.ipv4, 15008)
    return table


@pytest.fixture(scope="module")
def seen(mesh):
    """What the client pod's program saw in each case."""

    class Gateway:
        netns, name = mesh.first.netns, "gateway"

    with HTTPServer(Gateway, 8085), HTTPServer(mesh.world.plain, 15008):
        return connect(cases(mesh.world), mesh.world.client)


def is_captured(daemon, result, direction="outbound"):
    """Whether the node's log has the connection. It is written when the connection ends."""
    ip, port = result["local"]
    source = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    return bool(daemon.lines("access", f"src.addr={source} ", f'direction="{direction}"'))


def assert_captured(mesh, result, server="server"):
    assert "error" not in result, result
    assert result["server"] == server, result
    wait_for(lambda: is_captured(mesh.one, result), f"{mesh.one.name} logs {result}")


def assert_untouched(mesh, result, server):
    assert "error" not in result, result
    assert result["server"] == server, result
    assert not is_captured(mesh.one, result)


CAPTURED = ["plain", "nonblocking", "mptcp", "fastopen", "marked", "bound to the pod's address", "service"]


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize("how", CAPTURED)
def test_connection_is_captured(mesh, seen, how, family):
    result = seen[f"{how} {family}"]
    assert_captured(mesh, result)
    client = mesh.world.client
    own = client.ipv4 if family == "v4" else client.ipv6
    # Neither the program nor the server sees anything of ztund.
    assert (result["local"][0], result["peer"]) == (own, own)
    server = mesh.world.server
    wanted = {"v4": (server.ipv4, VIP), "v6": (server.ipv6, VIP6)}[family]
    if mesh.mode == "bpf-rewrite" and how == "mptcp":
        # The hook that restores the address sees only TCP's own sockets (docs/capture.md).
        assert result["remote"][0] == own and result["remote"][1] != 8080, "it is restored now: correct docs/capture.md"
        return
    assert result["remote"] == ([wanted[1], 80] if how == "service" else [wanted[0], 8080])
    if how == "nonblocking":
        assert (result["first"], result["second"]) == ("EINPROGRESS", "0")


def test_v4_mapped_connection_is_captured(mesh, seen):
    result = seen["v4-mapped"]
    assert result["server"] == "server" and result["peer"] == mesh.world.client.ipv4, result
    assert result["remote"][0] == f"::ffff:{mesh.world.server.ipv4}"
    local = {**result, "local": [result["local"][0].removeprefix("::ffff:"), result["local"][1]]}
    wait_for(lambda: is_captured(mesh.one, local), "it went through ztund")


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_client_bound_to_an_interface(mesh, seen, family):
    """A redirection sends it to lo, where it does not listen: the one thing that nft cannot do."""
    result = seen[f"device {family}"]
    if mesh.mode == "nft":
        assert "server" not in result, "nft can do it now: correct docs/capture.md"
    else:
        assert_captured(mesh, result)


def test_client_bound_to_loopback(mesh, seen):
    """Natively EINVAL. What BPF modes bring back by a route begins with a lookup that finds a local way.

    Class: a connection of the pod itself taken for one from outside, by its source address.
    """
    result = seen["bound to loopback"]
    if mesh.mode == "nft":
        assert result.get("error") == "EINVAL", result
    else:
        assert_captured(mesh, result)
    assert result.get("peer") != "127.0.0.1"


@pytest.mark.parametrize("family", ["v4", "v6"])
@pytest.mark.parametrize(
    "where", ["own address", "loopback", "own address after another connection", "own address from loopback"])
def test_connection_inside_the_pod_is_untouched(mesh, seen, where, family):
    assert_untouched(mesh, seen[f"{where} {family}"], "client")


def test_v4_mapped_loopback_is_untouched(mesh, seen):
    assert seen["v4-mapped loopback"]["server"] == "client", seen["v4-mapped loopback"]


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_connected_udp_is_untouched(seen, family):
    assert seen[f"udp {family}"].get("connected"), seen[f"udp {family}"]


def test_link_local_destination(mesh, seen):
    """Metadata services and the node itself live there: BPF modes leave it alone, nft passes it on in the clear."""
    result = seen["link-local"]
    assert result.get("server") == "gateway", result
    assert is_captured(mesh.one, result) == (mesh.mode == "nft")


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_closed_port_ends_at_once(mesh, seen, family):
    """A proxy has accepted before it knows; the program then sees a reset, and no timeout."""
    result = seen[f"closed port {family}"]
    assert "server" not in result and result.get("error") in ("ECONNRESET", None), result
    wait_for(lambda: is_captured(mesh.one, result) if "local" in result else True, "it went through ztund")


def test_another_containers_program_is_captured(mesh):
    """One attachment above all pods: which cgroup of the pod it is does not matter."""
    client, address = mesh.world.client, mesh.world.server.ipv4
    with Cgroup(client.cgroup, "second") as second:
        case = {"name": "it", "how": "plain", "address": address, "port": 8080}
        result = connect([case], namespace=client.netns, cgroup=second)["it"]
        assert_captured(mesh, result)


def test_host_network_program_is_untouched(mesh):
    """It runs under the pods' cgroup, but in the node's namespace, which is not enrolled."""
    with Cgroup(mesh.pods_cgroup, "hostnetwork") as cgroup:
        case = {"name": "it", "how": "plain", "address": mesh.world.plain.ipv4, "port": 8080}
        result = connect([case], namespace=mesh.first.netns, cgroup=cgroup)["it"]
    assert_untouched(mesh, result, "plain")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("who", ["outsider", "node"])
def test_plaintext_arrival_goes_through_ztund_once(mesh, who, family):
    """Class: the daemon's own dial captured again, for ever (trap 1)."""
    world = mesh.world
    source = world.outsider if who == "outsider" else mesh.first
    case = {"name": "it", "how": "plain", "address": getattr(world.server, family), "port": 8080}
    command = [sys.executable, CONNECTOR, json.dumps([case])]
    result = json.loads(source.run(*command).stdout)["it"]
    assert result.get("server") == "server", result
    assert result["peer"] == result["local"][0]
    wait_for(lambda: is_captured(mesh.two, result, "inbound"), "the node logs it")
    ip, port = result["local"]
    source = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    assert len(mesh.two.lines("access", f"src.addr={source} ")) == 1


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_plaintext_arrival_at_a_closed_port_ends_at_once(mesh, family):
    case = {"name": "it", "how": "plain", "address": getattr(mesh.world.server, family), "port": 8099}
    command = [sys.executable, CONNECTOR, json.dumps([case])]
    result = json.loads(mesh.world.outsider.run(*command).stdout)["it"]
    assert "server" not in result and result.get("error") in ("ECONNRESET", "ECONNREFUSED", None), result


def test_pods_ports_stay_its_own(mesh):
    """BPF modes take none of the ports that a redirection needs."""
    if mesh.mode == "nft":
        pytest.skip("nft redirects to fixed ports, which it takes")
    client = mesh.world.client
    with HTTPServer(client, 15001), HTTPServer(client, 15006):
        for port in (15001, 15006):
            case = {"name": "it", "how": "plain", "address": "127.0.0.1", "port": port}
            assert connect([case], client)["it"].get("server") == "client"


def test_destination_port_15008_is_a_port_like_others(mesh, seen):
    """Class: a port of ours taken for a call to ourselves."""
    assert_captured(mesh, seen["tunnel port of a pod outside the mesh"], "plain")


@pytest.mark.parametrize("way", ["outside", "tunnel", "inside"])
def test_the_listeners_own_ports_lead_nowhere(mesh, way):
    """Class: a dial to ourselves, accepted and dialled again without end."""
    server = mesh.world.server
    listening = server.run("ss", "-Htln").stdout.splitlines()
    ports = {int(line.split()[3].rsplit(":", 1)[1]) for line in listening} - {8080}
    assert len(ports) == 3, listening
    pod = {"outside": mesh.world.outsider, "tunnel": mesh.world.client, "inside": server}[way]
    before = len(mesh.two.lines("access"))
    cases = [
        {"name": f"{port} {address}", "how": "plain", "address": address, "port": port}
        for port in sorted(ports) for address in server.ips]
    for name, result in connect(cases, pod).items():
        assert "server" not in result and result.get("error") != "TimeoutError", (name, result)
    # What was refused is logged once or twice for each, and then no more.
    settled = connect([{"name": "it", "how": "plain", "address": server.ipv4, "port": 8080}], mesh.world.outsider)["it"]
    wait_for(lambda: is_captured(mesh.two, settled, "inbound"), "the node logs it")
    assert len(mesh.two.lines("access")) - before <= 2 * len(cases) + 1


def syn_challenges(pod):
    lines = pod.run("cat", "/proc/net/netstat").stdout.splitlines()
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(values[names.index("TCPSYNChallenge")])


def test_dials_meet_no_live_connection_of_the_client(mesh):
    """Class: source-preserving dial from a port that the client itself uses (trap 2)."""
    server, outsider = mesh.world.server, mesh.world.outsider
    before = syn_challenges(server)
    held = []
    try:
        for _ in range(300):
            held.append(outsider.connect(server.ipv4, 8080))
        for _ in range(100):
            connection = outsider.connect(server.ipv4, 8080)
            connection.sendall(support.connector.REQUEST)
            assert connection.recv(64).startswith(b"HTTP/1.1 200")
            connection.close()
        for connection in held:
            connection.sendall(support.connector.REQUEST)
            assert connection.recv(64).startswith(b"HTTP/1.1 200")
    finally:
        for connection in held:
            connection.close()
    assert syn_challenges(server) == before


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_reset_for_a_closed_socket_reaches_ztund(mesh, family):
    """Class: what the kernel answers in place of a program that is gone leaves the pod instead of ending ztund's side."""
    client, address = mesh.world.client, getattr(mesh.world.server, family)
    with Sniffer(mesh.first.netns, client.interface) as wire:
        ports = json.loads(client.run(sys.executable, "-c", IMPATIENT, address).stdout)
        # Each end of ztund's has gone, or waits only for its time to pass.
        wait_for(lambda: not lasting(client, ports), "no connection of ztund's to the program is left")
        leaked = [segment for segment in wire.segments if segment[1] == address and segment[2] in ports and segment[3] == 8080]
    assert not leaked, "the kernel's answers left the pod"


# The answer comes when nobody is there any more.
IMPATIENT = """
import json, socket, sys
ports = []
for _ in range(20):
    with socket.create_connection((sys.argv[1], 8080), 5) as connection:
        ports.append(connection.getsockname()[1])
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
print(json.dumps(ports))
"""


def lasting(pod, ports):
    """Sockets towards programs on these ports in states that end only with an answer."""
    lines = pod.run("ss", "-Htan").stdout.splitlines()
    return [line for line in lines if not line.startswith(("TIME-WAIT", "LISTEN")) and int(line.split()[4].rsplit(":", 1)[1]) in ports]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_an_application_may_listen_on_a_port_that_is_in_use_through_ztund(mesh, family):
    """Class: what ztund accepted for a port (another pod's, or the application's own) keeps an application from listening there.

    As an application does that is started again while its callers are still connected.
    """
    client, server, outsider = mesh.world.client, mesh.world.server, mesh.world.outsider

    def listen(pod, port):
        with inside(pod.netns):
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    # Another pod's port that this one's program is connected to.
    with EchoServer(mesh.world.plain, 7100), client.connect(getattr(mesh.world.plain, family), 7100) as connection:
        connection.settimeout(10)
        with listen(client, 7100):
            connection.sendall(b"x")
            assert receive(connection, 1) == b"x"
    # The application's own, with its caller still connected.
    with listen(server, 7101) as first, outsider.connect(getattr(server, family), 7101) as caller:
        first.settimeout(10)
        with first.accept()[0] as accepted:
            first.close()
            with listen(server, 7101):
                caller.sendall(b"x")
                assert receive(accepted, 1) == b"x"
