"""`ztun` against daemons that are there, gone, hung, slow, broken or hostile: clear words, exit codes, two seconds."""
import contextlib
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

from support.programs import program

REPORT = {
    "program": "ztund", "version": "0.1.0", "pid": 4242, "startedAt": "2026-11-21T00:00:00Z", "uptimeSeconds": 3700,
    "ready": True, "pending": [], "draining": False, "captureMode": "nft", "notes": [],
    "pods": [{
        "namespace": "app", "name": "web", "netns": "/run/netns/web", "state": "captured", "reason": "",
        "since": "2026-11-21T01:00:00Z", "repairs": 1, "workloadKnown": True, "addresses": ["10.0.0.1", "fd00::1"],
        "identity": "spiffe://cluster.local/ns/app/sa/web", "connections": 3}],
    "certificates": [{
        "identity": "spiffe://cluster.local/ns/app/sa/web", "state": "Available", "error": "",
        "notBefore": "2026-11-21T00:00:00Z", "notAfter": "2026-11-22T00:00:00Z", "serialNumber": "77",
        "nextRenewal": "2026-11-21T12:00:00Z"}],
    "state": {
        "kind": "file", "source": "/etc/ztun/state.yaml", "generation": 3, "loadedAt": "2026-11-21T01:01:00Z",
        "ageSeconds": 40, "lastError": "", "workloads": 4, "services": 1, "policies": 1, "routes": 0},
    "workers": [
        {"index": 0, "answering": True, "connections": 3, "tunnels": 1, "streams": 2, "loopLagMicroseconds": 120}],
    "traffic": {
        "connectionsOpened": 1204311, "connectionsClosed": 1204308, "connectionsFailed": 7, "connectionsOpen": 3,
        "bytesSent": 5368709120, "bytesReceived": 1536},
    "refusals": [{"reason": "policy_denied", "direction": "inbound", "count": 7}],
    "recentRefusals": [{
        "time": "2026-11-21T01:01:10Z", "reason": "policy_denied", "direction": "inbound", "source": "10.0.0.9:4000",
        "destination": "10.0.0.1:80", "peer": "spiffe://cluster.local/ns/app/sa/thief", "policy": "app/no-intruders",
        "detail": ""}],
    "problems": [], "logFilter": "info", "logLinesDropped": 0,
}


def ok(document):
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


class FakeDaemon:
    """A Unix socket whose every connection runs `behaviour(connection, request)` on a thread of its own."""

    def __init__(self, directory, behaviour, name="ztund", backlog=16, accepts=True):
        self.path = os.path.join(directory, f"{name}.sock")
        self.requests = []
        self._behaviour = behaviour
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen(backlog)
        self._threads = []
        if accepts:
            self._start(self._accept)

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(65536)
                if not part:
                    return
                request += part
            head, body = request.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)content-length: (\d+)", head)
            while length and len(body) < int(length[1]):
                body += connection.recv(65536)
            self.requests.append((head.split(b"\r\n")[0].decode(), body))
            self._behaviour(connection, self._over)

    def close(self):
        self._over.set()
        # close() alone does not end an accept() that another thread waits in.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def daemon(tmp_path):
    with contextlib.ExitStack() as stack:
        def start(behaviour, **options):
            fake = FakeDaemon(tmp_path, behaviour, **options)
            stack.callback(fake.close)
            return fake
        yield start


def ztun(directory, *arguments, seconds=2.8):
    """Runs ztun and fails when it takes longer than its two seconds, some start-up allowed."""
    start = time.monotonic()
    result = subprocess.run(
        [program("ztun"), *arguments, "--run-dir", str(directory)], capture_output=True, text=True, timeout=20)
    assert time.monotonic() - start < seconds
    return result


def answer(data):
    return lambda connection, over: connection.sendall(data)


def hang(connection, over):
    over.wait()


def drip(connection, over):
    """One byte of a good answer at a time, for as long as somebody listens."""
    for byte in ok(REPORT):
        connection.sendall(bytes([byte]))
        if over.wait(0.1):
            return


def endless(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"x" * 65536)


def endless_header(connection, over):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        connection.sendall(b"a: b\r\n" * 1000)


