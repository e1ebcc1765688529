"""Rows 1, 2, 20 and 21 of the acceptance catalogue: RFC 9113 and RFC 7541 case by case, at the tunnel port of both programs.

Every case sends frames on a connection of its own and says what must come of it: an error of the connection (GOAWAY with one
of the codes, or a close), an error of the stream (RST_STREAM; one of the connection will do), or nothing at all, the connection
living on. Requests are GETs where the section is about requests in general: they are answered 400 with a text.
"""
import hpack
import pytest

from support.h2raw import (
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR, GOAWAY, HAS_PRIORITY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE,
    REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, RawClient, data, frame, number, ping, rst, settings,
    window_update,
)
from support.hbone import client_context

pytestmark = pytest.mark.root

BOTH = END_HEADERS | END_STREAM
TEXT = b"This is an HBONE port"


@pytest.fixture(scope="module", params=["node", "waypoint"])
def target(request, hostile):
    """(pod, authority that is let in)"""
    return hostile.targets[request.param]


@pytest.fixture
def client(hostile, target):
    with hostile.raw(target) as client:
        yield client


def get(*more, without=(), **changed):
    fields = {":method": "GET", ":scheme": "https", ":path": "/", ":authority": "example.com", **changed}
    return [(name, value) for name, value in fields.items() if name not in without] + list(more)


def post(*more):
    return get(*more, **{":method": "POST"})


def after(*pieces):
    """Bytes that a case sends, made once the connection is there: `c` encodes header blocks."""
    return lambda c: b"".join(piece(c) if callable(piece) else piece for piece in pieces)


def head(stream, fields, flags=BOTH):
    return lambda c: c.headers(stream, fields, flags)


def block(stream, payload, flags=BOTH):
    return frame(HEADERS, flags, stream, payload)


def padded(kind, stream, payload, pad, flags=0):
    return frame(kind, flags | PADDED, stream, bytes([pad]) + payload)


def split(stream, fields, *between):
    """A header block in two frames with something between them."""
    def make(c):
        encoded = c.encoder.encode(fields)
        return (frame(HEADERS, END_STREAM, stream, encoded[:5]) + b"".join(between)
                + frame(CONTINUATION, END_HEADERS, stream, encoded[5:]))
    return make


def fields_of(c, fields):
    return c.encoder.encode(fields)


