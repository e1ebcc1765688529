"""Rows 3 to 19, 22, 25 and 26 of the acceptance catalogue: a verified peer that misbehaves loses its own connection, and
nobody else notices. Each at the node's tunnel port and at a waypoint's, with the standard expectation: the process lives, a
program in a pod notices nothing, memory and descriptors come back, and the cause is told without filling the log."""
import contextlib
import os
import ssl
import time

import pytest

from support.h2raw import (
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PREFACE, PRIORITY, SETTINGS,
    data, frame, number, ping, rst, settings, window_update,
)
from support.standing import Standing, processor_seconds
from support.waiting import wait_for

pytestmark = pytest.mark.root

COUNT = 20_000
# Requests that are taken before the connection ends, one line each; the attacker's socket buffers hold thousands more.
TAKEN = 1100


@pytest.fixture(params=["node", "waypoint"])
def target(request, hostile):
    return hostile.targets[request.param]


class Attack:
    """One connection of an attacker; `open` and the like give bytes."""

    def __init__(self, hostile, target, **more):
        self.client = hostile.raw(target, **more)
        self.fields = [(":method", "CONNECT"), (":authority", target.authority)]

    def open(self, stream, *extra, flags=END_HEADERS, fields=None):
        return self.client.headers(stream, [*(fields or self.fields), *extra], flags)

    def flood(self, pieces, read=True, seconds=60):
        """Sends until the other side ends the connection; how many pieces it sent, None when all were taken."""
        deadline = time.monotonic() + seconds
        batch, sent = b"", 0
        for piece in pieces:
            batch += piece
            sent += 1
            if len(batch) > 16_000:
                if not self.client.send(batch) or read and not self.client.poll():
                    return sent
                batch = b""
                assert time.monotonic() < deadline, "the flood is too slow to say anything"
        return sent if not self.client.send(batch) or self.client.until_end(3) else None


@contextlib.contextmanager
def standard_expectation(hostile, target, lines=300, probe=True):
    """[S] of the catalogue, around whatever the block does."""
    daemon = hostile.daemon(target)
    # What the first peers of a connection cost the process once is not what an attack costs.
    with hostile.client(target) as first:
        assert first.connect(target.authority)[0] == 200
    standing = Standing(daemon)
    before = len(daemon.text().splitlines())
    with hostile.probe() if probe else contextlib.nullcontext(), hostile.client(target) as neighbour:
        status, kept, _ = neighbour.connect(target.authority)
        assert status == 200
        yield daemon
        # The tunnel beside it lives, and a new one opens.
        neighbour.send(kept, target.hello)
        assert target.is_answer(neighbour.receive(kept, len(target.hello)))
        assert neighbour.connect(target.authority)[0] == 200
    assert len(daemon.text().splitlines()) - before < lines
    standing.back(spare=6)


def test_row_03_rapid_reset(hostile, target):
    """CVE-2023-44487, from several connections at once."""
    def stream_and_reset(attack):
        for index in range(COUNT):
            stream = 2 * index + 1
            yield attack.open(stream) + rst(stream)

    with standard_expectation(hostile, target, lines=5 * TAKEN) as daemon:
        for _ in range(5):
            attack = Attack(hostile, target)
            with attack.client:
                assert attack.flood(stream_and_reset(attack)) is not None
        assert daemon.descriptors() < 400


@pytest.mark.parametrize("code", [0, 1, 7, 8])
def test_row_03_rapid_reset_by_every_code(hostile, target, code):
    """The code that a peer gives is its own choice and saves it nothing."""
    with standard_expectation(hostile, target, lines=TAKEN, probe=False):
        attack = Attack(hostile, target)
        with attack.client:
            assert attack.flood(attack.open(2 * index + 1) + rst(2 * index + 1, code) for index in range(COUNT)) is not None


def test_row_03_rapid_reset_of_what_is_refused(hostile, target):
    """Requests that are refused at once cost their record: resetting them before the answer is sent counts too."""
    fields = [(":method", "CONNECT"), (":authority", "127.0.0.1:15000")]
    with standard_expectation(hostile, target, lines=TAKEN, probe=False):
        attack = Attack(hostile, target)
        with attack.client:
            assert attack.flood(
                attack.open(2 * index + 1, fields=fields) + rst(2 * index + 1) for index in range(COUNT)) is not None


def test_row_04_continuation_flood(hostile, target):
    """CVE-2024-27316, CVE-2024-28182, CVE-2024-30255."""
    def pieces(attack):
        yield attack.open(1, flags=0)
        for _ in range(COUNT):
            yield frame(CONTINUATION, 0, 1, attack.client.encoder.encode([("x-a", "b" * 50)]))

    with standard_expectation(hostile, target):
        attack = Attack(hostile, target)
        with attack.client:
            assert attack.flood(pieces(attack)) is not None


