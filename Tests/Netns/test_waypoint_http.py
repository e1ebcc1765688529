"""A waypoint alone on the loopback interface, spoken to by an HBONE client that is not ours: HTTP/1.1 byte for byte.

The backends are outside the mesh (plain TCP), so each can be a script; what goes through ztund is in test_waypoint.py.
"""
import contextlib
import hashlib
import json
import signal
import socket
import subprocess
import threading
from random import Random

import h2.connection
import h2.events
import h2.exceptions
import pytest

from support.certificates import Authority
from support.hbone import Client, client_context
from support.process import Daemon
from support.programs import program
from support.state import State
from support.waiting import wait_for

VIP, TCP_VIP, UNBOUND_VIP, DEAD_VIP = "10.99.0.1", "10.99.0.2", "10.99.0.3", "10.99.0.4"
ROUTES = """
routes:
- service: default/shop.default.svc.cluster.local
  rules:
  - name: raw
    matches: [{path: {prefix: /raw}}]
    backends: [{workload: default/scripted, port: 8080}]
  - name: tester
    matches: [{headers: {x-user: tester}}]
    backends: [{workload: default/v2, port: 8080}]
  - name: split
    matches: [{path: {prefix: /split}}]
    backends:
    - {workload: default/v1, port: 8080, weight: 80}
    - {workload: default/v2, port: 8080, weight: 20}
  - name: only-host
    matches: [{path: {prefix: /app}}]
- address: 10.99.0.2:5432
  protocol: tcp
  rules: [{backends: [{workload: default/scripted, port: 9090}]}]
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Backend:
    """Accepts on one loopback address; every connection is given to `serve`."""

    def __init__(self, ip, port, serve):
        self.listener = socket.create_server((ip, port), backlog=512)
        self.serve = serve
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            self.serve(connection)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def read_head(reader):
    lines = []
    while (line := reader.readline(65536)) not in (b"\r\n", b""):
        lines.append(line)
    return lines


def http_server(name):
    """Answers JSON of what it read; reads bodies of a length and chunked ones."""

    def serve(connection):
        reader = connection.makefile("rb")
        while lines := read_head(reader):
            method, target, _ = lines[0].decode().split()
            fields = [tuple(part.strip() for part in line.decode("latin-1").split(":", 1)) for line in lines[1:]]
            named = dict(fields)
            if named.get("transfer-encoding") == "chunked":
                body = b""
                while size := int(reader.readline(), 16):
                    body += reader.read(size)
                    reader.readline()
                reader.readline()
            else:
                body = reader.read(int(named.get("content-length", 0)))
            answer = {
                "server": name, "method": method, "path": target, "fields": fields, "size": len(body),
                "digest": hashlib.sha256(body).hexdigest(),
            }
            payload = json.dumps(answer).encode()
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(payload)
            connection.sendall(head if method == "HEAD" else head + payload)

    return serve


class Scripted:
    """A backend that sends whatever the test has put into `reply` after each request head, and notes the heads."""

    def __init__(self):
        self.reply, self.closes, self.heads, self.raw = b"", False, [], b""

    def serve(self, connection):
        reader = connection.makefile("rb")
        while lines := read_head(reader):
            self.heads.append(b"".join(lines).decode("latin-1"))
            connection.sendall(self.reply)
            if self.closes:
                return

    def echo(self, connection):
        while data := connection.recv(65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


class Stage:
    """The waypoint with its backends."""

    def __init__(self, folder, net="127.71.0"):
        self.folder = folder
        self.v1, self.v2, self.endpoint, self.dead = (f"{net}.{last}" for last in range(1, 5))
        self.authority = Authority(folder / "ca")
        self.client_files = self.authority.leaf("client", "spiffe://cluster.local/ns/default/sa/client")
        self.own_files = self.authority.leaf("waypoint", "spiffe://cluster.local/ns/default/sa/waypoint")
        self.port, self.admin, self.metrics, self.readiness = (free_port() for _ in range(4))
        self.scripted = Scripted()
        self.backends = [
            Backend(self.v1, 8080, http_server("v1")), Backend(self.v2, 8080, http_server("v2")),
            Backend(self.endpoint, 8080, self.scripted.serve), Backend(self.endpoint, 9090, self.scripted.echo),
        ]
        self.state = State()
        shop = "default/shop.default.svc.cluster.local"
        dead = "default/dead.default.svc.cluster.local"
        self.state.workload("waypoint", ["127.0.0.1"], "n1")
        self.state.workload("client", ["127.70.0.1"], "n1")
        self.state.workload("v1", [self.v1], "n1", hbone=False, services={shop: {80: 8080}})
        self.state.workload("v2", [self.v2], "n1", hbone=False)
        self.state.workload("scripted", [self.endpoint], "n1", hbone=False)
        self.state.workload("gone", [self.dead], "n1", hbone=False, services={dead: {80: 8080}})
        waypoint = {"destination": "/127.0.0.1", "hboneMtlsPort": 15008}
        self.state.service("shop", [VIP], {80: 8080}, waypoint=waypoint)
        self.state.service("tcp", [TCP_VIP], {5432: 9090}, waypoint=waypoint)
        self.state.service("unbound", [UNBOUND_VIP], {80: 8080})
        self.state.service("dead", [DEAD_VIP], {80: 8080}, waypoint=waypoint)
        self.state_path = self.state.write(folder / "state.yaml")
        self.routes_path = folder / "routes.yaml"
        self.routes_path.write_text(ROUTES)
        chain, key = self.own_files
        self.daemon = Daemon(
            "ztun-waypoint",
            [program("ztun-waypoint"), "run", "--state", self.state_path, "--routes", self.routes_path,
             "--workload", "default/waypoint", "--address", f"127.0.0.1:{self.port}", "--run-dir", folder / "run",
             "--roots", self.authority.certificate,
             "--identity", f"spiffe://cluster.local/ns/default/sa/waypoint={chain},{key}",
             "--admin-address", f"127.0.0.1:{self.admin}", "--metrics-address", f"127.0.0.1:{self.metrics}",
             "--readiness-address", f"127.0.0.1:{self.readiness}", "--drain-seconds", "5"],
            folder / "waypoint.log")
        self.daemons = {"waypoint": self.daemon}
        wait_for(self.ready, "the waypoint is ready", 15)

    def ready(self):
        assert self.daemon.alive(), self.daemon.text()
        return subprocess.run(
            ["curl", "-fsS", f"http://127.0.0.1:{self.readiness}/healthz/ready"], capture_output=True).returncode == 0

    @contextlib.contextmanager
    def endpoint_serves(self, client, serve):
        """Another script for the scripted endpoint; kept connections are used up before and after."""
        def use_up():
            self.scripted.reply, self.scripted.closes = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True
            tunnel = Tunnel(client)
            for _ in range(3):
                assert tunnel.fetch("/raw")[0] == 200
        use_up()
        self.backends[2].serve = serve
        try:
            yield
        finally:
            self.backends[2].serve = self.scripted.serve
            use_up()

    def client(self, files=None):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return Client(raw, client_context(self.authority, *(files or self.client_files)))

    def close(self):
        self.daemon.stop()
        for backend in self.backends:
            backend.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("waypoint"))
    try:
        yield stage
    finally:
        stage.close()


class Tunnel:
    """One CONNECT stream as a byte stream, and the HTTP/1.1 responses in it."""

    def __init__(self, client, authority=f"{VIP}:80"):
        self.client = client
        self.status, self.stream, self.headers = client.connect(authority)
        self.buffer = b""
        self.ended = False

    def send(self, data, end=False):
        if isinstance(data, str):
            data = data.replace("\n", "\r\n").encode("latin-1")
        for start in range(0, len(data), 16384):
            while self.client.h2.local_flow_control_window(self.stream) < 16384:
                assert self.client.wait(h2.events.WindowUpdated), "the connection ended"
            self.client.send(self.stream, data[start:start + 16384])
        if end:
            self.client.h2.end_stream(self.stream)
            self.client.flush()

    def _receive(self):
        data = self.client.receive(self.stream, 1)
        self.ended = not data
        self.buffer += data
        return data

    def line(self):
        while b"\r\n" not in self.buffer:
            assert self._receive(), f"ended within {self.buffer!r}"
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode("latin-1")

    def take(self, count):
        while len(self.buffer) < count:
            assert self._receive(), f"ended within {self.buffer[:200]!r}"
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def rest(self):
        while self._receive():
            pass
        return self.buffer

    def response(self, method="GET"):
        """(status, fields, body) of the next response."""
        status = int(self.line().split(" ")[1])
        fields = {}
        while line := self.line():
            name, _, value = line.partition(":")
            fields.setdefault(name.lower(), []).append(value.strip())
        if method == "HEAD" or status in (204, 304) or status < 200:
            return status, fields, b""
        if fields.get("transfer-encoding") == ["chunked"]:
            body = b""
            while size := int(self.line(), 16):
                body += self.take(size)
                assert self.line() == ""
            assert self.line() == ""
            return status, fields, body
        if "content-length" in fields:
            return status, fields, self.take(int(fields["content-length"][0]))
        return status, fields, self.rest()

    def fetch(self, path="/app", fields="", method="GET"):
        self.send(f"{method} {path} HTTP/1.1\nhost: shop\n{fields}\n")
        status, headers, body = self.response(method)
        return status, headers, json.loads(body) if body else None


@pytest.fixture
def client(stage):
    with stage.client() as client:
        yield client


# --- the tunnel -------------------------------------------------------------------------------------------------------

def test_takes_only_what_is_bound_to_it(stage, client):
    assert Tunnel(client).status == 200
    cases = {
        f"{UNBOUND_VIP}:80": (404, "destination_mismatch"), f"{VIP}:81": (404, "service_port_unknown"),
        "10.98.0.1:80": (404, "destination_mismatch"), f"{stage.v1}:8080": (404, "destination_mismatch"),
        f"127.0.0.1:{stage.admin}": (404, "destination_mismatch"), "shop:80": (404, "destination_mismatch"),
        "shop": (400, "authority_invalid"), f"{VIP}": (400, "authority_invalid"),
    }
    for authority, (status, reason) in cases.items():
        answered, _, headers = client.connect(authority)
        assert (answered, f'details="{reason}"' in headers.get("proxy-status", "")) == (status, True), (authority, headers)


def test_refuses_its_own_identity(stage):
    with stage.client(stage.own_files) as client:
        status, _, headers = client.connect(f"{VIP}:80")
        assert status == 502
        assert "recursive_call" in headers["proxy-status"]


def test_refuses_other_methods(client):
    status, _, headers = client.answer(
        client.request([(":method", "GET"), (":scheme", "https"), (":authority", f"{VIP}:80"), (":path", "/")], end=True))
    assert status == 400
    assert "method_not_connect" in headers["proxy-status"]


# --- requests ---------------------------------------------------------------------------------------------------------

def test_headers_at_both_ends(client):
    status, fields, answer = Tunnel(client).fetch(
        "/app/x?q=1", "Connection: keep-alive, X-Gone\nX-Gone: 1\nKeep-Alive: 5\nTE: trailers\nProxy-Connection: x\n"
        "X-Forwarded-Client-Cert: By=evil\nX-Envoy-Retry-On: 5xx\nX-Forwarded-For: 9.9.9.9\nX-Mixed-Case: Kept Value\n")
    assert status == 200
    assert (answer["server"], answer["method"], answer["path"]) == ("v1", "GET", "/app/x?q=1")
    seen = dict(answer["fields"])
    assert seen["host"] == "shop"
    assert seen["x-mixed-case"] == "Kept Value"
    assert seen["x-forwarded-for"] == "9.9.9.9"
    assert seen["x-forwarded-proto"] == "http"
    assert len(seen["x-request-id"]) == 36 and seen["x-request-id"][14] == "4"
    assert not {"connection", "x-gone", "keep-alive", "te", "proxy-connection", "x-forwarded-client-cert",
                "x-envoy-retry-on"} & set(seen)
    assert fields["server"] == ["ztun-waypoint"]
    assert "date" in fields and "x-envoy-upstream-service-time" in fields
    assert "connection" not in fields


def test_keeps_the_request_id_and_the_absolute_authority(client):
    _, _, answer = Tunnel(client).fetch("http://shop.example:81/app?x", "x-request-id: mine\n")
    seen = dict(answer["fields"])
    assert (answer["path"], seen["host"], seen["x-request-id"]) == ("/app?x", "shop.example:81", "mine")
    assert [name for name, _ in answer["fields"]].count("host") == 1


def test_one_connection_many_requests(stage, client):
    tunnel = Tunnel(client)
    before = stage.backends[0].connections
    for number in range(50):
        status, _, answer = tunnel.fetch(f"/app/{number}")
        assert (status, answer["path"]) == (200, f"/app/{number}")
    assert stage.backends[0].connections - before <= 1


def test_pipelined_requests_are_answered_in_order(client):
    tunnel = Tunnel(client)
    tunnel.send("".join(f"GET /app/{n} HTTP/1.1\nhost: shop\n\n" for n in range(10)))
    assert [json.loads(tunnel.response()[2])["path"] for _ in range(10)] == [f"/app/{n}" for n in range(10)]


def test_every_byte_alone(client):
    tunnel = Tunnel(client)
    for byte in b"POST /app HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
        client.send(tunnel.stream, bytes([byte]))
    status, _, body = tunnel.response()
    assert (status, json.loads(body)["size"]) == (200, 3)


@pytest.mark.parametrize("path, server", [("/app", "v1"), ("/app/", "v1"), ("/app/a/../b", "v1"), ("/apple", None), ("/", None)])
def test_routes_by_path(client, path, server):
    status, fields, answer = Tunnel(client).fetch(path)
    if server:
        assert (status, answer["server"]) == (200, server)
    else:
        assert (status, answer) == (404, None)
        assert 'details="route_not_found"' in fields["proxy-status"][0]


def test_routing_and_upstream_see_one_path(client):
    _, _, answer = Tunnel(client).fetch("/split/%2e%2e/app/%61")
    assert (answer["server"], answer["path"]) == ("v1", "/app/a")


def test_routes_by_header(client):
    tunnel = Tunnel(client)
    assert tunnel.fetch("/any", "X-User: tester\n")[2]["server"] == "v2"
    assert tunnel.fetch("/any", "X-User: somebody\n")[0] == 404
    assert tunnel.fetch("/app")[2]["server"] == "v1"


def test_splits_by_weight(client):
    tunnel = Tunnel(client)
    servers = [tunnel.fetch("/split")[2]["server"] for _ in range(500)]
    assert 70 < servers.count("v2") < 130 and set(servers) == {"v1", "v2"}


def test_bodies_of_both_framings_arrive_whole(client):
    tunnel = Tunnel(client)
    body = bytes(range(256)) * 4096 * 3
    digest = hashlib.sha256(body).hexdigest()
    tunnel.send(f"POST /app HTTP/1.1\nhost: shop\ncontent-length: {len(body)}\n\n")
    tunnel.send(body)
    assert json.loads(tunnel.response()[2])["digest"] == digest
    tunnel.send("POST /app HTTP/1.1\nhost: shop\ntransfer-encoding: chunked\n\n")
    for start in range(0, len(body), 50_000):
        piece = body[start:start + 50_000]
        tunnel.send(b"%x;ext=1\r\n" % len(piece) + piece + b"\r\n")
    tunnel.send(b"0\r\ntrailer: x\r\n\r\n")
    assert json.loads(tunnel.response()[2])["digest"] == digest


def test_continue_is_answered_by_the_waypoint(client):
    tunnel = Tunnel(client)
    tunnel.send("POST /app HTTP/1.1\nhost: shop\nexpect: 100-continue\ncontent-length: 2\n\n")
    assert tunnel.response()[0] == 100
    tunnel.send(b"hi")
    status, _, body = tunnel.response()
    assert (status, json.loads(body)["size"]) == (200, 2)
    assert "expect" not in dict(json.loads(body)["fields"])


def test_head_has_no_body(client):
    tunnel = Tunnel(client)
    status, fields, _ = tunnel.fetch("/app", method="HEAD")
    assert status == 200 and int(fields["content-length"][0]) > 0
    assert tunnel.fetch("/app")[0] == 200


def test_connection_close_ends_the_stream(client):
    tunnel = Tunnel(client)
    status, fields, _ = tunnel.fetch("/app", "connection: close\n")
    assert (status, fields["connection"]) == (200, ["close"])
    assert tunnel.rest() == b""


def test_http10(client):
    tunnel = Tunnel(client)
    tunnel.send("GET /app HTTP/1.0\n\n")
    status, fields, body = tunnel.response()
    assert (status, fields["connection"], json.loads(body)["server"]) == (200, ["close"], "v1")
    assert dict(json.loads(body)["fields"])["host"] == "shop.default.svc.cluster.local"
    assert tunnel.rest() == b""


def test_half_close_after_the_request_is_answered(client):
    tunnel = Tunnel(client)
    tunnel.send("GET /app HTTP/1.1\nhost: shop\n\n", end=True)
    assert tunnel.response()[0] == 200
    assert tunnel.rest() == b""


# --- bad requests -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("request_text, status", [
    ("POST /raw HTTP/1.1\nhost: x\ncontent-length: 4\ntransfer-encoding: chunked\n\n0\n\nGET /raw HTTP/1.1\nhost: x\n\n", 400),
    ("POST /raw HTTP/1.1\nhost: x\ncontent-length: 0\ncontent-length: 0\n\nGET /raw HTTP/1.1\nhost: x\n\n", 400),
    ("POST /raw HTTP/1.1\nhost: x\ntransfer-encoding: chunked\ntransfer-encoding: x\n\n0\n\n", 400),
    ("POST /raw HTTP/1.1\nhost: x\ntransfer-encoding: xchunked\n\n0\n\n", 400),
    ("POST /raw HTTP/1.1\nhost: x\ntransfer-encoding: gzip\n\n0\n\n", 501),
    ("POST /raw HTTP/1.0\ntransfer-encoding: chunked\n\n0\n\n", 400),
    ("GET /raw HTTP/1.1\nhost: x\nhost: y\n\n", 400), ("GET /raw HTTP/1.1\n\n", 400),
    ("GET /raw HTTP/1.1\nhost: x\n folded: y\n\n", 400), ("GET /raw#f HTTP/1.1\nhost: x\n\n", 400),
    ("GET /raw HTTP/2.0\nhost: x\n\n", 505), ("CONNECT x:80 HTTP/1.1\nhost: x\n\n", 405),
    ("TRACE /raw HTTP/1.1\nhost: x\n\n", 405), ("GET /raw HTTP/1.1\nhost: x\na: " + "b" * 61440 + "\n\n", 431),
])
def test_refuses_ambiguous_requests(stage, client, request_text, status):
    stage.scripted.heads.clear()
    tunnel = Tunnel(client)
    tunnel.send(request_text)
    answered, fields, _ = tunnel.response()
    assert answered == status
    assert "request_invalid" in fields["proxy-status"][0]
    if status != 405:
        assert fields["connection"] == ["close"]
        assert tunnel.rest() == b""
    assert stage.scripted.heads == []


def test_bad_request_after_a_good_one(stage, client):
    """What the log says of the second must not be read from the first, which is gone."""
    for bad in (b"GET /\n", b"\n", b"G\r\n\r\n", b"GET /app HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n"):
        tunnel = Tunnel(client)
        assert tunnel.fetch("/app/a/rather/long/path?with=a&query=too")[0] == 200
        tunnel.send(bad)
        assert tunnel.response()[0] == 400
        assert tunnel.rest() == b""
    assert stage.daemon.alive()


def test_upgrade_opens_no_tunnel(stage, client):
    """Row 59: what follows is another request, whatever the first one hoped for."""
    stage.scripted.heads.clear()
    stage.scripted.reply, stage.scripted.closes = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", False
    tunnel = Tunnel(client)
    tunnel.send("GET /raw HTTP/1.1\nhost: x\nconnection: upgrade\nupgrade: websocket\n\nGET /app HTTP/1.1\nhost: x\n\n")
    assert tunnel.response()[0] == 200
    assert json.loads(tunnel.response()[2])["path"] == "/app"
    assert "upgrade" not in stage.scripted.heads[0].lower()


def test_cut_request_is_refused(client):
    tunnel = Tunnel(client)
    tunnel.send("GET /app HTTP/1.1\nhost: x\n", end=True)
    assert tunnel.response()[0] == 400


# --- bad upstreams ----------------------------------------------------------------------------------------------------

def scripted(stage, reply, closes=False):
    stage.scripted.reply, stage.scripted.closes = reply, closes
    stage.scripted.heads.clear()


@pytest.mark.parametrize("reply, closes, status, reason", [
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", False, 502, "response_invalid"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", False, 502, "response_invalid"),
    (b"HTTP/1.1 200 OK\nx: y\r\n\r\n", False, 502, "response_invalid"),
    (b"HTTP/1.1 101 Switching\r\n\r\n", False, 502, "response_invalid"),
    (b"HTTP/1.1 200 OK\r\na: " + b"b" * 61440 + b"\r\n\r\n", True, 502, "response_invalid"),
    (b"", True, 503, "reset"), (b"HTTP/1.1 20", True, 503, "reset"),
])
def test_bad_responses(stage, client, reply, closes, status, reason):
    scripted(stage, reply, closes)
    tunnel = Tunnel(client)
    answered, fields, _ = tunnel.fetch("/raw")
    assert (answered, f'details="{reason}"' in fields["proxy-status"][0]) == (status, True)
    assert tunnel.fetch("/app")[0] == 200


def test_response_framing(stage, client):
    """Row 71: interim answers, no-content with a length, bodies that run until the close."""
    tunnel = Tunnel(client)
    scripted(stage, b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
    tunnel.send("GET /raw HTTP/1.1\nhost: x\n\n")
    assert tunnel.response()[:2] == (103, {"link": ["</a>"]})
    assert tunnel.response()[0] == 204
    scripted(stage, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n")
    status, fields, _ = tunnel.fetch("/raw")
    assert (status, fields["content-length"]) == (304, ["9"])
    scripted(stage, b"HTTP/1.1 200 OK\r\nserver: mine\r\n\r\nuntil the end", closes=True)
    tunnel.send("GET /raw HTTP/1.1\nhost: x\n\n")
    status, fields, body = tunnel.response()
    assert (status, fields["transfer-encoding"], fields["server"], body) == (200, ["chunked"], ["mine"], b"until the end")
    scripted(stage, b"HTTP/1.0 200 OK\r\n\r\nold", closes=True)
    tunnel.send("GET /raw HTTP/1.1\nhost: x\n\n")
    assert tunnel.response()[2] == b"old"
    assert tunnel.fetch("/app")[0] == 200


def test_cut_response_cuts_the_client(stage, client):
    scripted(stage, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive!", closes=True)
    tunnel = Tunnel(client)
    tunnel.send("GET /raw HTTP/1.1\nhost: x\n\n")
    assert tunnel.line() == "HTTP/1.1 200 OK"
    ending = client.wait((h2.events.StreamEnded, h2.events.StreamReset), tunnel.stream)
    assert isinstance(ending, h2.events.StreamReset)


def test_bytes_behind_a_response_end_the_upstream(stage, client):
    scripted(stage, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    tunnel = Tunnel(client)
    assert tunnel.send("GET /raw HTTP/1.1\nhost: x\n\n") is None
    assert tunnel.response()[2] == b"ok"
    scripted(stage, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood")
    tunnel.send("GET /raw HTTP/1.1\nhost: x\n\n")
    assert tunnel.response()[2] == b"good"


def test_stale_upstream_is_replaced(stage, client):
    """The endpoint closes each kept connection on its next use; a GET goes out again, a POST with a body does not."""
    seen = []

    def fickle(connection):
        reader = connection.makefile("rb")
        if read_head(reader):
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            seen.append(read_head(reader))

    with stage.endpoint_serves(client, fickle):
        tunnel = Tunnel(client)
        for _ in range(5):
            tunnel.send("GET /raw HTTP/1.1\nhost: x\n\n")
            assert tunnel.response()[2] == b"ok"
    assert len(seen) >= 2


def test_early_answer_leaves_the_connection_usable(stage, client):
    """Row 61: the endpoint answers before it has read the body, and closes."""
    scripted(stage, b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", closes=True)
    tunnel = Tunnel(client)
    tunnel.send("POST /raw HTTP/1.1\nhost: x\ncontent-length: 200000\n\n")
    assert tunnel.response()[0] == 413
    tunnel.send(b"x" * 200000)
    assert tunnel.fetch("/app")[0] == 200


def test_no_endpoint_and_no_connection(stage, client):
    tunnel = Tunnel(client, f"{DEAD_VIP}:80")
    status, fields, _ = tunnel.fetch("/")
    assert status == 503
    assert 'details="connect_failed"' in fields["proxy-status"][0]
    assert tunnel.fetch("/")[0] == 503
    tunnel.send("POST / HTTP/1.1\nhost: x\ncontent-length: 5\n\nhello")
    assert tunnel.response()[0] == 503


# --- back-pressure ----------------------------------------------------------------------------------------------------

def test_slow_reader_holds_the_upstream_back(stage, client):
    """16 MiB towards a client that does not read: the waypoint's memory stays, and the bytes arrive in the end."""
    size = 16 << 20
    sent = [0]

    def flood(connection):
        read_head(connection.makefile("rb"))
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        block = bytes(1 << 20)
        while sent[0] < size:
            connection.sendall(block)
            sent[0] += len(block)

    with stage.endpoint_serves(client, flood):
        before = stage.daemon.memory_kib()
        tunnel = Tunnel(client)
        client.socket.settimeout(60)
        tunnel.send("GET /raw HTTP/1.1\nhost: x\n\n")
        stable = [None]

        def stopped():
            stable[0], last = sent[0], stable[0]
            return last is not None and last == sent[0] and sent[0] < size

        wait_for(stopped, "the upstream is held back", every=0.5)
        assert stage.daemon.memory_kib() - before < 6 << 10
        status, _, body = tunnel.response()
        assert (status, len(body)) == (200, size)

