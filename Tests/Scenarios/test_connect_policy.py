"""Who may: rows 51 to 54 of the acceptance catalogue, asked by a verified peer of other make and by a peer without identity."""
import contextlib
import time

import h2.events
import pytest

from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.netns import receive
from support.scenario import DoubleServer, HELLO, TWICE, connect_uncaptured, converse
from support.servers import EchoServer
from support.state import State
from support.waiting import wait_for
from support.world import World, make_network

pytestmark = pytest.mark.root

CLIENT = "cluster.local/ns/default/sa/client"
SOMEBODY = [{"principals": [{"Exact": "cluster.local/ns/default/sa/somebody"}]}]
THE_CLIENT = [{"principals": [{"Exact": CLIENT}]}]
ANYBODY_KNOWN = [{"principals": [{"Presence": {}}]}]
NOBODY_KNOWN = [{"notPrincipals": [{"Presence": {}}]}]


def policy(action, matches, name=None, scope="Namespace", namespace="default", dry_run=False):
    """One rule of one clause; `matches` None: no rules at all."""
    return {
        "name": name or action.lower(), "namespace": namespace, "scope": scope, "action": action, "dryRun": dry_run,
        "rules": [] if matches is None else [[matches]]}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with make_network() as network, FileMesh(network, tmp_path_factory.mktemp("policy")) as mesh:
        world = mesh.world = World(network)
        mesh.state = world.state()
        mesh.state.policies.clear()
        mesh.state.write(mesh.state_path)
        mesh.application = mesh.use(DoubleServer(world.server, 8080))
        for port in (7000, 7001):
            mesh.use(EchoServer(world.server, port))
        # A pod for each line of the tables, so that one state serves them all; they share an account and so a certificate.
        mesh.cases = {}
        for number, (name, (policies, _)) in enumerate({**TABLE, **WITHOUT_IDENTITY}.items(), 100):
            pod = mesh.cases[name] = mesh.second.pod(f"c{number}", number, account="server")
            named = [{**entry, "name": f"{name}-{entry['name']}", "scope": "WorkloadSelector"} for entry in policies]
            mesh.state.workload(
                pod.name, pod.ips, "n2", account="server",
                authorizationPolicies=[f"default/{entry['name']}" for entry in named])
            mesh.state.policies += named
            mesh.use(DoubleServer(pod, 8080))
        mesh.turns, mesh.served = 0, []
        mesh.state.write(mesh.state_path)
        mesh.two = mesh.start_ztund(mesh.second, [*world.second_pods, *mesh.cases.values()])
        yield mesh


def serve(mesh, policies, attached=()):
    """Has the daemon serve these policies; `attached` are named by the server's workload. Returns when it was told."""
    mesh.turns, mesh.served = mesh.turns + 1, [*policies, *attached]
    state = State()
    # The last one concerns nobody: it makes every state a new one.
    turn = policy("Allow", None, f"turn-{mesh.turns}", namespace="nowhere")
    state.services, state.policies = mesh.state.services, [*mesh.state.policies, *policies, turn]
    state.workloads = [
        {**entry, "authorizationPolicies": list(attached)} if entry["name"] == "server" else entry
        for entry in mesh.state.workloads]
    before = mesh.two.metric("ztun_state_generation")
    state.write(mesh.state_path)
    told = time.monotonic()
    wait_for(lambda: mesh.two.metric("ztun_state_generation") > before, "the policies are served")
    return told


@pytest.fixture
def only_the_tables(mesh):
    """No policies but those of the tables' own pods."""
    if mesh.served:
        serve(mesh, [])


def dial(mesh, identity=None, name="client", pod=None):
    chain, key = mesh.leaf(name, identity or mesh.world.client.identity)
    raw = mesh.world.outsider.connect((pod or mesh.world.server).ipv4, 15008)
    return Client(raw, client_context(mesh.authority, chain, key))


