"""Row 96 once more: what can be sent to the admin, metrics and readiness ports and to the control socket to hurt the node.

None of it may end the process, keep a probe of the kubelet out, or stay in its memory."""
import contextlib
import json
import socket
import threading

import pytest

from support import netns
from support.standing import Standing
from support.waiting import wait_for

pytestmark = pytest.mark.root

HEAD = b"GET /healthz/ready HTTP/1.1\r\nhost: x\r\n"
DEEP = 1_000_000


def dial(mesh, port, seconds=10):
    with netns.inside(mesh.first.netns):
        return socket.create_connection(("127.0.0.1", port), seconds)


def ready(mesh):
    return mesh.one.get(15021, "/healthz/ready")[0] == 200


def answer(connection):
    """All that comes until the other side ends the connection."""
    got = b""
    with contextlib.suppress(OSError):
        while piece := connection.recv(65536):
            got += piece
    return got


def ask(connection, data):
    """The answer to some bytes, also when not all of them were wanted."""
    with contextlib.suppress(OSError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    return answer(connection)


@pytest.mark.parametrize("port", [15020, 15021])
def test_row_96_thousands_of_silent_connections(harmless, port):
    """The oldest makes room for the newest: a probe always gets its answer, and the data path notices nothing."""
    mesh = harmless
    with mesh.probe(), contextlib.ExitStack() as stack:
        for number in range(2000):
            stack.enter_context(dial(mesh, port))
            if number % 500 == 499:
                assert ready(mesh) and mesh.one.get(15020, "/metrics")[0] == 200
                assert mesh.one.descriptors() < 400
    assert mesh.one.ztun("status").returncode == 0


def test_row_96_heads_byte_by_byte(harmless):
    """Ten seconds for a request, however busily it drips; others are answered meanwhile."""
    mesh = harmless
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(dial(mesh, port)) for port in (15000, 15020, 15021) for _ in range(12)]
        for connection in connections:
            connection.setblocking(False)
        sent = 0

        def all_are_let_go():
            nonlocal sent
            for connection in list(connections):
                try:
                    connection.send(HEAD[sent : sent + 1] or b"a")
                    if connection.recv(4096) == b"":
                        connections.remove(connection)
                except BlockingIOError:
                    pass
                except OSError:
                    connections.remove(connection)
            sent += 1
            assert ready(mesh)
            return not connections

        wait_for(all_are_let_go, "all are let go", 40, 0.5)


REQUESTS = {
    "line-of-a-mebibyte": b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
    "field-of-a-mebibyte": HEAD + b"x: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "ten-thousand-fields": HEAD + b"".join(b"x%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
    "endless-line": b"G" * (4 << 20),
    "empty-lines": b"\r\n" * (1 << 20),
    "body-of-a-terabyte": b"POST /logging HTTP/1.1\r\nhost: x\r\ncontent-length: 1099511627776\r\n\r\n" + b"a" * (1 << 20),
    "length-beyond-numbers": b"POST /logging HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    "chunks-without-end": b"POST /logging HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + b"4000\r\n" * 1
    + (b"a" * 0x4000 + b"\r\n4000\r\n") * 64,
    "two-lengths": HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "smuggling": HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "nul": b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) * 100,
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512),
    "noise": bytes(range(256)) * 64,
    "escapes": b"GET /%00%0a%1b%ff%zz%?%=&&==%&a=%f HTTP/1.1\r\nhost: x\r\n\r\n",
    "log-clauses": b"POST /logging?level=" + b"a=debug," * 1500 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "log-escape": b"POST /logging?level=%1b%5b2J%0aforged HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("port", [15000, 15020, 15021])
def test_row_96_requests_that_are_none(harmless, port):
    """Refused or closed, each of them, and what is asked next is answered."""
    mesh = harmless
    for name, request in REQUESTS.items():
        with dial(mesh, port) as connection:
            got = ask(connection, request)
            assert got == b"" or got.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 500 ")), (name, got[:200])
        assert ready(mesh), name
    assert b"\x1b" not in mesh.one.log.read_bytes()