# --- TCP --------------------------------------------------------------------------------------------------------------

def test_tcp_port_relays_bytes_and_half_close(client):
    tunnel = Tunnel(client, f"{TCP_VIP}:5432")
    assert tunnel.status == 200
    tunnel.send(b"\x00\x01not http\n")
    assert tunnel.take(11) == b"\x00\x01not http\n"
    body = bytes(range(256)) * 2048
    tunnel.send(body, end=True)
    assert tunnel.rest() == body


# --- what it says of itself -------------------------------------------------------------------------------------------

def test_access_log_names_route_and_upstream(stage, client):
    Tunnel(client).fetch("/any/logged", "x-user: tester\nx-request-id: log-me\n")
    line = stage.daemon.wait_for_line("request complete", 'request_id="log-me"')
    for part in ('method="GET"', 'path="/any/logged"', "status=200", 'route="tester"', f"upstream={stage.v2}:8080",
                 'src.identity="spiffe://cluster.local/ns/default/sa/client"', 'dst.service="shop.default.svc.cluster.local"'):
        assert part in line


def test_peer_text_cannot_break_the_log(stage, client):
    Tunnel(client).fetch("/any/%0a\\\"x", "x-user: tester\nx-request-id: \u00ff\"quoted\n")
    line = stage.daemon.wait_for_line("request complete", '\\"quoted')
    assert line.isprintable() or "\t" in line