def test_all_is_well(daemon, tmp_path):
    daemon(answer(ok(REPORT)))
    result = ztun(tmp_path, "status")
    assert (result.returncode, result.stderr) == (0, "")
    for text in [
        "ztund 0.1.0: ready, pid 4242, up 61m, capture nft", "file /etc/ztun/state.yaml, generation 3, 40s old",
        "4 workloads, 1 service, 1 policy", "1,204,311 opened", "5.0 GiB of responses", "1.5 KiB of requests",
        "app/web", "10.0.0.1,fd00::1", "in 22h58m", "policy_denied", "app/no-intruders", "30s",
    ]:
        assert text in result.stdout, text
    assert "PROBLEMS" not in result.stdout


def test_json_has_the_report_unchanged(daemon, tmp_path):
    daemon(answer(ok(REPORT)))
    result = ztun(tmp_path, "status", "-o", "json")
    assert result.returncode == 0
    assert json.loads(result.stdout) == REPORT


def test_unknown_keys_of_a_newer_daemon_are_no_error(daemon, tmp_path):
    daemon(answer(ok({**REPORT, "new": {"x": 1}})))
    assert ztun(tmp_path, "status").returncode == 0


def test_problems_end_with_one(daemon, tmp_path):
    daemon(answer(ok({**REPORT, "ready": False, "pending": ["proxy"], "problems": ["ztund is not ready"]})))
    result = ztun(tmp_path, "status")
    assert result.returncode == 1
    assert "NOT READY" in result.stdout and "- ztund is not ready" in result.stdout


def test_both_programs_are_shown(daemon, tmp_path):
    daemon(answer(ok(REPORT)))
    daemon(answer(ok({**REPORT, "program": "ztun-waypoint", "pods": []})), name="ztun-waypoint")
    result = ztun(tmp_path, "status")
    assert result.returncode == 0
    assert "ztund 0.1.0" in result.stdout and "ztun-waypoint 0.1.0" in result.stdout
    only = ztun(tmp_path, "status", "--program", "ztun-waypoint")
    assert "ztund 0.1.0" not in only.stdout and "ztun-waypoint 0.1.0" in only.stdout


def test_one_answers_and_one_hangs(daemon, tmp_path):
    daemon(answer(ok(REPORT)))
    daemon(hang, name="ztun-waypoint")
    result = ztun(tmp_path, "status")
    assert result.returncode == 1
    assert "ztund 0.1.0: ready" in result.stdout
    assert "ztun-waypoint at" in result.stderr and "does not answer within 2 seconds" in result.stderr


def test_nothing_there(tmp_path):
    result = ztun(tmp_path, "status")
    assert result.returncode == 3
    assert f"no ztund and no ztun-waypoint answers at {tmp_path}" in result.stderr and "--run-dir" in result.stderr
    document = json.loads(ztun(tmp_path / "missing", "status", "-o", "json").stdout)
    assert "answers at" in document["problems"][0]


def test_socket_left_over(daemon, tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "ztund.sock"))
    result = ztun(tmp_path, "status")
    assert result.returncode == 3
    assert f"no ztund answers at {tmp_path}/ztund.sock" in result.stderr and "left over" in result.stderr


def test_too_long_a_path(tmp_path):
    result = ztun("/" + "x" * 200, "status", "--program", "ztund")
    assert result.returncode == 2
    assert "too long" in result.stderr


@pytest.mark.parametrize("behaviour", [hang, drip, endless_header, endless], ids=lambda f: f.__name__)
def test_a_daemon_that_never_finishes(daemon, tmp_path, behaviour):
    daemon(behaviour)
    result = ztun(tmp_path, "status")
    assert result.returncode == 4, result.stdout + result.stderr
    assert str(tmp_path) in result.stderr and result.stdout == ""


def test_a_daemon_that_does_not_accept(daemon, tmp_path):
    fake = daemon(hang, backlog=0, accepts=False)
    waiting = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        waiting.append(client)
        try:
            client.connect(fake.path)
        except BlockingIOError:
            break
        assert len(waiting) < 100
    result = ztun(tmp_path, "status")
    for client in waiting:
        client.close()
    assert result.returncode == 4
    assert "does not answer within 2 seconds" in result.stderr