def bomb(attack, name):
    """One field in the table, then named by one byte thousands of times."""
    base = attack.client.encoder.encode(attack.fields)
    literal = b"\x40" + bytes([len(name)]) + name + b"\x01x"
    for index in range(300):
        first = literal if index == 0 else b""
        yield frame(HEADERS, END_HEADERS, 2 * index + 1, base + first + b"\xbe" * 16_000)


@pytest.mark.parametrize("row, name", [("05", b"a"), ("06", b"cookie")])
def test_row_05_and_06_header_and_cookie_bomb(hostile, target, row, name):
    with standard_expectation(hostile, target, probe=row == "05") as daemon:
        before = daemon.memory_kib()
        for _ in range(5):
            attack = Attack(hostile, target)
            with attack.client:
                assert attack.flood(bomb(attack, name)) is not None
        assert daemon.memory_kib() - before < 5 * 1024


@pytest.mark.parametrize("count", [63, 65])
def test_row_05_the_sixty_fifth_field(hostile, target, count):
    with hostile.raw(target) as client:
        fields = [(":method", "CONNECT"), (":authority", target.authority), *[(f"x-{i}", "y") for i in range(count - 1)]]
        client.send(client.headers(1, fields))
        alive = client.round_trip() and client.round_trip()
        assert alive, "one is not the end of the connection"
        assert bool(client.resets(1)) == (len(fields) > 64)


def test_row_05_a_block_of_frames_at_their_largest(hostile, target):
    """A mebibyte of one-byte fields would be a million lookups: the connection ends before they are made."""
    with standard_expectation(hostile, target, probe=False) as daemon:
        used = processor_seconds(daemon.pid)
        for _ in range(10):
            attack = Attack(hostile, target)
            with attack.client:
                assert attack.client.wait(SETTINGS) is not None and attack.client.round_trip()
                attack.client.send(frame(HEADERS, END_HEADERS, 1, b"\x82" * 1_000_000))
                assert attack.client.until_end()
        assert processor_seconds(daemon.pid) - used < 3


def post(*more):
    return [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "a"), *more]


def provoke_overflow(attack, stream):
    return attack.open(stream) + window_update(stream, 2**31 - 1)


def provoke_overflow_of_a_post(attack, stream):
    return attack.open(stream, fields=post()) + window_update(stream, 2**31 - 1)


def provoke_length(attack, stream):
    return attack.open(stream, fields=post(("content-length", "5"))) + data(stream, b"x", end=True)


def provoke_header(attack, stream):
    return attack.open(stream, ("connection", "close"))


def provoke_trailers(attack, stream):
    return attack.open(stream, fields=post()) + attack.client.headers(stream, [("x", "y")], END_HEADERS)


def provoke_zero(attack, stream):
    return attack.open(stream) + window_update(stream, 0)


def provoke_data_after_end(attack, stream):
    return attack.open(stream, flags=END_HEADERS | END_STREAM) + data(stream, b"x")


def provoke_self_priority(attack, stream):
    return attack.open(stream) + frame(PRIORITY, 0, stream, number(stream) + b"\x10")


PROVOCATIONS = {
    "07-window-overflow": provoke_overflow, "07-window-overflow-of-a-post": provoke_overflow_of_a_post,
    "08-content-length": provoke_length, "09-forbidden-header": provoke_header, "09-trailers": provoke_trailers,
    "10-zero-update": provoke_zero, "10-data-after-end": provoke_data_after_end, "10-self-priority": provoke_self_priority,
}


@pytest.mark.parametrize("row", PROVOCATIONS)
def test_row_07_to_10_made_you_reset(hostile, target, row):
    """CVE-2025-8671: errors of the peer that make us reset its streams, each of them in a read of its own."""
    with standard_expectation(hostile, target, probe=row.startswith("07-window-overflow")):
        attack = Attack(hostile, target)
        with attack.client as client:
            streams = 0
            while streams < 2000 and client.send(PROVOCATIONS[row](attack, 2 * streams + 1)):
                streams += 1
                # The answer is there before the next one: nothing is left to chance by what a read holds.
                if not client.round_trip():
                    break
            assert streams <= 150, f"{streams} streams were reset"


def settings_flood(_):
    return settings((4, 65535))


def setting_nothing(_):
    return settings()


def pings(index):
    return ping(number(index, 8))


def empty_data(_):
    return data(1)


def padded_empty_data(_):
    return frame(DATA, PADDED, 1, b"\x08" + bytes(8))