def test_metrics_and_status(stage, client):
    Tunnel(client).fetch("/app")
    text = subprocess.run(
        ["curl", "-fsS", f"http://127.0.0.1:{stage.metrics}/metrics"], capture_output=True, text=True, check=True).stdout
    samples = [line for line in text.splitlines() if line.startswith("istio_requests_total")]
    assert any('destination_service="shop.default.svc.cluster.local"' in line and 'response_code="200"' in line
               for line in samples), text
    status = subprocess.run(
        ["curl", "-fsS", "--unix-socket", stage.folder / "run/ztun-waypoint.sock", "http://x/status"],
        capture_output=True, text=True, check=True).stdout
    report = json.loads(status)
    assert (report["program"], report["ready"]) == ("ztun-waypoint", True)
    assert report["state"]["routes"] == 2
    assert report["traffic"]["requests"] > 0
    assert report["certificates"][0]["identity"].endswith("/sa/waypoint")


def test_routes_reload_and_a_broken_edit_is_refused(stage, client):
    tunnel = Tunnel(client)
    assert tunnel.fetch("/new")[0] == 404
    try:
        stage.routes_path.write_text(ROUTES.replace("/app", "/new"))
        wait_for(lambda: tunnel.fetch("/new")[0] == 200, "the new route is in force")
        stage.routes_path.write_text("routes: [{servce: x}]")
        stage.daemon.wait_for_line("the routes file is not in force", "servce")
        assert tunnel.fetch("/new")[0] == 200
    finally:
        stage.routes_path.write_text(ROUTES)
    wait_for(lambda: tunnel.fetch("/app")[0] == 200, "the old route is back")


