"""Rows 23 and 24 of the acceptance catalogue: verified servers that break HTTP/2 or go away, seen by a program in a pod."""
import contextlib
import socket
import time

import hpack
import pytest

from support.gateway import server_context
from support.h2raw import (
    ACK, DATA, END_HEADERS, GOAWAY, HEADERS, PING, PUSH_PROMISE, REFUSED_STREAM, SETTINGS, data, frame, number, ping, rst, settings,
    window_update,
)
from support.netns import receive
from support.servers import Server
from support.waiting import wait_for
from support.world import VIP

pytestmark = pytest.mark.root


class ScriptedServer(Server):
    """HBONE by hand: answers CONNECT with 200 and echoes, until `script(session, stream)` has other ideas.

    The script is asked for every request; what it returns (bytes) is sent instead of the 200.
    """

    def __init__(self, pod, context):
        self.context, self.script, self.sessions, self.wrapped = context, None, 0, []
        self.greeting = settings((3, 100))
        super().__init__(pod, 15008)

    def serve(self, connection, address):
        connection = self.context.wrap_socket(connection, server_side=True)
        self.wrapped.append(connection)
        self.sessions += 1
        session = Session(self.sessions)
        connection.sendall(self.greeting)
        buffer = b""
        while part := connection.recv(65536):
            buffer = (buffer + part)
            if not session.greeted and len(buffer) >= 24:
                buffer, session.greeted = buffer[24:], True
            while session.greeted and len(buffer) >= 9 and len(buffer) >= (size := 9 + int.from_bytes(buffer[:3], "big")):
                kind, flags, stream = buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big")
                payload, buffer = buffer[9:size], buffer[size:]
                connection.sendall(self.answer(session, kind, flags, stream, payload))

    def close(self):
        super().close()
        # Wrapping took the sockets from those that are open.
        for connection in self.wrapped:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def answer(self, session, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            return settings(flags=ACK)
        if kind == PING and not flags & ACK:
            return ping(payload, ACK)
        if kind == HEADERS:
            return (self.script and self.script(session, stream)) or session.accept(stream)
        if kind == DATA and payload:
            return data(stream, payload) + window_update(0, len(payload)) + window_update(stream, len(payload))
        return b""


class Session:
    """One connection of the scripted server, by its number."""

    def __init__(self, number):
        self.number, self.greeted, self.encoder = number, False, hpack.Encoder()

    def accept(self, stream):
        return frame(HEADERS, END_HEADERS, stream, self.encoder.encode([(":status", "200")]))

    def promise(self, stream):
        fields = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "x")]
        return frame(PUSH_PROMISE, END_HEADERS, stream, number(2) + self.encoder.encode(fields))


@pytest.fixture(scope="module")
def one(mesh):
    daemon = mesh.start_ztund(mesh.first, [mesh.world.client])
    yield daemon
    daemon.stop()


@pytest.fixture
def server(mesh, one):
    with ScriptedServer(mesh.world.server, server_context(mesh.authority, *mesh.leaves["server"])) as server:
        server.one = one
        yield server


def exchange(connection, words):
    """Whether the words come back."""
    with contextlib.suppress(OSError):
        connection.sendall(words)
        return receive(connection, len(words)) == words
    return False


def call(mesh):
    """Whether a new connection carries words there and back."""
    with mesh.world.client.connect(mesh.world.server.ipv4, 8080) as connection:
        connection.settimeout(10)
        return exchange(connection, b"hello")


def goaway(last, code=0):
    return frame(GOAWAY, 0, 0, number(last) + number(code))