def ask(mesh, pod=None, **more):
    """(status, the reason in Proxy-Status) of a CONNECT to the application, which answers where it is allowed."""
    before = len(mesh.application.peers)
    with dial(mesh, pod=pod, **more) as client:
        status, stream, headers = client.connect(f"{(pod or mesh.world.server).ipv4}:8080")
        if status == 200:
            client.send(stream, HELLO)
            assert client.receive(stream, len(TWICE)) == TWICE
        else:
            assert len(mesh.application.peers) == before, "a refused CONNECT reaches no application"
        return status, headers.get("proxy-status", "")


ALLOWED = (200, "")
DENIED = (401, "policy_denied default/{}deny")
NOT_ALLOWED = (401, "policy_not_allowed")
TABLE = {
    "no-policy": ([], ALLOWED),
    "allow-client": ([policy("Allow", THE_CLIENT)], ALLOWED),
    "allow-somebody": ([policy("Allow", SOMEBODY)], NOT_ALLOWED),
    "allow-without-rules": ([policy("Allow", None)], NOT_ALLOWED),
    "allow-empty-match": ([policy("Allow", [{}])], NOT_ALLOWED),
    "deny-client": ([policy("Deny", THE_CLIENT)], DENIED),
    "deny-somebody": ([policy("Deny", SOMEBODY)], ALLOWED),
    "deny-without-rules": ([policy("Deny", None)], ALLOWED),
    "deny-before-allow": ([policy("Allow", THE_CLIENT), policy("Deny", THE_CLIENT)], DENIED),
    "deny-before-allow-whatever-the-order": ([policy("Deny", THE_CLIENT), policy("Allow", THE_CLIENT)], DENIED),
    "deny-somebody-allow-client": ([policy("Deny", SOMEBODY), policy("Allow", THE_CLIENT)], ALLOWED),
    "deny-somebody-allow-nobody": ([policy("Deny", SOMEBODY), policy("Allow", None)], NOT_ALLOWED),
    "one-allow-of-two": ([policy("Allow", SOMEBODY, "first"), policy("Allow", THE_CLIENT, "second")], ALLOWED),
    "allow-and-an-empty-one": ([policy("Allow", None, "first"), policy("Allow", THE_CLIENT, "second")], ALLOWED),
    "dry-run-deny": ([policy("Deny", THE_CLIENT, dry_run=True)], ALLOWED),
    "dry-run-allow": ([policy("Allow", SOMEBODY, dry_run=True)], ALLOWED),
    "port": ([policy("Deny", [{"destinationPorts": [8080]}])], DENIED),
    "other-port": ([policy("Deny", [{"destinationPorts": [80, 15008, 8081]}])], ALLOWED),
    "every-port-but": ([policy("Allow", [{"notDestinationPorts": [8080]}])], NOT_ALLOWED),
    "principal-and-other-port": ([policy("Deny", [{**THE_CLIENT[0], "destinationPorts": [1]}])], ALLOWED),
    "not-principal": ([policy("Deny", [{"notPrincipals": [{"Exact": CLIENT}]}])], ALLOWED),
    "strict": ([policy("Deny", NOBODY_KNOWN)], ALLOWED),
    "with-the-scheme-it-never-matches": ([policy("Allow", [{"principals": [{"Exact": "spiffe://" + CLIENT}]}])], NOT_ALLOWED),
}


@pytest.mark.parametrize("name", TABLE)
def test_row_51_deny_before_allow(mesh, only_the_tables, name):
    status, reason = TABLE[name][1]
    check_answer(mesh, mesh.cases[name], status, reason.format(f"{name}-"))


def check_answer(mesh, pod, status, reason):
    got, header = ask(mesh, pod)
    assert got == status and reason in header, header
    if got != 200:
        # The record on this node says the same: the token, and which policy where it was one.
        token, _, key = reason.partition(" ")
        parts = [f'reason="{token}"', f'policy="{key}"'] if key else [f'reason="{token}"']
        mesh.two.wait_for_line('direction="inbound"', f"dst.hbone_addr={pod.ipv4}:8080", *parts)