def priority(_):
    return frame(PRIORITY, 0, 1, b"\0\0\0\0\x07")


def random_priority(index):
    return frame(PRIORITY, 0, 2 * (index % 5000) + 1, number(2 * (index * 7919 % 5000) + 2) + bytes([index % 256]))


def window_updates(_):
    return window_update(1, 1)


def window_updates_of_the_connection(_):
    return window_update(0, 1)


def unknown_frames(_):
    return frame(0xBB, 0, 0, b"x" * 64)


def goaways(_):
    return frame(GOAWAY, 0, 0, bytes(8))


FLOODS = {
    "11-settings": settings_flood, "11-empty-settings": setting_nothing, "12-ping": pings, "13-empty-data": empty_data,
    "13-padded-empty-data": padded_empty_data, "14-priority": priority, "14-random-priority": random_priority,
    "15-window-update": window_updates, "15-window-update-connection": window_updates_of_the_connection,
    "15-unknown": unknown_frames, "15-goaway": goaways,
}


@pytest.mark.parametrize("row", FLOODS)
def test_row_11_to_15_flood(hostile, target, row):
    """CVE-2019-9512, 9513, 9515, 9518 and their kin."""
    with standard_expectation(hostile, target, probe=row == "12-ping") as daemon:
        used, cause = processor_seconds(daemon.pid), len(daemon.lines("peer_misbehaved"))
        attack = Attack(hostile, target)
        with attack.client as client:
            client.send(attack.open(1))
            assert client.status(1) == 200
            assert attack.flood(FLOODS[row](index) for index in range(COUNT)) is not None, "it was taken to its end"
        assert processor_seconds(daemon.pid) - used < 5
        # Every second at most one line; the tests run faster than that.
        wait_for(lambda: daemon.lines("peer_misbehaved"), "the cause is told")
        assert len(daemon.lines("peer_misbehaved")) - cause <= 4


@pytest.mark.parametrize("row", ["11-settings", "12-ping"])
def test_row_11_and_12_flood_without_reading(hostile, target, row):
    with standard_expectation(hostile, target):
        attack = Attack(hostile, target)
        with attack.client:
            assert attack.flood((FLOODS[row](index) for index in range(10 * COUNT)), read=False) is not None


def test_row_16_zero_window(hostile, target):
    """CVE-2019-9517: a hundred tunnels whose answers nobody takes. What waits is bounded, and the rest goes on."""
    with standard_expectation(hostile, target, lines=3000) as daemon:
        before = daemon.memory_kib()
        attack = Attack(hostile, target, preface=PREFACE + settings((4, 0)))
        with attack.client as client:
            for index in range(100):
                client.send(attack.open(2 * index + 1))
            for index in range(100):
                assert client.status(2 * index + 1) == 200
            for _ in range(16):
                for index in range(100):
                    client.send(data(2 * index + 1, target.hello if target.name == "waypoint" else b"x" * 4096))
                assert client.round_trip()
            assert daemon.memory_kib() - before < 32 * 1024
            assert not [entry for entry in client.frames if entry[0] == DATA]


def test_row_17_data_dribble(hostile, target):
    """CVE-2019-9511: the window opened byte by byte gets its bytes, and costs what its frames cost."""
    with standard_expectation(hostile, target) as daemon:
        attack = Attack(hostile, target, preface=PREFACE + settings((4, 0)))
        with attack.client as client:
            client.send(attack.open(1))
            assert client.status(1) == 200
            client.send(data(1, target.hello))
            used = processor_seconds(daemon.pid)
            got = b""
            for _ in range(min(20, len(target.hello))):
                client.send(window_update(1, 1))
                got += client.wait(DATA, 1)[1]
            assert len(got) == min(20, len(target.hello))
            assert processor_seconds(daemon.pid) - used < 2


def test_row_18_window_flips(hostile, target):
    """INITIAL_WINDOW_SIZE between its ends with a hundred streams open."""
    with standard_expectation(hostile, target):
        attack = Attack(hostile, target)
        with attack.client as client:
            for index in range(100):
                client.send(attack.open(2 * index + 1))
            for index in range(100):
                assert client.status(2 * index + 1) == 200
            sent = attack.flood(settings((4, 0 if index % 2 else 2**31 - 1)) for index in range(1000))
            assert sent is not None


