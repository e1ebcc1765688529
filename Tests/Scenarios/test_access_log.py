"""The access log of a real run, read the way Kiali reads it and held to ztunnel's fields, as text and as JSON."""
import json
import re

import pytest

from support.mesh import Mesh
from support.servers import HTTPServer
from support.waiting import wait_for
from support.world import VIP, World, make_network

pytestmark = pytest.mark.root

ORDER = [
    "src.addr", "src.workload", "src.namespace", "src.identity", "src.cluster", "dst.addr", "dst.hbone_addr",
    "dst.service", "dst.workload", "dst.namespace", "dst.identity", "dst.cluster", "direction", "bytes_sent", "bytes_recv",
    "duration", "error", "reason", "policy"]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


def as_kiali(line):
    """Its parser: five columns between tabs, then pairs between blanks, then `=`; quotes come off."""
    columns = line.split("\t")
    assert len(columns) >= 5, line
    pairs = [pair.split("=", 1) for pair in columns[4].split(" ") if "=" in pair]
    return columns, {key: value.strip('"') for key, value in pairs}


@pytest.fixture(scope="module", params=["text", "json"])
def mesh(request, tmp_path_factory):
    """Both nodes, logging in that format; one policy only pretends, and decisions are logged."""
    with make_network() as network, Mesh(network, tmp_path_factory.mktemp("log")) as mesh:
        mesh.format = request.param
        mesh.world = World(network)
        state = mesh.world.state()
        state.policy("maybe", [{"destinationPorts": [8080]}])
        state.policies[-1]["dryRun"] = True
        server = next(entry for entry in state.workloads if entry["name"] == "server")
        server["authorizationPolicies"].append("default/maybe")
        for entry in state.workloads:
            entry["clusterId"] = "east"
        state.write(mesh.state_path)
        mesh.use(HTTPServer(mesh.world.server, 8080))
        more = ["--log-format", mesh.format, "--log-level", "info,proxy=debug"]
        mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, *more)
        mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods, *more)
        yield mesh


def record(mesh, daemon, *parts):
    """(message, level, fields in their order) of the newest line with all parts; each format read with its own parser."""
    line = daemon.wait_for_line(*parts)
    if mesh.format == "json":
        document = json.loads(line, object_pairs_hook=lambda pairs: dict(pairs))
        assert list(document)[:4] == ["level", "time", "scope", "message"] and re.fullmatch(TIME, document["time"])
        assert not [value for value in document.values() if isinstance(value, (dict, list, bool)) or value is None]
        head = {key: document.pop(key) for key in ["level", "time", "scope", "message"]}
        return head["scope"], head["message"], head["level"], document
    columns, fields = as_kiali(line)
    assert len(columns) == 5 and re.fullmatch(TIME, columns[0])
    for key in ("bytes_sent", "bytes_recv"):
        if key in fields:
            fields[key] = int(fields[key])
    return columns[2], columns[3], columns[1], fields


def quote(mesh, key, value):
    return f'"{key}":"{value}"' if mesh.format == "json" else f'{key}="{value}"'


def bare(mesh, key, value):
    return f'"{key}":"{value}"' if mesh.format == "json" else f"{key}={value}"


def test_a_call_through_a_tunnel_at_both_ends(mesh):
    client, server = mesh.world.client, mesh.world.server
    assert client.curl(f"http://{VIP}/").returncode == 0
    scope, message, level, out = record(
        mesh, mesh.one, "connection complete", quote(mesh, "direction", "outbound"), quote(mesh, "src.workload", "client"))
    assert (scope, message, level) == ("access", "connection complete", "info")
    assert list(out) == [key for key in ORDER if key in out], "ztunnel's order"
    port = int(out.pop("src.addr").removeprefix(f"{client.ipv4}:"))
    duration = out.pop("duration")
    assert re.fullmatch(r"\d+ms", duration)
    sent, received = out.pop("bytes_sent"), out.pop("bytes_recv")
    assert 0 < sent < received
    same = {
        "src.workload": "client", "src.namespace": "default", "src.identity": client.identity, "src.cluster": "east",
        "dst.addr": f"{server.ipv4}:15008", "dst.hbone_addr": f"{server.ipv4}:8080",
        "dst.service": "server.default.svc.cluster.local", "dst.workload": "server", "dst.namespace": "default",
        "dst.identity": server.identity, "dst.cluster": "east"}
    assert out == {**same, "direction": "outbound"}
    scope, message, level, into = record(
        mesh, mesh.two, "connection complete", quote(mesh, "direction", "inbound"), quote(mesh, "src.workload", "client"))
    assert list(into) == [key for key in ORDER if key in into]
    assert (into["bytes_sent"], into["bytes_recv"]) == (received, sent), "each proxy's own view"
    assert into["direction"] == "inbound" and level == "info" and port > 0
    for key in ("src.workload", "src.identity", "dst.addr", "dst.hbone_addr", "dst.workload", "dst.identity"):
        assert into[key] == same[key], key
    assert into["src.addr"].startswith(f"{client.ipv4}:")


