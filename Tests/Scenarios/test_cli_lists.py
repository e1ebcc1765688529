"""`ztun denials|connections|workloads|services|policies|reasons` against a real mesh, and against daemons that do not help."""
import base64
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest
import yaml

from support.programs import program
from support.waiting import wait_for
from support.world import VIP, WAYPOINT_VIP

LISTS = ["denials", "connections", "workloads", "services", "policies"]


def answer_of(daemon, *arguments):
    return json.loads(daemon.ztun(*arguments, "-o", "json").stdout)


def rows(text):
    """The table as a list of dictionaries; two blanks or more stand between columns."""
    header, *lines = [re.split(r"\s{2,}", line.rstrip()) for line in text.splitlines()]
    return [dict(zip(header, line)) for line in lines]


@pytest.fixture(scope="module")
def open_connection(mesh):
    """A connection that carries bytes both ways and stays open."""
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.sendall(b"x" * 1000)
        received = 0
        while received < 1000:
            received += len(connection.recv(65536))
        yield connection


@pytest.mark.root
def test_connections_show_both_sides(mesh, open_connection):
    host, port = open_connection.getsockname()
    (out,) = rows(mesh.one.ztun("connections", "--address", f"{host}:{port}").stdout)
    assert out["WORKLOAD"] == "client.default" and out["DIRECTION"] == "Outbound" and out["PROTOCOL"] == "HBONE"
    assert out["LOCAL"] == f"client.default:{port}" and out["REMOTE"] == "server.default:15008"
    assert out["REMOTE TARGET"] == f"{mesh.world.server.ipv4}:7000"
    assert out["IDENTITY"] == mesh.world.server.identity
    assert (out["SENT"], out["RECEIVED"]) == ("1000 B", "1000 B")
    listed = rows(mesh.two.ztun("connections", "--pod", "default/server", "--direction", "inbound", "--raw").stdout)
    inbound = [row for row in listed if row["LOCAL"] == f"{mesh.world.server.ipv4}:7000"]
    assert inbound and inbound[0]["IDENTITY"] == mesh.world.client.identity and inbound[0]["PROTOCOL"] == "HBONE"
    empty = mesh.two.ztun("connections", "--pod", "default/nobody")
    assert empty.returncode == 0 and "no connections" in empty.stderr and empty.stdout.startswith("WORKLOAD")


@pytest.mark.root
def test_a_connection_is_gone_when_it_ended(mesh):
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        key = "%s:%d" % connection.getsockname()
        assert answer_of(mesh.one, "connections", "--address", key)["matching"] == 1
    wait_for(lambda: answer_of(mesh.one, "connections", "--address", key)["matching"] == 0, "it is gone")


@pytest.mark.root
def test_the_mesh_in_istioctls_columns(mesh):
    workloads = {row["POD NAME"]: row for row in rows(mesh.one.ztun("workloads").stdout)}
    server = workloads["server"]
    assert server["ADDRESS"] == ",".join(mesh.world.server.ips) and server["NODE"] == "n2"
    assert (server["PROTOCOL"], server["WAYPOINT"]) == ("HBONE", "None")
    assert workloads["outsider"]["PROTOCOL"] == "TCP"
    services = {row["SERVICE NAME"]: row for row in rows(mesh.one.ztun("services").stdout)}
    assert services["server"]["ENDPOINTS"] == "1/1" and services["server"]["SERVICE VIP"].startswith(VIP)
    assert services["through-waypoint"]["WAYPOINT"] == "waypoint"
    (policy,) = rows(mesh.one.ztun("policies").stdout)
    assert policy == {
        "NAMESPACE": "default", "POLICY NAME": "deny-denied", "ACTION": "Deny", "SCOPE": "WorkloadSelector",
        "DRY RUN": "no"}


@pytest.mark.root
def test_filters_and_one_thing_in_full(mesh):
    assert answer_of(mesh.one, "workloads", "--node", "n2")["matching"] == 3
    assert answer_of(mesh.one, "workloads", "--namespace", "none")["matching"] == 0
    one = answer_of(mesh.one, "services", "default/server")
    assert one["matching"] == 1 and len(one["services"][0]["endpoints"]) == 1
    text = mesh.one.ztun("policies", "default/deny-denied", "-o", "yaml").stdout
    (policy,) = yaml.safe_load(text)["policies"]
    assert policy["rules"] == [[[{"principals": [{"Exact": "cluster.local/ns/default/sa/denied"}]}]]]
    cut = mesh.one.ztun("workloads", "--limit", "2")
    assert len(rows(cut.stdout)) == 2 and "2 of 6 workloads shown" in cut.stderr