def test_drains_without_a_failed_request(tmp_path, monkeypatch):
    # The h2 package takes GOAWAY for the end of the connection; RFC 9113 6.8 says that open streams go on.
    states, inputs = h2.connection.ConnectionState, h2.connection.ConnectionInputs
    monkeypatch.setitem(
        h2.connection.H2ConnectionStateMachine._transitions, (states.CLIENT_OPEN, inputs.RECV_GOAWAY),
        (None, states.CLIENT_OPEN))
    stage = Stage(tmp_path, "127.72.0")
    try:
        held = threading.Event()

        def slow(connection):
            read_head(connection.makefile("rb"))
            assert held.wait(10)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")

        stage.backends[2].serve = slow
        with stage.client() as client:
            busy, idle = Tunnel(client), Tunnel(client)
            assert idle.fetch("/app")[0] == 200
            busy.send("GET /raw HTTP/1.1\nhost: x\n\n")
            wait_for(lambda: stage.backends[2].connections > 0, "the request is at the upstream")
            stage.daemon.process.send_signal(signal.SIGTERM)
            stage.daemon.wait_for_line("drain started")
            assert idle.rest() == b""
            held.set()
            status, fields, body = busy.response()
            assert (status, fields["connection"], body) == (200, ["close"], b"done")
            busy.rest()
        assert stage.daemon.process.wait(10) == 0
        assert "forcefully" not in stage.daemon.text()
    finally:
        stage.close()