MISDEEDS = {
    "a-promise": lambda session, stream: session.accept(stream) + session.promise(stream),
    "a-promise-before-the-answer": lambda session, stream: session.promise(stream),
    "an-answer-on-a-stream-of-its-own": lambda session, stream: session.accept(2),
    "an-answer-to-nothing": lambda session, stream: session.accept(stream + 100),
    "data-on-an-idle-stream": lambda session, stream: data(stream + 100, b"x"),
    "data-on-stream-0": lambda session, stream: data(0, b"x"),
    "pushing-enabled": lambda session, stream: settings((2, 1)),
    "a-window-too-large": lambda session, stream: settings((4, 2**31)),
    "an-update-of-0": lambda session, stream: window_update(0, 0),
    "a-frame-too-large": lambda session, stream: frame(DATA, 0, stream, b"", length=2**24 - 1),
    "a-block-that-cannot-be-decoded": lambda session, stream: frame(HEADERS, END_HEADERS, stream, b"\x80"),
    "a-flood-of-pings": lambda session, stream: ping() * 2000,
    "a-flood-of-settings": lambda session, stream: settings((4, 65535)) * 2000,
    "a-flood-of-unknown-frames": lambda session, stream: frame(0xBB) * 2000,
    "a-flood-of-interim-answers": lambda session, stream: b"".join(
        frame(HEADERS, END_HEADERS, stream, session.encoder.encode([(":status", "103")])) for _ in range(20_000)),
    "http1": lambda session, stream: b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_row_23_a_server_that_breaks_http2(mesh, server, misdeed):
    """The tunnel is given up, the caller's connection with it, and the next caller gets another one."""
    server.script = lambda session, stream: MISDEEDS[misdeed](session, stream) if session.number == 1 else None
    with mesh.world.client.connect(mesh.world.server.ipv4, 8080) as connection:
        connection.settimeout(20)
        with contextlib.suppress(OSError):
            connection.sendall(b"hello")
            # It is closed; bytes of ours may have come back before.
            while connection.recv(4096):
                pass
    wait_for(lambda: call(mesh), "the next connection is carried", 15)
    assert server.sessions >= 2 and server.one.alive()
    assert server.one.memory_kib() < 300_000


def goes_on_for(mesh):
    """Seconds until a connection that is never answered ends."""
    begun = time.monotonic()
    with mesh.world.client.connect(mesh.world.server.ipv4, 8080) as connection:
        connection.settimeout(40)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"hello")
            assert connection.recv(10) == b"", "nothing can have come"
    return time.monotonic() - begun


# What the server says first, and what it answers to a CONNECT.
STALLS = {
    "no-settings": (b"", None), "no-streams-allowed": (settings((3, 0)), lambda session, stream: rst(stream, REFUSED_STREAM)),
    "no-answer": (settings((3, 100)), lambda session, stream: ping(b"no reply", ACK)),
    "half-an-answer": (settings((3, 100)), lambda session, stream: frame(HEADERS, 0, stream, session.encoder.encode([(":status", "200")]))),
    "half-a-frame": (settings((3, 100)), lambda session, stream: frame(HEADERS, END_HEADERS, stream, b"", length=100)),
}


@pytest.mark.parametrize(
    "stall", [pytest.param(name, marks=pytest.mark.slow if name.startswith("half") else ()) for name in STALLS])
def test_row_23_a_server_that_stalls(mesh, server, stall):
    """The caller is let go in time, with a reason in the log, and the next is served as soon as the server is well."""
    server.greeting, server.script = STALLS[stall]
    lasted = goes_on_for(mesh)
    assert lasted < 25, f"{lasted:.0f} s"
    server.greeting, server.script = settings((3, 100)), None
    wait_for(lambda: call(mesh), "the next connection is carried", 45)
    assert server.one.alive()


def test_row_24_goaway_in_mid_life(mesh, server):
    """Streams up to the last one go on, the one above it is tried again elsewhere, and so are new ones."""
    server.script = lambda session, stream: goaway(1) if session.number == 1 and stream > 1 else None
    with mesh.world.client.connect(mesh.world.server.ipv4, 8080) as first:
        first.settimeout(10)
        assert exchange(first, b"before")
        with mesh.world.client.connect(VIP, 80) as second:
            second.settimeout(10)
            assert exchange(second, b"above the last stream"), "nothing of it was sent: it can be tried again"
            assert exchange(first, b"below the last stream")
            assert call(mesh)
        assert exchange(first, b"to the end")
    assert server.sessions == 2


def test_row_24_goaway_below_a_stream_in_use(mesh, server):
    """A stream that carried bytes and stands above the last one cannot be repeated: its application is told, with a reset."""
    server.script = lambda session, stream: (
        session.accept(stream) + goaway(1) if session.number == 1 and stream > 1 else None)
    with mesh.world.client.connect(mesh.world.server.ipv4, 8080) as first:
        first.settimeout(10)
        assert exchange(first, b"before")
        assert call(mesh) in (True, False)
        assert exchange(first, b"to the end")
        wait_for(lambda: call(mesh), "new ones go elsewhere", 10)


def test_row_24_goaway_with_an_error(mesh, server):
    """Told what it did wrong, our side opens another tunnel for the next."""
    server.script = lambda session, stream: goaway(0, 11) if session.number == 1 else None
    wait_for(lambda: call(mesh), "the next one is carried", 15)
    assert server.sessions >= 2
