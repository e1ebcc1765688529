"""A verified peer that misbehaves on its own connection: it loses that connection, and nobody else notices."""
import contextlib
import ssl
import time

import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame, DataFrame, ExtensionFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame,
)

from support.hbone import Client, client_context
from support.waiting import wait_for

pytestmark = pytest.mark.root

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
COUNT = 20_000


@pytest.fixture(scope="module")
def daemon(mesh):
    daemon = mesh.start_ztund(mesh.second, [mesh.world.server])
    yield daemon
    daemon.stop()


class Attacker:
    """Raw frames over mutual TLS."""

    def __init__(self, mesh):
        raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
        raw.settimeout(5)
        self.socket = client_context(mesh.authority, *mesh.leaves["client"]).wrap_socket(raw)
        self.encoder = hpack.Encoder()
        self.fields = [(":method", "CONNECT"), (":authority", f"{mesh.world.server.ipv4}:7000")]
        self.socket.sendall(PREFACE + SettingsFrame(0).serialize())

    def open(self, stream, end=False, extra=(), finished=True):
        frame = HeadersFrame(stream)
        frame.data = self.encoder.encode([*self.fields, *extra])
        if finished:
            frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame.serialize()

    def flood(self, pieces, seconds=20):
        """Sends until the other side ends the connection; False when it took everything."""
        deadline = time.monotonic() + seconds
        self.socket.settimeout(5)
        try:
            batch = b""
            for piece in pieces:
                batch += piece
                if len(batch) > 16_000:
                    self.socket.sendall(batch)
                    batch = b""
                    self._drain()
                    assert time.monotonic() < deadline, "the flood is too slow to say anything"
            self.socket.sendall(batch)
            # An end that is on its way shows within a moment.
            self.socket.settimeout(2)
            while self.socket.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except (OSError, ssl.SSLError):
            return True

    def _drain(self):
        self.socket.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            while True:
                if not self.socket.recv(65536):
                    raise ConnectionResetError
        self.socket.settimeout(5)


def data(stream, payload=b""):
    frame = DataFrame(stream)
    frame.data = payload
    return frame.serialize()


def settings():
    frame = SettingsFrame(0)
    frame.settings = {SettingsFrame.INITIAL_WINDOW_SIZE: 65535}
    return frame.serialize()


def rapid_reset(attacker):
    for number in range(COUNT):
        stream = 2 * number + 1
        yield attacker.open(stream) + RstStreamFrame(stream, error_code=8).serialize()


def empty_data(attacker):
    yield attacker.open(1)
    for _ in range(COUNT):
        yield data(1)


def priority(attacker):
    yield attacker.open(1)
    for _ in range(COUNT):
        yield PriorityFrame(1, depends_on=0, stream_weight=7).serialize()


def pings(attacker):
    for number in range(COUNT):
        yield PingFrame(0, opaque_data=number.to_bytes(8, "big")).serialize()


def settings_flood(attacker):
    for _ in range(COUNT):
        yield settings()


def window_updates(attacker):
    yield attacker.open(1)
    for _ in range(COUNT):
        yield WindowUpdateFrame(1, window_increment=1).serialize()


def unknown_frames(attacker):
    for _ in range(COUNT):
        yield ExtensionFrame(type=0xBB, stream_id=0, flag_byte=0, body=b"x" * 8).serialize()


def continuations(attacker):
    yield attacker.open(1, finished=False)
    for _ in range(COUNT):
        frame = ContinuationFrame(1)
        frame.data = attacker.encoder.encode([("x-a", "b" * 50)])
        yield frame.serialize()


def header_bomb(attacker):
    """One field of 4 KiB in the table, then named thousands of times by one byte each."""
    attacker.encoder.header_table_size = 65536
    yield attacker.open(1, extra=[("x-bomb", "b" * 3900)])
    for stream in range(3, 43, 2):
        frame = HeadersFrame(stream)
        frame.data = attacker.encoder.encode(attacker.fields) + b"\xbe" * 16_000
        frame.flags.add("END_HEADERS")
        yield frame.serialize()


def provoked_resets(attacker):
    """Streams that our side has to reset: a window that overflows on each."""
    for number in range(COUNT // 4):
        stream = 2 * number + 1
        yield attacker.open(stream) + WindowUpdateFrame(stream, window_increment=2**31 - 1).serialize()


@pytest.mark.parametrize(
    "attack",
    [rapid_reset, empty_data, priority, pings, settings_flood, window_updates, unknown_frames, continuations, header_bomb,
     provoked_resets],
    ids=lambda attack: attack.__name__)
def test_flood(mesh, daemon, attack):
    raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
    with Client(raw, client_context(mesh.authority, *mesh.leaves["client"])) as neighbour:
        status, kept, _ = neighbour.connect(f"{mesh.world.server.ipv4}:7000")
        assert status == 200
        memory, lines = daemon.memory_kib(), len(daemon.text().splitlines())
        attacker = Attacker(mesh)
        ended = attacker.flood(attack(attacker))
        grown = daemon.memory_kib() - memory
        # The neighbour's tunnel lives, and new ones open at once.
        neighbour.send(kept, b"still here")
        assert neighbour.receive(kept, 10) == b"still here"
        begin = time.monotonic()
        assert neighbour.connect(f"{mesh.world.server.ipv4}:7000")[0] == 200
        assert time.monotonic() - begin < 3
    attacker.socket.close()
    assert daemon.alive()
    assert ended, "the flood was taken to its end"
    assert grown < 32_768, f"{grown} KiB more"
    assert len(daemon.text().splitlines()) - lines < 300
    wait_for(lambda: daemon.descriptors() < 100, "its descriptors are given back", 15)


def test_a_little_of_everything_is_no_attack(mesh, daemon):
    """The control of the tests above: the same tool with a busy but decent peer keeps its connection."""
    attacker = Attacker(mesh)

    def decent():
        yield attacker.open(1)
        for number in range(20):
            yield PingFrame(0, opaque_data=number.to_bytes(8, "big")).serialize()
            yield data(1, b"x" * 1000) + WindowUpdateFrame(1, window_increment=1000).serialize()
        for stream in range(3, 43, 2):
            yield attacker.open(stream)
            yield data(stream, b"hello")
        yield ExtensionFrame(type=0xBB, stream_id=0, flag_byte=0, body=b"x").serialize()

    assert not attacker.flood(decent())
    attacker.socket.close()