def test_row_19_header_table_size(hostile, target):
    """HEADER_TABLE_SIZE of 4 GiB and then small: our encoder keeps to 4 KiB, and its blocks stay readable."""
    with hostile.raw(target, preface=PREFACE + settings((1, 2**32 - 1))) as client:
        attack = Attack.__new__(Attack)
        attack.client, attack.fields = client, [(":method", "CONNECT"), (":authority", target.authority)]
        decoder = client.decoder
        for index, size in enumerate([2**32 - 1, 0, 2**32 - 1, 16, 4096, 2**31]):
            client.send(settings((1, size)))
            assert client.wait(SETTINGS, 0, lambda flags, payload: flags & 1) is not None
            decoder.max_allowed_table_size = size
            client.send(attack.open(2 * index + 1))
            assert client.status(2 * index + 1) == 200
            assert decoder.header_table_size <= 4096


@pytest.mark.parametrize("inside", [True, False], ids=["inside-tls", "without-tls"])
@pytest.mark.parametrize("kind", ["http", "record", "random"])
def test_row_22_no_preface(hostile, target, kind, inside):
    """Closed, without an answer to the bytes, and told once."""
    garbage = {
        "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "record": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600),
        "random": b"\xee" + os.urandom(4000),
    }[kind]
    with standard_expectation(hostile, target, probe=False):
        raw = hostile.world.outsider.connect(target.pod.ipv4, 15008)
        raw.settimeout(15)
        connection = hostile.context().wrap_socket(raw) if inside else raw
        with connection:
            connection.sendall(garbage)
            got = b""
            with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                while part := connection.recv(65536):
                    got += part
            # Inside TLS the server's own SETTINGS and its GOAWAY may come, outside an alert; nothing else.
            assert b"HTTP/1" not in got and len(got) < 200


def test_row_25_stream_numbers_run_out(hostile, target):
    """A client that begins at the end of its numbers: served, and nothing overflows."""
    last = 2**31 - 1
    with standard_expectation(hostile, target, probe=False):
        attack = Attack(hostile, target)
        with attack.client as client:
            for stream in (last - 4, last - 2, last):
                client.send(attack.open(stream))
                assert client.status(stream) == 200
            client.send(data(last, target.hello))
            assert target.is_answer(client.body(last, len(target.hello)))
            # There is no higher one; a lower one was passed over.
            client.send(attack.open(1))
            assert client.until_end()


@pytest.mark.parametrize("seconds", [10, pytest.param(600, marks=pytest.mark.slow)])
def test_row_26_churn(hostile, seconds):
    """A thousand tunnels on ten connections, and streams that come and go beside them."""
    target = hostile.targets["node"]
    with standard_expectation(hostile, target, lines=2_000_000), contextlib.ExitStack() as stack:
        peers = [stack.enter_context(hostile.client(target)) for _ in range(10)]
        kept = [(peer, peer.connect(target.authority)) for peer in peers for _ in range(90)]
        assert all(answer[0] == 200 for _, answer in kept)
        deadline = time.monotonic() + seconds
        opened = 0
        while time.monotonic() < deadline:
            peer = peers[opened % 10]
            status, stream, _ = peer.connect(target.authority)
            assert status == 200
            peer.send(stream, target.hello, end=True)
            assert peer.receive(stream, len(target.hello)) == target.hello
            opened += 1
        for peer, (_, stream, _) in kept[::50]:
            peer.send(stream, target.hello)
            assert peer.receive(stream, len(target.hello)) == target.hello
        assert opened > 10 * seconds / 10


def test_a_little_of_everything_is_no_attack(hostile, target):
    """The control of the tests above: the same tool with a busy but decent peer keeps its connection."""
    attack = Attack(hostile, target)
    with attack.client as client:
        client.send(attack.open(1))
        for index in range(20):
            client.send(ping(number(index, 8)), window_update(1, 1000), settings((4, 65535 + index)))
        for stream in range(3, 43, 2):
            client.send(attack.open(stream))
        client.send(frame(0xBB, 0, 0, b"x"), frame(PRIORITY, 0, 1, b"\0\0\0\0\x07"))
        for stream in range(1, 43, 2):
            assert client.status(stream) == 200
        for stream in range(3, 33, 2):
            client.send(rst(stream))
        assert client.round_trip()
        client.send(data(41, target.hello))
        assert target.is_answer(client.body(41, len(target.hello)))


def test_application_resets_are_no_attack(hostile, target):
    """A stream that was answered may be reset at any pace: one such application must not cost others their tunnel."""
    attack = Attack(hostile, target)
    with attack.client as client:
        client.send(attack.open(1))
        assert client.status(1) == 200
        for index in range(1, 400):
            client.send(attack.open(2 * index + 1))
            assert client.status(2 * index + 1) == 200
            client.send(rst(2 * index + 1, CANCEL))
        client.send(data(1, target.hello))
        assert target.is_answer(client.body(1, len(target.hello)))