def test_row_51_scopes(mesh):
    """A policy concerns its namespace, or everybody where it is global, or those workloads that name it."""
    def everywhere(action):
        return policy(action, THE_CLIENT, scope="Global", namespace="istio-system")

    denied_globally = (401, "policy_denied istio-system/deny")
    for policies, (status, reason) in [
        ([policy("Deny", THE_CLIENT, namespace="other")], ALLOWED), ([policy("Deny", THE_CLIENT)], DENIED),
        ([policy("Deny", THE_CLIENT, scope="WorkloadSelector")], ALLOWED), ([everywhere("Deny")], denied_globally),
        ([policy("Allow", THE_CLIENT), everywhere("Deny")], denied_globally),
        ([policy("Allow", SOMEBODY), everywhere("Allow")], ALLOWED),
    ]:
        serve(mesh, policies)
        check_answer(mesh, mesh.world.server, status, reason.format(""))


@pytest.mark.parametrize("action, expected", [("Deny", DENIED), ("Allow", ALLOWED)])
def test_row_51_attached_by_the_workload(mesh, action, expected):
    serve(mesh, [policy(action, THE_CLIENT, scope="WorkloadSelector")], [f"default/{action.lower()}"])
    status, header = ask(mesh)
    assert status == expected[0] and expected[1].format("") in header


def test_row_51_a_named_policy_that_is_missing_closes(mesh):
    """Better than upstream, which lets everything in until the policy arrives."""
    serve(mesh, [], ["default/lost"])
    status, header = ask(mesh)
    assert status == 401 and "policy_unknown" in header
    mesh.two.wait_for_line('reason="policy_unknown"', "default/lost")


ACCOUNT, LOOK_ALIKES = "cert-manager.io", ["cert-managerxio", "cert-manager-io", "cert-manager.iox", "xcert-manager.io", "cert-manager", "Cert-manager.io"]
DOT_MATCHES = {
    "exact": {"principals": [{"Exact": f"cluster.local/ns/default/sa/{ACCOUNT}"}]},
    "account": {"serviceAccounts": [{"namespace": "default", "serviceAccount": ACCOUNT}]},
}


@pytest.mark.parametrize("kind", DOT_MATCHES)
def test_row_52_a_dot_is_a_dot(mesh, kind):
    """Names are compared byte for byte, never as patterns (CVE-2026-39350)."""
    def status(account):
        return ask(mesh, identity=f"spiffe://cluster.local/ns/default/sa/{account}", name=account)[0]

    serve(mesh, [policy("Allow", [DOT_MATCHES[kind]])])
    assert {account: status(account) for account in [ACCOUNT, *LOOK_ALIKES]} == {ACCOUNT: 200, **dict.fromkeys(LOOK_ALIKES, 401)}
    serve(mesh, [policy("Deny", [DOT_MATCHES[kind]])])
    assert {account: status(account) for account in [ACCOUNT, *LOOK_ALIKES]} == {ACCOUNT: 401, **dict.fromkeys(LOOK_ALIKES, 200)}


@pytest.mark.parametrize(
    "match, inside, outside",
    [
        ({"principals": [{"Prefix": "cluster.local/ns/default/sa/cert-manager."}]}, "cert-manager.io", "cert-managerxio"),
        ({"principals": [{"Suffix": "/cert-manager.io"}]}, "cert-manager.io", "cert-managerxio"),
        ({"principals": [{"Suffix": "r.io"}]}, "cert-manager.io", "cert-managerxio"),
    ],
)
def test_row_52_a_dot_in_a_part_of_a_name(mesh, match, inside, outside):
    serve(mesh, [policy("Allow", [match])])
    for account, expected in ((inside, 200), (outside, 401)):
        assert ask(mesh, identity=f"spiffe://cluster.local/ns/default/sa/{account}", name=account)[0] == expected


def test_row_52_an_account_of_another_namespace(mesh):
    """The account's name alone is nothing."""
    serve(mesh, [policy("Allow", [{"serviceAccounts": [{"namespace": "default", "serviceAccount": "client"}]}])])
    assert ask(mesh)[0] == 200
    assert ask(mesh, identity="spiffe://cluster.local/ns/other/sa/client", name="other-client")[0] == 401