# Case: what is sent, and the codes of the connection error it must cause.
CONNECTION = {
    "4.1 a frame with a length that lies": (after(frame(PING, 0, 0, b"1234", length=8), ping()), None),
    "4.2 DATA beyond the frame size": (after(head(1, post(), END_HEADERS), frame(DATA, 0, 1, b"", length=2**24 - 1)),
                                       {FRAME_SIZE_ERROR}),
    "4.2 HEADERS beyond the frame size": (after(frame(HEADERS, BOTH, 1, b"", length=2**24 - 1)), {FRAME_SIZE_ERROR}),
    "4.3 a block that cannot be decoded": (after(block(1, b"\x82\x87\x84\xff\xff\xff\xff\xff\xff\xff\xff")), {COMPRESSION_ERROR}),
    "4.3 PRIORITY inside a block": (after(split(1, get(), frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"))), {PROTOCOL_ERROR}),
    "4.3 HEADERS of another stream inside a block": (after(split(1, get(), block(3, b"\x82"))), {PROTOCOL_ERROR}),
    "5.1 idle: DATA": (after(data(1, b"test")), {PROTOCOL_ERROR, STREAM_CLOSED}),
    "5.1 idle: RST_STREAM": (after(rst(1)), {PROTOCOL_ERROR}),
    "5.1 idle: WINDOW_UPDATE": (after(window_update(1, 100)), {PROTOCOL_ERROR}),
    "5.1 idle: CONTINUATION": (after(frame(CONTINUATION, END_HEADERS, 1, b"\x82")), {PROTOCOL_ERROR}),
    "5.1 half closed: DATA": (after(head(1, get()), data(1, b"test")), {STREAM_CLOSED}),
    "5.1 half closed: HEADERS": (after(head(1, get()), head(1, get())), {STREAM_CLOSED, PROTOCOL_ERROR}),
    "5.1 half closed: CONTINUATION": (after(head(1, get()), frame(CONTINUATION, END_HEADERS, 1, b"\x82")),
                                      {STREAM_CLOSED, PROTOCOL_ERROR}),
    "5.1 closed by RST_STREAM: DATA": (after(head(1, post(), END_HEADERS), rst(1), data(1, b"test")), {STREAM_CLOSED}),
    "5.1 closed by RST_STREAM: HEADERS": (after(head(1, post(), END_HEADERS), rst(1), head(1, get())), {STREAM_CLOSED}),
    "5.1 closed by RST_STREAM: CONTINUATION": (
        after(head(1, post(), END_HEADERS), rst(1), frame(CONTINUATION, END_HEADERS, 1, b"\x82")),
        {STREAM_CLOSED, PROTOCOL_ERROR}),
    "5.1.1 an even stream": (after(head(2, get())), {PROTOCOL_ERROR}),
    "5.1.1 a lower stream": (after(head(5, get()), head(3, get())), {PROTOCOL_ERROR}),
    "5.5 an unknown frame inside a block": (after(split(1, get(), frame(0xEE, 0, 1, b"x"))), {PROTOCOL_ERROR}),
    "6.1 DATA on stream 0": (after(data(0, b"test")), {PROTOCOL_ERROR}),
    "6.1 padding longer than the payload": (after(head(1, post(), END_HEADERS), padded(DATA, 1, b"ab", 6)), {PROTOCOL_ERROR}),
    "6.1 padding in an empty frame": (after(head(1, post(), END_HEADERS), frame(DATA, PADDED, 1)),
                                      {PROTOCOL_ERROR, FRAME_SIZE_ERROR}),
    "6.2 HEADERS on stream 0": (after(head(0, get())), {PROTOCOL_ERROR}),
    "6.2 padding longer than the payload": (after(lambda c: padded(HEADERS, 1, fields_of(c, get()), 255, BOTH)), {PROTOCOL_ERROR}),
    "6.2 a priority without its bytes": (after(frame(HEADERS, BOTH | HAS_PRIORITY, 1, b"\0\0")),
                                         {PROTOCOL_ERROR, FRAME_SIZE_ERROR}),
    "6.3 PRIORITY on stream 0": (after(frame(PRIORITY, 0, 0, b"\0\0\0\1\x10")), {PROTOCOL_ERROR}),
    "6.4 RST_STREAM on stream 0": (after(rst(0)), {PROTOCOL_ERROR}),
    "6.4 RST_STREAM of three bytes": (after(head(1, post(), END_HEADERS), frame(RST_STREAM, 0, 1, b"\0\0\0")), {FRAME_SIZE_ERROR}),
    "6.5 SETTINGS ACK with a payload": (after(settings((3, 1), flags=ACK)), {FRAME_SIZE_ERROR}),
    "6.5 SETTINGS on a stream": (after(settings((3, 1), stream=1)), {PROTOCOL_ERROR}),
    "6.5 SETTINGS of three bytes": (after(frame(SETTINGS, 0, 0, b"\0\3\0")), {FRAME_SIZE_ERROR}),
    "6.5.2 ENABLE_PUSH 2": (after(settings((2, 2))), {PROTOCOL_ERROR}),
    "6.5.2 INITIAL_WINDOW_SIZE 2^31": (after(settings((4, 2**31))), {FLOW_CONTROL_ERROR}),
    "6.5.2 MAX_FRAME_SIZE 16383": (after(settings((5, 16383))), {PROTOCOL_ERROR}),
    "6.5.2 MAX_FRAME_SIZE 2^24": (after(settings((5, 2**24))), {PROTOCOL_ERROR}),
    "6.6 PUSH_PROMISE of a client": (
        after(lambda c: frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + fields_of(c, get()))), {PROTOCOL_ERROR}),
    "6.7 PING on a stream": (after(frame(PING, 0, 1, b"12345678")), {PROTOCOL_ERROR}),
    "6.7 PING of six bytes": (after(frame(PING, 0, 0, b"123456")), {FRAME_SIZE_ERROR}),
    "6.8 GOAWAY on a stream": (after(frame(GOAWAY, 0, 1, bytes(8))), {PROTOCOL_ERROR}),
    "6.8 GOAWAY of four bytes": (after(frame(GOAWAY, 0, 0, bytes(4))), {FRAME_SIZE_ERROR}),
    "6.9 WINDOW_UPDATE of 0": (after(window_update(0, 0)), {PROTOCOL_ERROR}),
    "6.9 WINDOW_UPDATE of three bytes": (after(frame(WINDOW_UPDATE, 0, 0, b"\0\0\1")), {FRAME_SIZE_ERROR}),
    "6.9.1 the connection's window overflows": (after(window_update(0, 2**31 - 1), window_update(0, 2**31 - 1)),
                                                {FLOW_CONTROL_ERROR}),
    "6.10 CONTINUATION after the end of a block": (
        after(head(1, get()), frame(CONTINUATION, END_HEADERS, 1, b"\x82")), {PROTOCOL_ERROR, STREAM_CLOSED}),
    "6.10 CONTINUATION on stream 0": (
        after(lambda c: frame(HEADERS, END_STREAM, 1, fields_of(c, get())), frame(CONTINUATION, END_HEADERS, 0)), {PROTOCOL_ERROR}),
    "6.10 CONTINUATION after DATA": (
        after(head(1, post(), END_HEADERS), data(1, b"test"), frame(CONTINUATION, END_HEADERS, 1, b"\x82")), {PROTOCOL_ERROR}),
    "6.10 DATA inside a block": (after(split(1, get(), data(1, b"x"))), {PROTOCOL_ERROR}),
    "8.4 a promise on an idle stream": (after(frame(PUSH_PROMISE, END_HEADERS, 3, number(4) + b"\x82")), {PROTOCOL_ERROR}),
    "7541 2.3.3 an index beyond the tables": (after(block(1, b"\x82\x87\x84\xfe")), {COMPRESSION_ERROR}),
    "7541 4.2 a size update at the end of a block": (
        after(lambda c: block(1, fields_of(c, get()) + b"\x20")), {COMPRESSION_ERROR}),
    "7541 5.1 an integer without end": (after(block(1, b"\xff" * 12)), {COMPRESSION_ERROR}),
    "7541 5.2 Huffman padding of eight bits": (
        after(lambda c: block(1, fields_of(c, get()) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")), {COMPRESSION_ERROR}),
    "7541 5.2 Huffman padding of zeros": (
        after(lambda c: block(1, fields_of(c, get()) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")), {COMPRESSION_ERROR}),
    "7541 5.2 Huffman with EOS": (
        after(lambda c: block(1, fields_of(c, get()) + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")),
        {COMPRESSION_ERROR}),
    "7541 6.1 index 0": (after(block(1, b"\x82\x87\x84\x80")), {COMPRESSION_ERROR}),
    "7541 6.3 a table larger than the setting": (after(lambda c: block(1, b"\x3f\xe2\x1f" + fields_of(c, get()))),
                                                 {COMPRESSION_ERROR}),
    "7541 5.2 a string longer than its block": (after(block(1, b"\x82\x87\x84\x40\x7f\x50a")), {COMPRESSION_ERROR}),
}

# What must end the stream; an end of the connection will do.
STREAM = {
    "5.3.1 HEADERS that depend on themselves": (
        after(lambda c: frame(HEADERS, BOTH | HAS_PRIORITY, 1, number(1) + b"\x10" + fields_of(c, get()))), {PROTOCOL_ERROR}),
    "5.3.1 PRIORITY that depends on itself": (
        after(head(1, post(), END_HEADERS), frame(PRIORITY, 0, 1, number(1) + b"\x10")), {PROTOCOL_ERROR}),
    "6.3 PRIORITY of four bytes": (after(head(1, post(), END_HEADERS), frame(PRIORITY, 0, 1, b"\0\0\0\0")), {FRAME_SIZE_ERROR}),
    "6.9 WINDOW_UPDATE of 0 on a stream": (after(head(1, post(), END_HEADERS), window_update(1, 0)), {PROTOCOL_ERROR}),
    "6.9.1 a stream's window overflows": (
        after(head(1, post(), END_HEADERS), window_update(1, 2**31 - 1), window_update(1, 2**31 - 1)), {FLOW_CONTROL_ERROR}),
    "8.1 trailers without END_STREAM": (
        after(head(1, post(), END_HEADERS), head(1, [("x", "y")], END_HEADERS)), {PROTOCOL_ERROR}),
    "8.1 a pseudo-header in trailers": (
        after(head(1, post(), END_HEADERS), data(1, b"x"), head(1, [(":method", "GET"), ("x", "y")])), {PROTOCOL_ERROR}),
    "8.1.1 content-length and no bytes": (after(head(1, post(("content-length", "1")))), {PROTOCOL_ERROR}),
    "8.1.1 content-length and other bytes": (
        after(head(1, post(("content-length", "1")), END_HEADERS), data(1, b"test", end=True)), {PROTOCOL_ERROR}),
    "8.1.1 content-length and the sum of DATA": (
        after(head(1, post(("content-length", "9")), END_HEADERS), data(1, b"test"), data(1, b"test", end=True)), {PROTOCOL_ERROR}),
    **{f"8.2.1 {name}": (after(head(1, get(field))), {PROTOCOL_ERROR}) for name, field in {
        "an upper-case name": ("X-TEST", "ok"), "a blank in a name": ("x y", "ok"), "an empty name": ("", "ok"),
        "a colon in a name": ("x:y", "ok"), "a line feed in a value": ("x", "a\nb"), "a NUL in a value": ("x", "a\0b"),
        "a carriage return in a value": ("x", "a\rb"), "a byte beyond ASCII in a name": ("x\u00e9", "ok"),
    }.items()},
    **{f"8.2.2 {name}": (after(head(1, get((name, value)))), {PROTOCOL_ERROR}) for name, value in {
        "connection": "keep-alive", "keep-alive": "1", "proxy-connection": "keep-alive", "transfer-encoding": "chunked",
        "upgrade": "h2c", "te": "trailers, deflate",
    }.items()},
    **{f"8.3 {name}": (after(head(1, fields)), {PROTOCOL_ERROR}) for name, fields in {
        "an unknown pseudo-header": get((":test", "ok")), "a pseudo-header of responses": get((":status", "200")),
        "a pseudo-header after a field": [("x", "y"), *get()], "an empty path": get(**{":path": ""}),
        "no method": get(without=[":method"]), "no scheme": get(without=[":scheme"]), "no path": get(without=[":path"]),
        "two methods": get((":method", "GET")), "two schemes": get((":scheme", "https")), "two paths": get((":path", "/")),
        "two authorities": get((":authority", "x")),
    }.items()},
    "8.5 CONNECT with a path": (after(head(1, get(**{":method": "CONNECT"}), END_HEADERS)), {PROTOCOL_ERROR}),
    "8.5 CONNECT without authority": (after(head(1, [(":method", "CONNECT")], END_HEADERS)), {PROTOCOL_ERROR}),
}

# What changes nothing: the connection lives.
NOTHING = {
    "4.1 an unknown type": after(frame(0xF1, 0, 0, b"12345678")),
    "4.1 undefined flags": after(frame(PING, 0xFE, 0, b"12345678")),
    "4.1 the reserved bit": after(ping()[:5] + b"\x80\0\0\0" + b"12345678"),
    "5.1 closed: PRIORITY": after(head(1, get()), frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")),
    "5.1 idle: PRIORITY": after(frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")),
    "5.1 closed: WINDOW_UPDATE": after(head(1, get()), window_update(1, 5)),
    "5.1 closed: RST_STREAM": after(head(1, get()), rst(1), rst(1)),
    "5.1.1 a skipped stream": after(head(1, get()), head(9, get())),
    "6.1 padded DATA": after(head(1, post(), END_HEADERS), padded(DATA, 1, b"ab" + b"\0" * 6, 6, END_STREAM)),
    "6.2 padded HEADERS": after(lambda c: padded(HEADERS, 1, fields_of(c, get()) + b"\0" * 6, 6, BOTH)),
    "6.2 HEADERS with priority": after(
        lambda c: frame(HEADERS, BOTH | HAS_PRIORITY, 1, b"\0\0\0\0\x10" + fields_of(c, get()))),
    "6.5 an unknown setting": after(settings((0xFF, 1))),
    "6.5 no setting": after(settings()),
    "6.7 an answer to no PING": after(ping(b"87654321", ACK)),
    "6.9 a window of the whole range": after(settings((4, 2**31 - 1))),
    "6.10 a block in many pieces": after(lambda c: (lambda e: frame(HEADERS, END_STREAM, 1, e[:1]) + b"".join(
        frame(CONTINUATION, 0, 1, e[i:i + 1]) for i in range(1, 5)) + frame(CONTINUATION, END_HEADERS, 1, e[5:]))(
            fields_of(c, get()))),
    "7 an unknown code in RST_STREAM": after(head(1, post(), END_HEADERS), rst(1, 0xFF)),
    "8.1 a method nobody knows": after(head(1, get(**{":method": "FROBNICATE"}))),
    "8.1 HEAD": after(head(1, get(**{":method": "HEAD"}))),
    "8.1 OPTIONS": after(head(1, get(**{":method": "OPTIONS", ":path": "*"}))),
    "8.1 trailers": after(head(1, post(), END_HEADERS), data(1, b"x"), head(1, [("x", "y")])),
    "8.2.2 te: trailers": after(head(1, get(("te", "trailers")))),
    "7541 6.3 a smaller table": after(lambda c: setattr(c.encoder, "header_table_size", 0) or block(1, fields_of(c, get()))),
}


@pytest.mark.parametrize("case", CONNECTION)
def test_row_01_and_02_connection_error(client, case):
    send, codes = CONNECTION[case]
    client.send(send(client), ping())
    assert client.until_end(), f"the connection lives: {client.frames}"
    if codes is not None and client.goaway() is not None:
        assert client.goaway() in codes


@pytest.mark.parametrize("case", STREAM)
def test_row_01_and_02_stream_error(client, case):
    send, codes = STREAM[case]
    client.send(send(client))
    # Frames of one read are answered in one write, and a PING may go first in it.
    alive = client.round_trip() and client.round_trip()
    if alive:
        assert set(client.resets(1)) & codes, f"the stream lives: {client.frames}"
    else:
        assert client.goaway() is None or client.goaway() in codes


@pytest.mark.parametrize("case", NOTHING)
def test_row_01_and_02_no_error(client, case):
    client.send(NOTHING[case](client))
    assert client.round_trip() and client.round_trip()
    assert client.goaway() is None
    client.send(client.headers(21, get(), BOTH))
    assert client.status(21) == 400


@pytest.mark.parametrize("first", [b"INVALID CONNECTION PREFACE\r\n\r\n", PREFACE + ping(), PREFACE[:-1] + b"X" + settings(),
                                   PREFACE + settings(flags=ACK)])
def test_row_01_and_02_preface(hostile, target, first):
    """RFC 9113 3.4: anything else than the preface and SETTINGS is an error of the connection."""
    with hostile.raw(target, preface=first) as client:
        client.send(ping(), ping())
        assert client.until_end()


def test_row_01_and_02_settings_come_first_and_are_acknowledged(client):
    client.send(settings((3, 100)))
    acknowledged = client.wait(SETTINGS, 0, lambda flags, payload: flags & ACK)
    assert acknowledged == (ACK, b"")
    assert client.wait(SETTINGS, 0, lambda flags, payload: not flags & ACK) is not None


def test_row_01_and_02_ping_is_answered_with_its_payload(client):
    client.send(ping(b"\0\xff\1\xfe\2\xfd\3\xfc"))
    assert client.wait(PING) == (ACK, b"\0\xff\1\xfe\2\xfd\3\xfc")


def test_row_01_and_02_answers_before_and_after_goaway(client):
    """RFC 9113 6.8: a client's GOAWAY ends no stream that is open."""
    client.send(client.headers(1, post(), END_HEADERS), frame(GOAWAY, 0, 0, bytes(8)), data(1, b"", end=True))
    assert client.status(1) == 400


def test_row_01_and_02_an_answer_to_head_has_no_content(client):
    client.send(client.headers(1, get(**{":method": "HEAD"}), BOTH))
    assert client.status(1) == 400
    assert client.wait(DATA, 1) == (END_STREAM, b"")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_row_01_and_02_a_request_that_is_no_connect(client, method):
    """The answer is whole, says what the port is for, and leaves the request the time to end."""
    client.send(client.headers(1, get(**{":method": method}), END_HEADERS), data(1, b"x" * 100))
    assert client.status(1) == 400
    assert client.body(1, 1000).startswith(TEXT)
    client.send(data(1, b"x", end=True))
    assert client.round_trip() and client.round_trip() and client.resets(1) == []


def test_row_01_and_02_more_streams_than_allowed(client):
    """5.1.2: the answers wait for a window, so that the streams stay open."""
    client.send(settings((4, 0)))
    client.send(*(client.headers(stream, get(), BOTH) for stream in range(1, 205, 2)))
    alive = client.round_trip() and client.round_trip()
    resets = [code for stream in range(1, 205, 2) for code in client.resets(stream)]
    assert not alive or REFUSED_STREAM in resets or PROTOCOL_ERROR in resets


def test_row_01_and_02_flow_control_of_a_stream(client):
    """6.9.1 and 6.9.2: a window of one byte, one that grows after HEADERS, one that goes below zero."""
    client.send(settings((4, 1)), client.headers(1, get(), BOTH))
    assert client.status(1) == 400
    assert client.wait(DATA, 1)[1] == TEXT[:1]
    client.send(settings((4, 3)))
    assert client.wait(DATA, 1)[1] == TEXT[1:3]
    client.send(settings((4, 0)), window_update(1, 2))
    assert client.round_trip() and client.round_trip()
    assert not [entry for entry in client.frames if entry[0] == DATA], "the window is below zero"
    client.send(window_update(1, 3))
    assert client.wait(DATA, 1)[1] == TEXT[3:5]
    client.send(settings((4, 65535)))
    assert client.body(1, 1000)[-1:] == b"\n"


def test_row_01_and_02_the_last_of_two_equal_settings_counts(client):
    client.send(settings((4, 100), (4, 1)), client.headers(1, get(), BOTH))
    assert client.status(1) == 400
    assert client.wait(DATA, 1)[1] == TEXT[:1]


def test_row_01_and_02_a_tunnel_beside_errors(hostile, target, client):
    """An error of a stream is its own: the tunnel beside it carries bytes on."""
    client.send(client.headers(1, [(":method", "CONNECT"), (":authority", target.authority)], END_HEADERS))
    assert client.status(1) == 200
    for stream in range(3, 23, 2):
        client.send(client.headers(stream, get(("connection", "close")), BOTH))
    assert client.round_trip() and client.round_trip()
    assert all(client.resets(stream) == [PROTOCOL_ERROR] for stream in range(3, 23, 2))
    client.send(data(1, target.hello))
    assert target.is_answer(client.body(1, len(target.hello)))


def test_row_20_truncated_at_each_byte(hostile, target):
    """A connection that ends in the middle of a frame, at every byte of a conversation."""
    encoder = hpack.Encoder()
    fields = [(":method", "CONNECT"), (":authority", target.authority)]
    whole = (PREFACE + settings((4, 100)) + frame(HEADERS, END_HEADERS, 1, encoder.encode(fields)) + data(1, b"hello")
             + window_update(0, 100) + ping())
    for cut in range(0, len(whole), 3):
        with hostile.raw(target, preface=whole[:cut]):
            pass
    with hostile.raw(target) as client:
        assert client.round_trip()


@pytest.mark.parametrize("length", [0, 1, 3, 7, 9, 2**14 + 1, 2**20 + 1, 2**24 - 1])
@pytest.mark.parametrize("kind", range(12))
def test_row_20_lengths_that_lie(hostile, target, kind, length):
    """Every type with every odd length: an error or nothing, never a wait for ever and never an end of the program."""
    with hostile.raw(target) as client:
        client.send(frame(kind, 0, kind % 2, bytes(min(length, 100)), length=length), b"\xff" * 200)
        client.socket.settimeout(1)
        if length <= 100:
            assert client.until_end() or kind > CONTINUATION
    assert hostile.daemon(target).alive()


def test_row_21_a_dictionary_is_not_used_after_an_error(client):
    """The connection ends with the first block that cannot be decoded: what follows it is not looked at."""
    client.send(block(1, b"\x82\x87\x84\xfe"), client.headers(3, get(), BOTH))
    assert client.until_end()
    assert not [entry for entry in client.frames if entry[0] == HEADERS]
    assert client.goaway() in (None, COMPRESSION_ERROR)