def test_row_96_pipelined_requests_that_nobody_reads(harmless):
    """Answers wait for their reader one at a time: a hundred thousand questions cost no memory."""
    mesh = harmless
    with mesh.probe(), contextlib.ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(dial(mesh, 15020))
            connection.settimeout(2)
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" * 10_000)
        assert ready(mesh) and mesh.one.get(15020, "/metrics")[0] == 200


def test_row_96_a_storm_of_questions(harmless):
    """Eight that ask for the metrics as fast as they can for two seconds: connections in the pods go on."""
    mesh = harmless
    end, failures = threading.Event(), []

    def run():
        with dial(mesh, 15020) as connection:
            stream = connection.makefile("rb")
            while not end.is_set():
                connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
                if b" 200 " not in (line := stream.readline()):
                    return failures.append(line)
                length = 0
                while (field := stream.readline().strip().lower()):
                    if field.startswith(b"content-length:"):
                        length = int(field.split(b":")[1])
                stream.read(length)

    threads = [threading.Thread(target=run) for _ in range(8)]
    with mesh.probe() as probe:
        for thread in threads:
            thread.start()
        seen = len(probe.times)
        wait_for(lambda: len(probe.times) >= seen + 40, "the probe gets on", 30)
        assert ready(mesh)
        end.set()
        for thread in threads:
            thread.join(20)
    assert not failures, failures


def control(mesh):
    connection = socket.socket(socket.AF_UNIX)
    # Blocking: a full backlog makes the caller wait.
    connection.connect(str(mesh.one.run_dir / "ztund.sock"))
    connection.settimeout(10)
    return connection


def post(path, body, method=b"POST"):
    return method + b" " + path + b" HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body


BODIES = {
    "nothing": b"", "noise": bytes(range(256)) * 100, "not-utf8": b'{"namespace": "\xff\xfe"}',
    "deep-lists": b"[" * DEEP, "deep-objects": b'{"a":' * (DEEP // 5), "deep-and-closed": b"[" * DEEP + b"]" * DEEP,
    "long-number": b"9" * 1_000_000, "long-text": b'{"namespace": "' + b"a" * 2_000_000 + b'", "name": "b"}',
    "surrogates": b'{"namespace": "\\ud800", "name": "\\udfff"}',
    "path-of-another": b'{"namespace": "..", "name": "/etc/passwd", "netns": "/proc/1/ns/net"}',
    "same-key-often": b"{" + b'"namespace": "a",' * 100_000 + b'"name": "b"}',
    "too-much": b"a" * (3 << 20),
    "yaml-bomb": b"a: &a [x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (letter, letter, b",".join([b"*%c" % (letter - 1)] * 8)) for letter in range(ord("b"), ord("k"))),
}


@pytest.mark.parametrize("name", BODIES)
def test_row_96_bodies_at_the_control_socket(harmless, name):
    """Only root gets there, and still nothing ends the process: each is answered, with 4xx where it is a request of ours."""
    mesh = harmless
    for path, method in ((b"/pods", b"POST"), (b"/pods", b"DELETE"), (b"/why", b"POST"), (b"/status", b"POST")):
        with control(mesh) as connection:
            got = ask(connection, post(path, BODIES[name], method))
            assert got.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")) or got == b"" and name == "too-much", (path, got[:300])
    assert mesh.one.ztun("status").returncode == 0


def test_row_96_many_and_slow_at_the_control_socket(harmless):
    """Five hundred that say half a request: the newest is served, and their room comes back."""
    mesh = harmless
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(control(mesh)).sendall(b"POST /pods HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        assert mesh.one.ztun("status").returncode == 0
        assert json.loads(mesh.one.ztun("status", "-o", "json").stdout)["pods"]


def test_row_96_the_waypoint_s_ports_too(mesh):
    """The same server, in the other program."""
    daemon = mesh.start_waypoint(mesh.world.waypoint, "routes: []\n")
    try:
        standing = Standing(daemon)
        for name, request in REQUESTS.items():
            for port in (15000, 15020, 15021):
                with netns.inside(daemon.namespace):
                    connection = socket.create_connection(("127.0.0.1", port), 10)
                with connection:
                    ask(connection, request)
            assert daemon.get(15021, "/healthz/ready")[0] == 200, name
        standing.back()
    finally:
        daemon.stop()