@pytest.mark.root
def test_denials_by_every_filter(mesh):
    mesh.world.denied.curl(f"http://{mesh.world.server.ipv4}:8080/")
    found = wait_for(
        lambda: answer_of(mesh.two, "denials", "--reason", "policy_denied", "--since", "1m")["denials"], "the refusal")
    first = found[0]
    assert first["policy"] == "default/deny-denied" and first["peer"] == mesh.world.denied.identity
    assert first["pod"] == "default/server" and "narrow that policy" in first["nextStep"]
    for arguments, some in [
        (("--pod", "default/server"), True), (("--pod", "default/other"), False), (("--direction", "inbound"), True),
        (("--direction", "outbound"), False), (("--identity", "sa/denied"), True), (("--identity", "sa/x"), False),
        (("--reason", "tls_timeout"), False),
    ]:
        assert bool(answer_of(mesh.two, "denials", *arguments)["matching"]) == some, arguments
    table = rows(mesh.two.ztun("denials", "--reason", "policy_denied").stdout)
    assert table[0]["REASON"] == "policy_denied" and table[0]["POLICY"] == "default/deny-denied"
    source = wait_for(lambda: answer_of(mesh.one, "denials", "--reason", "policy_denied")["denials"], "at the source too")
    assert source[0]["direction"] == "outbound" and source[0]["pod"] == "default/denied"


@pytest.mark.root
@pytest.mark.parametrize("kind", LISTS)
def test_every_format_says_the_same(mesh, open_connection, kind):
    as_json = mesh.two.ztun(kind, "-o", "json").stdout
    document = json.loads(as_json)
    assert document["program"] == "ztund" and document["matching"] >= len(document[kind])
    as_yaml = yaml.safe_load(mesh.two.ztun(kind, "-o", "yaml").stdout)
    if kind in ("workloads", "services", "policies"):
        assert as_yaml == document
    assert mesh.two.ztun(kind).stdout.isascii()


