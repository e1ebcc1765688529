"""What a peer says of itself, and when we do not know yet: rows 55 to 57 of the acceptance catalogue."""
import re
import time

import h2.events
import pytest

from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.scenario import DoubleServer, HELLO, Ledger, TWICE
from support.state import State
from support.waiting import wait_for
from support.world import World, make_network

pytestmark = pytest.mark.root

CLIENT = "spiffe://cluster.local/ns/default/sa/client"
FORGED = {
    "baggage": "k8s.cluster.name=c,k8s.namespace.name=default,k8s.deployment.name=client,service.name=client,service.version=v1",
    "forwarded": 'for="10.61.1.10:4000";by=_x;host=server.default.svc.cluster.local;proto=https',
    "x-forwarded-for": "10.61.1.10",
    "x-real-ip": "10.61.1.10",
    "x-forwarded-client-cert": f'By=spiffe://cluster.local/ns/default/sa/server;Hash=00;Subject="";URI={CLIENT}',
    "x-forwarded-network": "",
    "traceparent": "00-00000000000000000000000000000001-0000000000000001-01",
    "x-envoy-original-dst-host": "127.0.0.1:8080",
    "authorization": "Bearer eyJhbGciOiJub25lIn0.e30.",
    "x-istio-attributes": "client",
    "proxy-authorization": "Basic Y2xpZW50Og==",
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """The server denies the identity `denied`, and everybody who comes from the address of the pod `plain`."""
    with make_network() as network, FileMesh(network, tmp_path_factory.mktemp("claims")) as mesh:
        world = mesh.world = World(network)
        # A workload that the state does not know; its peer's baggage is all that there is to say of it.
        mesh.stranger = mesh.first.pod("stranger", 40)
        state = mesh.state = world.state()
        address = state.policy("deny-address", [{"sourceIps": [f"{world.plain.ipv4}/32"]}])
        next(entry for entry in state.workloads if entry["name"] == "server")["authorizationPolicies"].append(address)
        state.write(mesh.state_path)
        mesh.application = mesh.use(DoubleServer(world.server, 8080))
        mesh.two = mesh.start_ztund(mesh.second, world.second_pods)
        yield mesh


def dial(mesh, who, source):
    chain, key = mesh.leaf(who, f"spiffe://cluster.local/ns/default/sa/{who}")
    raw = source.connect(mesh.world.server.ipv4, 15008)
    return Client(raw, client_context(mesh.authority, chain, key))


def ask(mesh, who, source, *headers):
    """The status of a CONNECT of identity `who` from the pod `source`; where it is let in, bytes flow."""
    with dial(mesh, who, source) as client:
        status, stream, answer = client.connect(f"{mesh.world.server.ipv4}:8080", *headers)
        if status == 200:
            client.send(stream, HELLO, end=True)
            assert client.receive(stream, len(TWICE)) == TWICE
        return status, answer


@pytest.mark.parametrize("name", [*FORGED, "all"])
def test_row_55_claims_are_no_identity(mesh, name):
    """Whoever is denied stays denied whatever it says of itself, and the record shows its certificate."""
    headers = list(FORGED.items()) if name == "all" else [(name, FORGED[name])]
    target = Ledger(mesh.two, "destination")
    before = len(mesh.application.peers)
    status, answer = ask(mesh, "denied", mesh.world.outsider, *headers)
    assert status == 401 and "policy_denied default/deny-denied" in answer["proxy-status"]
    fields = target.line("policy_denied")
    assert fields["src.identity"] == "spiffe://cluster.local/ns/default/sa/denied"
    assert fields["src.addr"].startswith(f"{mesh.world.outsider.ipv4}:")
    assert len(mesh.application.peers) == before


def test_row_55_claims_do_not_harm_their_sender(mesh):
    """Denied identities and addresses that are only claimed deny nobody; the application sees the true address."""
    claims = {
        "forwarded": f'for="{mesh.world.plain.ipv4}:1"', "x-forwarded-for": mesh.world.plain.ipv4,
        "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/default/sa/denied",
        "baggage": "service.name=denied,k8s.namespace.name=default"}
    assert ask(mesh, "client", mesh.world.outsider, *claims.items())[0] == 200
    assert mesh.application.peers[-1][0] == mesh.world.outsider.ipv4


def test_row_55_the_true_address_decides(mesh):
    """The policy's address is that of the connection: `forwarded` cannot hide it."""
    status, answer = ask(mesh, "client", mesh.world.plain, ("forwarded", f'for="{mesh.world.client.ipv4}:4000"'))
    assert status == 401 and "default/deny-address" in answer["proxy-status"]


SAYINGS = {
    "long": "service.name=" + "a" * 4000, "as-long-as-can-be": "service.name=" + "a" * 253,
    "many": ",".join(f"service.name=n{i}" for i in range(250)), "quote": 'service.name=x"} 1', "backslash": "service.name=\\",
    "accents": "k8s.namespace.name=kube-system,service.name=" + "é" * 300, "tab": "service.name=a\tlevel=error",
    "empty": "=,=;;=", "percent": "service.name=%0a%00%22",
}


@pytest.mark.parametrize("name", SAYINGS)
def test_row_55_claims_are_bounded(mesh, name):
    """Of an unknown peer the record has what it says, but neither at any length nor with any byte."""
    target = Ledger(mesh.two, "destination")
    with dial(mesh, "client", mesh.stranger) as client:
        claims = [(field, SAYINGS[name]) for field in ("baggage", "forwarded", "traceparent")]
        status, stream, _ = client.connect(f"{mesh.world.server.ipv4}:8080", *claims)
        assert status == 200
        client.send(stream, HELLO, end=True)
        assert client.receive(stream, len(TWICE)) == TWICE
    fields = target.line(f"src.addr={mesh.stranger.ipv4}:")
    assert fields["src.identity"] == CLIENT
    assert sum(map(len, fields.values())) < 2000
    for line in mesh.two.text().splitlines():
        assert len(line) < 3000 and re.fullmatch(r"[\t\x20-\x7e]*", line)
    page = mesh.two.get(15020, "/metrics")[1]
    assert all(len(line) < 3000 for line in page.splitlines())
    samples = [line for line in page.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r'\w+(\{(\w+="(?:[^"\\\n]|\\.)*",?)*\})? [-+.\w]+( [\d.]+)?', line) for line in samples)