@pytest.mark.parametrize("data, words", [
    (b"", "ended before"),
    (b"\x00\x01\x02garbage", "does not speak HTTP"),
    (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
    (b"HTTP/1.1 abc\r\n\r\n", "status line"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", "no valid length"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", "no valid length"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", "ended before"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "does not understand"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull", "does not understand"),
    (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 24\r\n\r\nthis \x1b[31msocket is for r", "refuses to answer (403)"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n\r\n" + b"[" * 30000, "does not understand"),
])
def test_garbage(daemon, tmp_path, data, words):
    daemon(answer(data))
    result = ztun(tmp_path, "status")
    assert result.returncode == 4, result.stdout + result.stderr
    assert words in result.stderr
    assert "\x1b" not in result.stderr


def test_hostile_text_does_not_reach_the_terminal(daemon, tmp_path):
    hostile = "x\x1b[31m\nPODS forged\r\u202e\x9b2J"
    refusal = {**REPORT["recentRefusals"][0], "detail": hostile, "policy": hostile}
    daemon(answer(ok({**REPORT, "recentRefusals": [refusal], "problems": [hostile], "notes": [hostile]})))
    result = ztun(tmp_path, "status")
    assert result.returncode == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.stdout)
    assert not [line for line in result.stdout.splitlines() if line.startswith("PODS forged")]


def test_extreme_numbers(daemon, tmp_path):
    largest = 2**64 - 1
    report = json.loads(json.dumps(REPORT))
    report["uptimeSeconds"] = 2**63 - 1
    report["state"]["ageSeconds"] = -(2**63)
    report["state"]["workloads"] = -1
    report["traffic"]["bytesSent"] = largest
    report["certificates"][0]["notAfter"] = "9999-12-31T23:59:59Z"
    daemon(answer(ok(report)))
    result = ztun(tmp_path, "status")
    assert (result.returncode, result.stderr) == (0, "")


def test_pod_commands(daemon, tmp_path):
    fake = daemon(answer(ok({"ok": True, "message": "app/web is being taken in"})))
    result = ztun(tmp_path, "pod", "add", "app/web@/run/netns/web")
    assert (result.returncode, result.stdout) == (0, "app/web is being taken in\n")
    assert ztun(tmp_path, "pod", "remove", "app/web").returncode == 0
    (add, added), (remove, removed) = fake.requests
    assert add == "POST /pods HTTP/1.1"
    assert json.loads(added) == {"namespace": "app", "name": "web", "netns": "/run/netns/web"}
    assert remove == "DELETE /pods HTTP/1.1"
    assert json.loads(removed) == {"namespace": "app", "name": "web"}


def test_refused_pod_command(daemon, tmp_path):
    body = json.dumps({"ok": False, "message": "there is no namespace /run/netns/x"}).encode()
    daemon(answer(b"HTTP/1.1 409 Conflict\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)))
    result = ztun(tmp_path, "pod", "add", "app/web@/run/netns/x")
    assert result.returncode == 1
    assert result.stderr == "ztun: there is no namespace /run/netns/x\n"


def test_log_command(daemon, tmp_path):
    data = b"current log level is info,access=off\n"
    fake = daemon(answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data)))
    result = ztun(tmp_path, "log", "--level", "info,access=off", "--reset")
    assert (result.returncode, result.stdout) == (0, "ztund: current log level is info,access=off\n")
    assert fake.requests[0][0] == "POST /logging?level=info%2caccess%3doff&reset HTTP/1.1"


@pytest.mark.parametrize("arguments", [
    ["status", "-o", "xml"], ["pod", "add", "app/web"], ["pod", "add", "web@/x"], ["pod", "remove", "web"],
    ["pod", "add", "App/web@/x"], ["pod", "add", "app/web@relative"], ["unknown"], ["log", "extra"],
    ["status", "--program", "envoy"],
])
def test_wrong_usage(tmp_path, arguments):
    result = ztun(tmp_path, *arguments)
    assert result.returncode == 2
    assert result.stderr and not result.stdout


def test_help_has_the_exit_codes():
    result = subprocess.run([program("ztun"), "status", "--help"], capture_output=True, text=True, timeout=10)
    assert result.returncode == 0
    assert "0 all is well, 1 a problem was found, 2 usage, 3 none runs, 4 no answer within 2 seconds" in " ".join(
        result.stdout.split())
