"""What a verified server answers to our CONNECT: row 55 of the acceptance catalogue from the other side.

The peer has the right certificate and says what it likes. Its words may end up in a record: bounded, printable, and never as an
identity, an application's bytes or a reason that does not exist.
"""
import re

import pytest

from support.filemesh import FileMesh
from support.gateway import Gateway, server_context
from support.programs import ROOT
from support.scenario import DoubleServer, Ledger, exchange
from support.waiting import wait_for
from support.world import World, make_network

pytestmark = pytest.mark.root

REASONS = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/reasons.md").read_text(), re.M))


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with make_network() as network, FileMesh(network, tmp_path_factory.mktemp("answers")) as mesh:
        world = mesh.world = World(network)
        mesh.state = world.state()
        mesh.state.write(mesh.state_path)
        mesh.answer = 503
        chain, key = mesh.leaf("server", world.server.identity)
        mesh.peer = mesh.use(Gateway(
            world.server, 15008, server_context(mesh.authority, chain, key), lambda _: mesh.answer))
        mesh.one = mesh.start_ztund(mesh.first, world.first_pods)
        yield mesh


def detail(text):
    return ("proxy-status", f'ztund; error=http_request_denied; details="{text}"')


def baggage(text):
    return ("baggage", text)


ANSWERS = {
    "plain-401": [(":status", "401")], "plain-503": [(":status", "503")], "odd-status": [(":status", "599")],
    "redirect": [(":status", "302"), ("location", "http://127.0.0.1:8080/")],
    "true-reason": [(":status", "401"), detail("policy_denied default/deny-denied")],
    "no-such-reason": [(":status", "401"), detail("all_is_well default/none")],
    "long-reason": [(":status", "401"), detail("policy_denied " + "a" * 8000)],
    "many-policies": [(":status", "401"), detail("policy_denied " + " ".join(["ns/name"] * 800))],
    "quotes": [(":status", "401"), detail('policy_denied a\\" reason=\\"forged')],
    "open-quote": [(":status", "401"), ("proxy-status", 'ztund; details="policy_denied')],
    "accents": [(":status", "401"), detail("policy_denied é\u202e\u0085default/x")],
    "tab": [(":status", "401"), detail("policy_denied a\tlevel=error")],
    "two": [(":status", "401"), detail("policy_denied default/one"), detail("policy_denied default/two")],
    "another-proxy": [(":status", "502"), ("proxy-status", "envoy; error=connection_refused")],
    "no-proxy-status": [(":status", "401"), ("proxy-status", "")],
    "baggage": [(":status", "401"), baggage("service.name=" + "a" * 4000)],
    "identity": [(":status", "401"), baggage("service.name=root,k8s.namespace.name=kube-system"),
                 ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/kube-system/sa/root")],
}
# What is no answer at all; the stream or the tunnel ends.
BROKEN = {
    "no-status": [("x", "y")], "empty-status": [(":status", "")], "status-of-letters": [(":status", "abc")],
    "four-digits": [(":status", "2000")], "negative": [(":status", "-200")], "two-statuses": [(":status", "401"), (":status", "200")],
    "request-field": [(":status", "401"), (":authority", "x:1")], "upper-case": [(":status", "401"), ("X-Y", "z")],
    "line-feed": [(":status", "401"), ("proxy-status", "a\nlevel=error forged")], "nul": [(":status", "401"), ("proxy-status", "\0")],
    "escape": [(":status", "401"), detail("policy_denied \x1b[31m")], "huge": [(":status", "401"), ("x", "y" * 60_000)],
    "only-informational": [(":status", "101")],
}


def call(mesh):
    """One connection of an ordinary program; the bytes it got, which the peer has no right to write."""
    data = b""
    try:
        with mesh.world.client.connect(mesh.world.server.ipv4, 8080) as connection:
            connection.settimeout(15)
            connection.sendall(b"hello world")
            while part := connection.recv(4096):
                data += part
    except (ConnectionResetError, BrokenPipeError):
        pass
    return data


def check_record(mesh, source):
    fields = source.line(f"{mesh.world.server.ipv4}:8080")
    assert fields["reason"] in REASONS and fields["error"]
    assert fields["src.identity"] == mesh.world.client.identity
    # Nothing that is said takes the place of the certificate.
    assert fields.get("dst.identity", mesh.world.server.identity) == mesh.world.server.identity
    assert fields["dst.workload"] == "server"
    assert sum(map(len, fields.values())) < 2000
    for line in mesh.one.text().split("\n"):
        # Printable: no control, no invisible and no direction-changing character; five columns.
        assert len(line) < 3000 and line.replace("\t", "").isprintable() and line.count("\t") in (0, 4)
    assert not any("forged" in line and "\tlevel=error" in line for line in mesh.one.text().splitlines())
    return fields


@pytest.mark.parametrize("name", ANSWERS)
def test_row_55_answers_of_a_server(mesh, name):
    mesh.answer = ANSWERS[name]
    source = Ledger(mesh.one, "source", source_workload="client")
    assert call(mesh) == b""
    fields = check_record(mesh, source)
    assert dict(ANSWERS[name])[":status"] in fields["error"] or fields["reason"] != "tunnel_refused"
    assert mesh.one.alive()


def test_row_55_a_true_reason_is_taken_over(mesh):
    mesh.answer = ANSWERS["true-reason"]
    source = Ledger(mesh.one, "source", source_workload="client")
    assert call(mesh) == b""
    fields = check_record(mesh, source)
    assert fields["reason"] == "policy_denied" and "default/deny-denied" in fields["error"] + fields.get("policy", "")


@pytest.mark.parametrize("name", BROKEN)
def test_row_55_what_is_no_answer(mesh, name):
    mesh.answer = BROKEN[name]
    source = Ledger(mesh.one, "source", source_workload="client")
    assert call(mesh) == b""
    check_record(mesh, source)
    assert mesh.one.alive()


@pytest.mark.parametrize("status", ["200", "201", "299"])
def test_any_2xx_opens_the_tunnel(mesh, status):
    """RFC 9110 9.3.6: any 2xx to a CONNECT means that the sender is in tunnel mode after the header section."""
    with DoubleServer(mesh.world.server, 7778):
        mesh.answer, mesh.peer.success = ("127.0.0.1", 7778), status
        try:
            wait_for(lambda: exchange(mesh.world.client, mesh.world.server.ipv4, 8080) is None, "it carries bytes", 15)
        finally:
            mesh.peer.success = "200"


def test_row_55_afterwards_the_tunnel_serves(mesh):
    """A peer that has come to its senses is called again."""
    with DoubleServer(mesh.world.server, 7777):
        mesh.answer = ("127.0.0.1", 7777)
        wait_for(lambda: exchange(mesh.world.client, mesh.world.server.ipv4, 8080) is None, "it answers", 15)