@pytest.mark.parametrize("value", ["a\x1b[31mred", "a\x00", "a\nlevel=error forged"], ids=["escape", "nul", "line-feed"])
def test_row_55_bytes_that_no_field_has(mesh, value):
    """The stream ends; nothing of it is in the log."""
    mark = len(mesh.two.text())
    with dial(mesh, "client", mesh.stranger) as client:
        assert client.connect(f"{mesh.world.server.ipv4}:8080", ("baggage", f"service.name={value}"))[0] is None
        assert client.connect(f"{mesh.world.server.ipv4}:8080")[0] == 200
    assert re.fullmatch(r"[\t\n\x20-\x7e]*", mesh.two.text()[mark:]) and "forged" not in mesh.two.text()[mark:]


def test_row_55_too_much_is_refused_as_a_whole(mesh):
    """Above the announced size of a header list, the request ends; the tunnel's neighbours do not."""
    with dial(mesh, "client", mesh.world.outsider) as client:
        _, kept, _ = client.connect(f"{mesh.world.server.ipv4}:8080")
        client.send(kept, HELLO)
        assert client.receive(kept, len(TWICE)) == TWICE
        before = len(mesh.application.peers)
        status, _, answer = client.connect(
            f"{mesh.world.server.ipv4}:8080", *[(f"x-{i}", "y" * 1000) for i in range(40)])
        assert status in (None, 431, 400), answer
        assert len(mesh.application.peers) == before
        client.send(kept, HELLO)
        assert client.receive(kept, len(TWICE)) == TWICE