@pytest.mark.root
def test_the_waypoint_answers_too(mesh):
    assert answer_of(mesh.waypoint, "workloads")["program"] == "ztun-waypoint"
    with mesh.world.client.connect(WAYPOINT_VIP, 80) as connection:
        connection.sendall(b"GET /api HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        (one,) = answer_of(mesh.waypoint, "connections", "--pod", "default/waypoint")["connections"]
    assert one["identity"] == mesh.world.client.identity
    assert one["target"] == "through-waypoint.default.svc.cluster.local"
    dump = json.loads(mesh.waypoint.get(15000, "/config_dump")[1])
    assert dump["config"]["adminAddr"] == {"Localhost": [True, 15000]} and dump["config"]["numWorkerThreads"] >= 1


@pytest.mark.root
def test_the_dump_has_certificates_connections_and_configuration(mesh, open_connection):
    status, text = mesh.one.get(15000, "/config_dump")
    dump = json.loads(text)
    assert status == 200 and "PRIVATE KEY" not in text
    certificate = next(one for one in dump["certificates"] if one["identity"] == mesh.world.client.identity)
    assert certificate["state"] == "Available"
    for part in [*certificate["certChain"], *certificate["rootCerts"]]:
        pem = base64.b64decode(part["pem"])
        shown = subprocess.run(
            ["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, check=True).stdout.decode()
        assert int(shown.split("=")[1], 16) == int(part["serialNumber"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", part["expirationTime"])
    host, port = open_connection.getsockname()
    state = next(one for one in dump["workloadState"].values() if one["info"]["name"] == "client")
    assert state["state"] == "Up"
    assert {
        "src": f"{host}:{port}", "originalDst": f"{mesh.world.server.ipv4}:7000",
        "actualDst": f"{mesh.world.server.ipv4}:15008", "protocol": "HBONE"} in state["connections"]["outbound"]
    assert dump["config"]["packetMark"] == 1337 and dump["config"]["numWorkerThreads"] >= 1
    assert dump["config"]["adminAddr"] == {"Localhost": [True, 15000]}


@pytest.mark.root
def test_metrics_of_the_program_itself(mesh):
    _, text = mesh.one.get(15020, "/metrics")
    for name in [
        "istio_build{component=\"ztunnel\"", "istio_tcp_sockets_open{reporter=\"source\"}",
        "workload_manager_active_proxy_count 2", "workload_manager_pending_proxy_count 0",
        "workload_manager_proxies_started_total 2", "workload_manager_proxies_stopped_total 0", "process_open_fds ",
        "process_max_fds ", "runtime_workers ", "runtime_worker_cpu_seconds_total{worker=\"0\"}",
        "runtime_worker_turns_total{worker=\"0\"}",
    ]:
        assert "\n" + name in text, name


def ztun(folder, *arguments):
    begin = time.monotonic()
    result = subprocess.run(
        [program("ztun"), *arguments, "--run-dir", str(folder)], capture_output=True, text=True, timeout=20)
    assert time.monotonic() - begin < 2.8
    return result


@pytest.mark.parametrize("kind", LISTS)
def test_nobody_there(tmp_path, kind):
    result = ztun(tmp_path, kind)
    assert result.returncode == 3 and "start one with" in result.stderr and result.stdout == ""


class Fake:
    """A daemon that answers every request with the same bytes, or never."""

    def __init__(self, folder, answer):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(os.path.join(folder, "ztund.sock"))
        self.socket.listen(4)
        self.answer, self.held = answer, []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.held.append(connection)
            if self.answer is not None:
                connection.recv(65536)
                connection.sendall(self.answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.held:
            connection.close()


def response(document, status="200 OK"):
    body = json.dumps(document).encode()
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("bytes_, code, words", [
    (None, 4, "does not answer within 2 seconds"), (b"garbage", 4, "does not speak HTTP"),
    (response([]), 4, "does not understand"), (response({"program": "ztund", "total": 1}), 4, "does not understand"),
    (response("x", "404 Not Found"), 4, "older than this ztun"),
    (response("x", "503 Service Unavailable"), 4, "refuses to answer (503)"),
], ids=["hung", "garbage", "list", "no-rows", "older", "busy"])
def test_a_daemon_that_does_not_help(tmp_path, kind, bytes_, code, words):
    with Fake(tmp_path, bytes_):
        result = ztun(tmp_path, kind)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr


def test_a_list_without_some_workers_is_a_problem(tmp_path):
    with Fake(tmp_path, response({"program": "ztund", "total": 0, "matching": 0, "silentWorkers": 2, "denials": []})):
        result = ztun(tmp_path, "denials")
    assert result.returncode == 1 and "2 workers of ztund did not answer" in result.stderr


def test_hostile_text_is_made_harmless(tmp_path):
    hostile = "x\x1b[31m\nFORGED\r\u202e"
    row = {
        "time": "2026-11-21T00:00:00Z", "reason": hostile, "direction": "inbound", "source": hostile,
        "destination": hostile, "peer": hostile, "policy": hostile, "detail": hostile}
    with Fake(tmp_path, response({"program": "ztund", "total": 1, "matching": 1, "denials": [row]})):
        table = ztun(tmp_path, "denials").stdout
        text = ztun(tmp_path, "denials", "-o", "yaml").stdout
    for output in (table, text):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", output)
        assert not [line for line in output.splitlines() if line.startswith("FORGED")]
    assert yaml.safe_load(text)["denials"][0]["reason"] == hostile


@pytest.mark.parametrize("arguments", [
    ["denials", "--since", "5x"], ["denials", "--reason", "nonsense"], ["connections", "--direction", "up"],
    ["workloads", "noslash"], ["policies", "a/b/c"], ["services", "--limit", "10001"], ["workloads", "-o", "xml"],
    ["denials", "extra"],
])
def test_wrong_usage(tmp_path, arguments):
    result = ztun(tmp_path, *arguments)
    assert result.returncode == 2 and result.stderr and not result.stdout


@pytest.mark.parametrize("kind", LISTS)
def test_help_teaches(kind):
    result = subprocess.run([program("ztun"), kind, "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "EXAMPLES:" in result.stdout and f"ztun {kind}" in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    result = subprocess.run([program("ztun"), "--generate-completion-script", shell], capture_output=True, text=True)
    assert result.returncode == 0
    for word in ["denials", "connections", "policy_not_allowed"]:
        assert word in result.stdout


def test_the_reasons_are_the_handbook():
    result = subprocess.run([program("ztun"), "reasons", "-o", "markdown"], capture_output=True, text=True)
    handbook = open(os.path.join(os.path.dirname(__file__), "../../docs/reasons.md"), encoding="utf-8").read()
    assert result.stdout == handbook
    one = subprocess.run([program("ztun"), "reasons", "no_healthy_upstream"], capture_output=True, text=True)
    assert one.stdout.startswith("no_healthy_upstream\n  The service has no endpoint")


@pytest.mark.root
@pytest.mark.slow
def test_lists_of_a_large_mesh_stay_bounded_and_quick(mesh, tmp_path):
    """A hundred thousand workloads: an answer has at most its limit of rows and comes within the two seconds."""
    count = 100_000
    lines = ["workloads:"]
    for i in range(count):
        lines.append(
            f'- {{uid: "c//v1/Pod/ns{i % 100}/pod-{i}", name: pod-{i}, namespace: ns{i % 100}, node: n{i % 500}, '
            f'workloadIps: ["10.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"], protocol: HBONE, trustDomain: cluster.local, '
            f'serviceAccount: sa, services: {{"ns{i % 100}/s{i % 1000}.example": {{80: 8080}}}}}}')
    lines.append("services:")
    for i in range(1000):
        lines.append(
            f'- {{name: s{i}, namespace: ns{i % 100}, hostname: s{i}.example, vips: ["/10.97.{i >> 8}.{i & 255}"], '
            "ports: {80: 8080}}")
    path = tmp_path / "large.yaml"
    path.write_text("\n".join(lines))
    mesh.two.stop()
    large = mesh.start_ztund(mesh.second, [], state=path, ready=False)
    wait_for(large.is_ready, "a hundred thousand workloads are read, also by a program made for debugging", 120)
    for arguments, rows_wanted in [
        (("workloads",), 1000), (("workloads", "--limit", "10000"), 10_000), (("services",), 1000),
        (("workloads", "--node", "n7"), 200), (("workloads", "ns7/pod-7"), 1), (("denials",), 0), (("connections",), 0),
    ]:
        answer = ztun(large.run_dir, *arguments, "-o", "json")
        assert answer.stdout, (arguments, answer.stderr)
        document = json.loads(answer.stdout)
        assert len(document[arguments[0]]) == rows_wanted, arguments
    assert document["total"] == 0