def test_the_beginning_of_a_connection_is_told_at_debug(mesh):
    """`connection opened`: the fields of the end that are known, without bytes and duration."""
    for daemon in (mesh.one, mesh.two):
        assert not daemon.lines("connection opened")
        daemon.ztun("log", "--level", "access=debug")
    try:
        assert mesh.world.client.curl(f"http://{VIP}/").returncode == 0
        for daemon, direction in ((mesh.one, "outbound"), (mesh.two, "inbound")):
            scope, message, level, fields = record(mesh, daemon, "connection opened", quote(mesh, "direction", direction))
            assert (scope, message, level) == ("access", "connection opened", "debug")
            assert list(fields) == [key for key in ORDER if key in fields] and list(fields)[-1] == "direction"
            assert (fields["src.workload"], fields["dst.workload"]) == ("client", "server")
            assert fields["dst.hbone_addr"] == f"{mesh.world.server.ipv4}:8080"
    finally:
        for daemon in (mesh.one, mesh.two):
            daemon.ztun("log", "--reset")


def test_plaintext_names_no_identity(mesh):
    assert mesh.world.outsider.curl(f"http://{mesh.world.server.ipv4}:8080/").returncode == 0
    _, _, level, fields = record(
        mesh, mesh.two, "connection complete", quote(mesh, "direction", "inbound"), f"{mesh.world.outsider.ipv4}:")
    assert level == "info" and fields["dst.addr"] == f"{mesh.world.server.ipv4}:8080"
    assert "src.identity" not in fields and "dst.identity" not in fields and "error" not in fields


def test_a_refusal_is_an_error_with_its_policy(mesh):
    mesh.world.denied.curl(f"http://{mesh.world.server.ipv4}:8080/")
    _, message, level, fields = record(
        mesh, mesh.two, "connection complete", quote(mesh, "reason", "policy_denied"))
    assert (message, level) == ("connection complete", "error")
    assert list(fields)[-3:] == ["error", "reason", "policy"]
    assert (fields["reason"], fields["policy"]) == ("policy_denied", "default/deny-denied")
    text = mesh.two.lines(quote(mesh, "reason", "policy_denied"))[-1]
    assert "connection closed due to policy rejection: explicitly denied by: default/deny-denied" in text


def test_an_early_refusal_is_short(mesh):
    mesh.world.client.curl(f"http://{VIP}:81/")
    _, message, level, fields = record(mesh, mesh.one, "connection failed", quote(mesh, "reason", "service_port_unknown"))
    assert (message, level) == ("connection failed", "warn")
    assert list(fields) == ["src.addr", "dst.addr", "direction", "error", "reason"]


def test_decisions_of_policy_are_logged_in_ztunnels_words(mesh):
    mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/")
    scope, message, level, fields = record(mesh, mesh.two, "dry-run: deny policy match")
    assert (scope, message, level) == ("proxy", "dry-run: deny policy match", "debug")
    assert fields["policy"] == "default/maybe"
    mesh.two.wait_for_line("no allow policies, allow", bare(mesh, "src.addr", mesh.world.client.ipv4)[:-1])
    mesh.world.denied.curl(f"http://{mesh.world.server.ipv4}:8080/")
    mesh.two.wait_for_line("deny policy match", quote(mesh, "policy", "default/deny-denied"))


def test_the_level_can_be_changed_while_it_runs(mesh):
    """Both forms of a scope's level, and back to the start; ztunnel's server knows only the one with `=`."""
    for form in ("access=off", "access:off"):
        assert "access=off" in mesh.two.ztun("log", "--level", form).stdout
        before = len(mesh.two.lines("connection complete"))
        mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/")
        wait_for(lambda: mesh.two.lines("no allow policies, allow"), "the call came through")
        assert len(mesh.two.lines("connection complete")) == before
        assert mesh.two.ztun("log", "--reset").stdout == "ztund: current log level is info,proxy=debug\n"
    bad = mesh.two.ztun("log", "--level", "access=loud", check=False)
    assert bad.returncode == 1 and "Invalid level provided" in bad.stderr
