"""A peer that is slow on purpose, in every phase from TCP to the request, at the node's and at the waypoint's tunnel port.

All of them at once and several of each: every one is let go at its deadline (ten seconds for a step; what it drips in between
gains it nothing), and a program in a pod notices nothing."""
import contextlib
import ssl
import time

import pytest

from support.h2raw import CONTINUATION, DATA, END_HEADERS, HEADERS, PREFACE, RawClient, data, frame, ping, settings
from support.standing import Standing
from support.waiting import wait_for

pytestmark = pytest.mark.root

EACH = 5


def drip(text):
    """One byte of it at each beat, then nothing."""
    yield from (text[index : index + 1] for index in range(len(text)))


def endless(begin, piece):
    yield begin
    while True:
        yield piece


def begin(client, flags, count=10_000):
    """A header block that is not all there: as many bytes are announced as `count`."""
    block = client.encoder.encode([(":method", "CONNECT"), (":authority", "10.0.0.1:1")])
    return frame(HEADERS, flags, 1, block, length=count)


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600)
# Before TLS: what a stranger sends. After it: what a verified peer does; `client` encodes.
STRANGERS = {
    "silent": lambda: iter(()), "a-record-header-byte-by-byte": lambda: drip(HELLO[:5]),
    "a-hello-byte-by-byte": lambda: drip(HELLO[:400]), "half-a-hello": lambda: iter([HELLO[:200]]),
}
PEERS = {
    "no-preface": lambda client: iter(()),
    "a-preface-byte-by-byte": lambda client: drip(PREFACE),
    "a-preface-and-no-settings": lambda client: iter([PREFACE]),
    "settings-byte-by-byte": lambda client: drip(PREFACE + settings(*[(4, 65535)] * 6)),
    "half-a-settings-frame": lambda client: iter([PREFACE + settings((4, 65535))[:10]]),
    "a-block-byte-by-byte": lambda client: endless(PREFACE + settings() + begin(client, END_HEADERS), b"\x82"),
    "a-block-without-end": lambda client: iter([PREFACE + settings() + client.headers(1, [(":method", "CONNECT")], 0)]),
    "continuations-of-nothing": lambda client: endless(
        PREFACE + settings() + client.headers(1, [(":method", "CONNECT")], 0), frame(CONTINUATION, 0, 1)),
    "half-a-continuation": lambda client: iter(
        [PREFACE + settings() + client.headers(1, [(":method", "CONNECT")], 0) + frame(CONTINUATION, END_HEADERS, 1, b"", length=50)]),
}


class Slow:
    """One slow connection: what it will send, and when the other side ended it."""

    def __init__(self, name, connection, pieces):
        self.name, self.connection, self.pieces, self.begun, self.lasted = name, connection, pieces, time.monotonic(), None
        connection.setblocking(False)

    def beat(self):
        try:
            if piece := next(self.pieces, b""):
                self.connection.send(piece)
            while self.connection.recv(65536):
                pass
            raise ConnectionError("the end")
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except (OSError, ssl.SSLError):
            self.lasted = time.monotonic() - self.begun
            self.connection.close()


@pytest.mark.parametrize("name", ["node", pytest.param("waypoint", marks=pytest.mark.slow)])
def test_row_40_slow_in_every_phase(hostile, name):
    target = hostile.targets[name]
    daemon = hostile.daemon(target)
    with hostile.client(target) as first:
        assert first.connect(target.authority)[0] == 200
    standing = Standing(daemon)
    slow = []
    with hostile.probe(), hostile.client(target) as neighbour, contextlib.ExitStack() as stack:
        status, kept, _ = neighbour.connect(target.authority)
        assert status == 200
        for _ in range(EACH):
            for kind, pieces in STRANGERS.items():
                slow.append(Slow(kind, stack.enter_context(hostile.connect(target)), pieces()))
            for kind, pieces in PEERS.items():
                client = stack.enter_context(hostile.raw(target, preface=None))
                slow.append(Slow(kind, client.socket, pieces(client)))

        def all_have_ended():
            for one in slow:
                if one.lasted is None:
                    one.beat()
            return all(one.lasted is not None for one in slow)

        wait_for(all_have_ended, "each is let go", 60, 0.5)
        neighbour.send(kept, target.hello)
        assert target.is_answer(neighbour.receive(kept, len(target.hello)))
        assert neighbour.connect(target.authority)[0] == 200
    early = {one.name for one in slow if one.lasted < 5}
    # Nobody honest sends empty CONTINUATIONs; eight of them are enough.
    assert early <= {"continuations-of-nothing"}, early
    standing.back(spare=6)


@pytest.mark.slow
def test_row_40_a_frame_that_never_ends_is_a_dead_peer(hostile):
    """DATA of a megabyte, a byte at a time: no PING can be answered in the middle of it, and that ends the connection."""
    target = hostile.targets["node"]
    with hostile.raw(target) as client:
        client.send(client.headers(1, [(":method", "CONNECT"), (":authority", target.authority)]))
        assert client.status(1) == 200
        client.send(frame(DATA, 0, 1, b"", length=1_000_000))
        slow = Slow("data", client.socket, endless(b"x", b"x"))

        def has_ended():
            slow.beat()
            return slow.lasted is not None

        wait_for(has_ended, "it is let go", 60, 0.5)
    assert slow.lasted > 15


def test_row_17_windows_of_one_byte(hostile):
    """A peer that lets every stream have one byte at a time: each gets its bytes, the tunnel beside it is as fast as ever."""
    target = hostile.targets["node"]
    with hostile.client(target) as neighbour, RawClient(
            hostile.connect(target), hostile.context(), preface=PREFACE + settings((4, 1))) as client:
        status, kept, _ = neighbour.connect(target.authority)
        assert status == 200
        streams = [2 * index + 1 for index in range(50)]
        for stream in streams:
            client.send(client.headers(stream, [(":method", "CONNECT"), (":authority", target.authority)]))
            assert client.status(stream) == 200
            client.send(data(stream, b"hello"))
        for stream in streams:
            assert client.body(stream, 1) == b"h"
        neighbour.send(kept, b"z" * 100_000)
        assert neighbour.receive(kept, 100_000) == b"z" * 100_000
        client.send(settings((4, 65535)), ping())
        for stream in streams:
            assert client.body(stream, 4) == b"ello"