def test_row_56_another_address_than_the_identitys_workload(mesh):
    """The client's certificate at the outsider's address: both are recorded as they are, and each decides by itself.

    Identity rules hold for the certificate, address rules for the address. (Upstream does the same.)
    """
    target = Ledger(mesh.two, "destination")
    assert ask(mesh, "client", mesh.world.outsider)[0] == 200
    fields = target.line(f"src.addr={mesh.world.outsider.ipv4}:")
    assert fields["src.identity"] == CLIENT
    assert fields["src.workload"] == "outsider", "the workload is the address's"
    assert mesh.application.peers[-1][0] == mesh.world.outsider.ipv4
    wait_for(
        lambda: mesh.two.metric(
            "istio_tcp_connections_opened_total", source_principal=CLIENT, source_workload="outsider") >= 1,
        "the metric tells both")
    assert ask(mesh, "denied", mesh.world.outsider)[0] == 401
    assert ask(mesh, "client", mesh.world.plain)[0] == 401


def without_server(mesh):
    state = State()
    state.services, state.policies = mesh.state.services, mesh.state.policies
    state.workloads = [entry for entry in mesh.state.workloads if entry["name"] != "server"]
    return state


def test_row_57_unknown_at_arrival_is_no_default(mesh):
    """The state forgets the server while a tunnel to it is open. A request then waits; the state that comes decides about it.

    (That five seconds in vain are answered 503, and that nothing is lost meanwhile, is in Tests/Netns/test_features_waiting.py.)
    """
    server = mesh.world.server
    # The tunnel of the denied identity, and one of an identity that is let in.
    with dial(mesh, "denied", mesh.world.outsider) as denied, dial(mesh, "client", mesh.world.outsider) as client:
        assert denied.connect(f"{server.ipv4}:8080")[0] == 401
        without_server(mesh).write(mesh.state_path)
        try:
            wait_for(lambda: not mesh.two.pod_status(server)["workloadKnown"], "the server is forgotten")
            before = len(mesh.application.peers)
            waiting = [
                (peer, peer.request([(":method", "CONNECT"), (":authority", f"{server.ipv4}:8080")]))
                for peer in (denied, client)]
            for peer, stream in waiting:
                peer.send(stream, HELLO)
            # A PING behind the requests: they have arrived, and nothing was answered.
            for peer, _ in waiting:
                peer.h2.ping(b"8 bytes.")
                peer.flush()
                assert peer.wait(h2.events.PingAckReceived)
                assert not any(isinstance(event, h2.events.ResponseReceived) for event in peer.events)
            assert len(mesh.application.peers) == before
            began = time.monotonic()
        finally:
            mesh.state.write(mesh.state_path)
        assert denied.answer(waiting[0][1])[0] == 401
        assert client.answer(waiting[1][1])[0] == 200
        assert client.receive(waiting[1][1], len(TWICE)) == TWICE
        assert time.monotonic() - began < 5
        assert len(mesh.application.peers) == before + 1


def test_row_57_plaintext_at_arrival_is_no_default_either(mesh):
    server = mesh.world.server
    mesh.state.policies.append({
        "name": "strict", "namespace": "default", "scope": "Namespace", "action": "Deny", "dryRun": False,
        "rules": [[[{"notPrincipals": [{"Presence": {}}]}]]]})
    without_server(mesh).write(mesh.state_path)
    try:
        wait_for(lambda: not mesh.two.pod_status(server)["workloadKnown"], "the server is forgotten")
        before = len(mesh.application.peers)
        with mesh.world.outsider.connect(server.ipv4, 8080) as connection:
            connection.sendall(HELLO)
            mesh.state.write(mesh.state_path)
            connection.settimeout(10)
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        assert len(mesh.application.peers) == before
        mesh.two.wait_for_line('reason="policy_denied"', "default/strict")
    finally:
        mesh.state.policies.pop()
        mesh.state.write(mesh.state_path)