def plaintext_passes(mesh, pod):
    """Whether a peer without identity gets through; a refusal ends the connection without a byte."""
    answer = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError), mesh.world.outsider.connect(pod.ipv4, 8080) as connection:
        connection.settimeout(10)
        connection.sendall(HELLO)
        answer = receive(connection, len(TWICE))
    assert answer in (b"", TWICE)
    return bool(answer)


WITHOUT_IDENTITY = {
    "plain-no-policy": ([], True),
    "plain-allow-principal": ([policy("Allow", THE_CLIENT)], False),
    "plain-allow-any-principal": ([policy("Allow", ANYBODY_KNOWN)], False),
    "plain-allow-empty-prefix": ([policy("Allow", [{"principals": [{"Prefix": ""}]}])], False),
    "plain-allow-namespace": ([policy("Allow", [{"namespaces": [{"Exact": "default"}]}])], False),
    "plain-allow-any-namespace": ([policy("Allow", [{"namespaces": [{"Presence": {}}]}])], False),
    "plain-allow-account": ([policy("Allow", [{"serviceAccounts": [{"namespace": "default", "serviceAccount": "outsider"}]}])], False),
    "plain-allow-principal-or-its-address": (
        [policy("Allow", [{"principals": [{"Exact": CLIENT}], "sourceIps": ["10.61.1.12/32"]}])], False),
    "plain-allow-its-address": ([policy("Allow", [{"sourceIps": ["10.61.1.12/32"]}])], True),
    "plain-allow-another-address": ([policy("Allow", [{"sourceIps": ["10.61.1.10/32"]}])], False),
    "plain-strict": ([policy("Deny", NOBODY_KNOWN)], False),
    "plain-strict-for-this-port": ([policy("Deny", [{**NOBODY_KNOWN[0], "destinationPorts": [8080]}])], False),
    "plain-strict-for-another-port": ([policy("Deny", [{**NOBODY_KNOWN[0], "destinationPorts": [9]}])], True),
    "plain-deny-all-but-the-client": ([policy("Deny", [{"notPrincipals": [{"Exact": CLIENT}]}])], False),
    "plain-deny-all-but-a-namespace": ([policy("Deny", [{"notNamespaces": [{"Exact": "default"}]}])], False),
    "plain-deny-the-client": ([policy("Deny", THE_CLIENT)], True),
    # Upstream's letter lets these in (see the test of the setting): whoever has no identity is not the client.
    "plain-allow-all-but-the-client": ([policy("Allow", [{"notPrincipals": [{"Exact": CLIENT}]}])], False),
    "plain-allow-all-but-a-namespace": ([policy("Allow", [{"notNamespaces": [{"Exact": "elsewhere"}]}])], False),
    "plain-allow-all-but-an-account-at-an-address": (
        [policy("Allow", [{
            "notServiceAccounts": [{"namespace": "default", "serviceAccount": "client"}],
            "sourceIps": ["10.61.1.12/32"]}])], False),
    "plain-allow-known-but-the-client": (
        [policy("Allow", [{"principals": [{"Presence": {}}], "notPrincipals": [{"Exact": CLIENT}]}])], False),
}


@pytest.mark.parametrize("name", WITHOUT_IDENTITY)
def test_row_53_peer_without_identity(mesh, only_the_tables, name):
    """A rule that asks for an identity never holds for a peer without one (ISTIO-SECURITY-2021-004)."""
    assert plaintext_passes(mesh, mesh.cases[name]) is WITHOUT_IDENTITY[name][1]


