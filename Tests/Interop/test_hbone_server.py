"""Our 15008 seen by a client of other make (Python ssl + h2): statuses, bodies, half-close, limits."""
import h2.events
import pytest

from support.hbone import Client, client_context

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def server(mesh):
    daemon = mesh.start_ztund(mesh.second, [mesh.world.server])
    yield mesh.world.server
    daemon.stop()


@pytest.fixture
def dial(mesh, server):
    opened = []

    def dial(who="client", address=None):
        raw = mesh.world.outsider.connect(address or server.ipv4, 15008)
        opened.append(Client(raw, client_context(mesh.authority, *mesh.leaves[who])))
        return opened[-1]

    yield dial
    for client in opened:
        client.socket.close()


def test_tls_and_alpn(dial):
    connection = dial().socket
    assert (connection.version(), connection.selected_alpn_protocol()) == ("TLSv1.3", "h2")


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_connect_carries_bytes_both_ways(dial, server, family):
    address = getattr(server, family)
    client = dial(address=address)
    status, stream, _ = client.connect(f"[{address}]:7000" if ":" in address else f"{address}:7000")
    assert status == 200
    client.send(stream, b"hello")
    assert client.receive(stream, 5) == b"hello"
    client.send(stream, b"", end=True)
    assert client.ends(stream)


def test_answer_after_the_clients_end(dial, server):
    client = dial()
    status, stream, _ = client.connect(f"{server.ipv4}:9000")
    assert status == 200
    client.send(stream, b"z" * 10_000, end=True)
    assert len(client.receive(stream, 64)) == 64
    assert client.ends(stream)


def test_the_response_describes_the_workload(dial, server):
    _, _, headers = dial().connect(f"{server.ipv4}:8080", ("baggage", "k8s.namespace.name=default,service.name=client"))
    assert "k8s.namespace.name=default" in headers.get("baggage", "")


@pytest.mark.parametrize(
    "authority, expected",
    [
        ("{server}:1", 503), ("{server}", 400), ("nonsense", 400), ("{server}:0", 400), ("{server}:99999", 400),
        ("240.0.0.1:80", 400), ("127.0.0.1:8080", 400), ("{server}:15008", 503), ("{server}:15001", 503),
        ("{server}:8080,{server}:7000", 400), ("0x7f.1:80", 400), ("", 400), ("nowhere.example:80", 503),
    ],
)
def test_authority_is_checked_and_the_connection_lives_on(dial, server, authority, expected):
    client = dial()
    status, _, headers = client.connect(authority.format(server=server.ipv4))
    # A malformed request may also be answered by resetting its stream; never by carrying it somewhere.
    assert status == expected or (status is None and expected == 400)
    status, stream, _ = client.connect(f"{server.ipv4}:7000")
    assert status == 200
    client.send(stream, b"x")
    assert client.receive(stream, 1) == b"x"


def test_other_methods_are_refused(dial, server):
    client = dial()
    stream = client.request(
        [(":method", "GET"), (":authority", f"{server.ipv4}:8080"), (":scheme", "https"), (":path", "/")], end=True)
    assert client.answer(stream)[0] in (400, 404, 405)
    assert client.connect(f"{server.ipv4}:8080")[0] == 200


def test_policy_refusal_is_401_with_a_reason(dial, server):
    status, _, headers = dial("denied").connect(f"{server.ipv4}:8080")
    assert status == 401
    assert "default/deny-denied" in headers.get("proxy-status", "")


def test_a_hundred_streams_at_once(dial, server):
    client = dial()
    streams = [client.request([(":method", "CONNECT"), (":authority", f"{server.ipv4}:7000")]) for _ in range(100)]
    assert all(client.answer(stream)[0] == 200 for stream in streams)
    for stream in streams:
        client.send(stream, b"%04d" % stream)
    assert all(client.receive(stream, 4) == b"%04d" % stream for stream in streams)


def test_reset_of_one_stream_leaves_the_others(dial, server):
    client = dial()
    _, kept, _ = client.connect(f"{server.ipv4}:7000")
    for _ in range(30):
        _, stream, _ = client.connect(f"{server.ipv4}:9000")
        client.h2.reset_stream(stream, 8)
        client.flush()
    client.send(kept, b"k")
    assert client.receive(kept, 1) == b"k"


def test_ping_is_answered(dial):
    client = dial()
    client.h2.ping(b"12345678")
    client.flush()
    assert client.wait(h2.events.PingAckReceived)