# --- whatever comes ---------------------------------------------------------------------------------------------------

def mutated(random, pieces):
    """One of `pieces` with a few bytes changed, dropped or doubled; now and then as it is."""
    data = bytearray(random.choice(pieces))
    for _ in range(random.choice([0, 0, 1, 1, 2, 5])):
        at = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0: data[at:at + 1] = bytes([random.randrange(256)])
            case 1: del data[at:at + random.randrange(1, 9)]
            case 2: data[at:at] = data[at:at + random.randrange(1, 40)]
            case _: data[at:at] = random.choice([b"\r\n", b"\n", b"\0", b":", b"0\r\n\r\n", b"chunked", b" "])
    return bytes(data)


def test_survives_whatever_clients_and_endpoints_send(stage):
    """Broken requests and responses, resets and half-closes at any point: it lives, and nothing is left open."""
    requests = [
        b"GET /raw HTTP/1.1\r\nhost: x\r\n\r\n", b"HEAD /raw HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /raw HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n123456789",
        b"POST /raw HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"GET /app HTTP/1.1\r\nhost: x\r\n\r\nGET /raw HTTP/1.0\r\n\r\n", b"PUT /app HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ]
    replies = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ]
    chance = Random(1)

    def chaos(connection):
        connection.settimeout(2)
        for _ in range(chance.randrange(1, 5)):
            if not connection.recv(65536):
                return
            connection.sendall(mutated(chance, replies))
            if chance.random() < 0.3:
                return

    with stage.client() as client, stage.endpoint_serves(client, chaos):
        pass
    stage.backends[2].serve = chaos
    try:
        for _ in range(12):
            with stage.client() as client:
                streams = []
                for _ in range(25):
                    tunnel = Tunnel(client)
                    streams.append(tunnel)
                    for _ in range(chance.randrange(1, 4)):
                        data = mutated(chance, requests)
                        cut = chance.randrange(len(data) + 1)
                        with contextlib.suppress(h2.exceptions.ProtocolError):
                            client.send(tunnel.stream, data[:cut])
                            client.send(tunnel.stream, data[cut:], end=chance.random() < 0.2)
                    if chance.random() < 0.3:
                        with contextlib.suppress(h2.exceptions.ProtocolError):
                            client.h2.reset_stream(tunnel.stream)
                            client.flush()
                assert stage.daemon.alive(), stage.daemon.text()[-3000:]
    finally:
        stage.backends[2].serve = stage.scripted.serve

    def quiet():
        text = subprocess.run(
            ["curl", "-fsS", "--unix-socket", stage.folder / "run/ztun-waypoint.sock", "http://x/status"],
            capture_output=True, text=True, check=True).stdout
        return sum(worker["connections"] + worker["streams"] for worker in json.loads(text)["workers"]) == 0

    wait_for(quiet, "no session and no stream is left", 15)
    with stage.client() as client:
        assert Tunnel(client).fetch("/app")[0] == 200