def test_row_53_upstream_s_letter_is_a_setting(mesh, only_the_tables):
    """ALLOW_UNVERIFIED_BY_NEGATION: not being the client is enough then, with or without an identity."""
    names = [name for name in WITHOUT_IDENTITY if name.startswith("plain-allow-all-but")]
    settings = mesh.folder / "letter.yaml"
    settings.write_text("allowUnverifiedByNegation: true\n")
    mesh.two.stop()
    pods = [mesh.cases[name] for name in ("plain-strict", "plain-allow-known-but-the-client", *names)]
    two = mesh.start_ztund(mesh.second, pods, "--config", settings)
    try:
        assert {name: plaintext_passes(mesh, mesh.cases[name]) for name in names} == dict.fromkeys(names, True)
        assert not plaintext_passes(mesh, mesh.cases["plain-strict"])
        assert not plaintext_passes(mesh, mesh.cases["plain-allow-known-but-the-client"])
    finally:
        two.stop()
        mesh.two = mesh.start_ztund(mesh.second, [*mesh.world.second_pods, *mesh.cases.values()])


def cut(client, stream):
    """Whether the stream ended by a reset."""
    return isinstance(client.wait((h2.events.StreamReset, h2.events.StreamEnded), stream), h2.events.StreamReset)


def opened(client, mesh, port):
    status, stream, _ = client.connect(f"{mesh.world.server.ipv4}:{port}")
    assert status == 200
    client.send(stream, b"a")
    assert client.receive(stream, 1) == b"a"
    return stream


def echoes(client, stream):
    client.send(stream, b"still")
    return client.receive(stream, 5) == b"still"


@pytest.mark.parametrize("kind", ["new-deny", "new-allow", "newly-attached"])
def test_row_54_tightened_on_a_live_tunnel(mesh, kind):
    """What is no longer allowed ends within a second of the change; its neighbours in the same tunnel notice nothing.

    Better than upstream in the last kind: there, a policy that the workload newly names does not reach open connections.
    """
    serve(mesh, [policy("Deny", SOMEBODY, "other", scope="WorkloadSelector")])
    with dial(mesh) as client, dial(mesh, mesh.world.denied.identity, "denied") as neighbour:
        kept, doomed, elsewhere = opened(client, mesh, 7000), opened(client, mesh, 7001), opened(neighbour, mesh, 7001)
        with connect_uncaptured(mesh.world.outsider, mesh.world.server.ipv4, 8080) as plain:
            converse(plain)
            match = [{**THE_CLIENT[0], "destinationPorts": [7001]}]
            policies, attached = {
                "new-deny": ([policy("Deny", match)], []),
                "new-allow": (
                    [policy("Allow", [{"destinationPorts": [7000, 8080]}], "rest"),
                     policy("Allow", [{"principals": [{"Exact": "cluster.local/ns/default/sa/denied"}]}], "neighbour")], []),
                "newly-attached": ([policy("Deny", match, scope="WorkloadSelector")], ["default/deny"]),
            }[kind]
            told = serve(mesh, policies, attached)
            assert cut(client, doomed)
            assert time.monotonic() - told < 2, "a second, and what a loaded machine adds"
            assert echoes(client, kept) and echoes(neighbour, elsewhere)
            converse(plain)
    mesh.two.wait_for_line('reason="policy_changed"', f"dst.hbone_addr={mesh.world.server.ipv4}:7001")


def test_row_54_plaintext_is_cut_too(mesh):
    serve(mesh, [])
    with mesh.world.outsider.connect(mesh.world.server.ipv4, 8080) as plain, dial(mesh) as client:
        converse(plain)
        kept = opened(client, mesh, 7000)
        told = serve(mesh, [policy("Deny", NOBODY_KNOWN, "strict")])
        with contextlib.suppress(ConnectionResetError):
            assert plain.recv(1) == b""
        assert time.monotonic() - told < 2
        assert echoes(client, kept)


def test_row_54_what_stays_allowed_stays(mesh):
    """An edit that changes nothing for a connection does nothing to it."""
    serve(mesh, [policy("Allow", THE_CLIENT)])
    with dial(mesh) as client:
        stream = opened(client, mesh, 7000)
        for policies in ([], [policy("Deny", SOMEBODY)], [policy("Allow", ANYBODY_KNOWN)], [policy("Deny", THE_CLIENT, dry_run=True)]):
            serve(mesh, policies)
            assert echoes(client, stream)
