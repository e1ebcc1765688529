"""Row 21: header blocks as different encoders write them, hundreds on one connection, each read right to the letter.

A block that is read wrong leaves the two tables apart, and everything behind it is wrong: so each request carries a name of its
own, and the log must have all of them."""
import random

import hpack
import pytest

from support.h2raw import COMPRESSION_ERROR, END_HEADERS, END_STREAM, HEADERS, PREFACE, frame, settings
from support.waiting import wait_for

pytestmark = pytest.mark.root

COUNT = 150
BOTH = END_HEADERS | END_STREAM
# Printable ASCII and what Huffman codes make longest.
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-._~!#$&'()*+,;=:@/?%^|`{}<>[]\\\"ABCXYZ \t\x80\xc3\xa4\xff"


class Literals:
    """An encoder without a table: every field is spelled out, in the form chosen by `first` (RFC 7541 6.2)."""

    def __init__(self, first, huffman):
        self.first, self.huffman = first, huffman

    def text(self, value):
        data = value.encode("latin-1")
        if self.huffman:
            coder = hpack.huffman.HuffmanEncoder(hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH)
            data = coder.encode(data)
        length = bytearray(hpack.hpack.encode_integer(len(data), 7))
        length[0] |= 0x80 if self.huffman else 0
        return bytes(length) + data

    def encode(self, fields):
        return b"".join(bytes([self.first]) + self.text(name) + self.text(value) for name, value in fields)


class Table:
    """Python's encoder; the table changes its size as it goes."""

    def __init__(self, huffman, sizes):
        self.encoder, self.huffman, self.sizes, self.count = hpack.Encoder(), huffman, sizes, 0

    def encode(self, fields):
        if self.sizes:
            self.encoder.header_table_size = self.sizes[self.count % len(self.sizes)]
            if self.count % 3 == 0:
                # Twice between two blocks: both the smallest and the last are announced (RFC 7541 4.2).
                self.encoder.header_table_size = 0
                self.encoder.header_table_size = self.sizes[self.count % len(self.sizes)]
        self.count += 1
        fields = [
            hpack.NeverIndexedHeaderTuple(name.encode("latin-1"), value.encode("latin-1")) if number % 5 == 4
            else (name.encode("latin-1"), value.encode("latin-1")) for number, (name, value) in enumerate(fields)]
        return self.encoder.encode(fields, huffman=self.huffman)


ENCODERS = {
    "literal": lambda: Literals(0x00, False), "literal-huffman": lambda: Literals(0x00, True),
    "never-indexed": lambda: Literals(0x10, False), "never-indexed-huffman": lambda: Literals(0x10, True),
    "indexed": lambda: Literals(0x40, False), "indexed-huffman": lambda: Literals(0x40, True),
    "table": lambda: Table(False, []), "table-huffman": lambda: Table(True, []),
    "table-of-nothing": lambda: Table(True, [0]), "table-that-changes": lambda: Table(True, [4096, 0, 100, 64, 2048]),
    "table-of-one-field": lambda: Table(False, [80, 40, 80]),
}


def header_sets(mark, seed):
    """Requests as programs make them: mostly the same fields, some new, some long, some with every byte a value may have."""
    chance = random.Random(seed)
    kept = [("user-agent", "corpus/1.0"), ("traceparent", "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")]
    for index in range(COUNT):
        fields = [(":method", "CONNECT"), (":authority", f"{mark}-{index}-{chance.randrange(1 << 40):x}.invalid:7000"), *kept]
        for _ in range(chance.randrange(12)):
            name = "x-" + "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789-_", k=chance.randrange(1, 20)))
            length = chance.choice([0, 1, 5, 20, 126, 127, 128, 400])
            fields.append((name, "".join(chance.choices(LETTERS, k=length)).strip(" \t")))
        if chance.random() < 0.2:
            kept[1:] = [("traceparent", "00-" + "%032x" % chance.randrange(1 << 127) + "-" + "cd" * 8 + "-01")]
        yield fields


@pytest.mark.parametrize("name", ENCODERS)
def test_row_21_corpus(hostile, name):
    target, encoder = hostile.targets["node"], ENCODERS[name]()
    daemon = hostile.daemon(target)
    mark = len(daemon.text())
    wanted = []
    with hostile.raw(target) as client:
        for index, fields in enumerate(header_sets(name, name)):
            stream = 2 * index + 1
            client.send(frame(HEADERS, BOTH, stream, encoder.encode(fields)))
            assert client.status(stream) is not None, f"block {index} ended the connection"
            wanted.append(fields[1][1])
        # The tables are still the same on both sides: a request that is let in.
        client.send(frame(HEADERS, END_HEADERS, 2 * COUNT + 1, encoder.encode([(":method", "CONNECT"), (":authority", target.authority)])))
        assert client.status(2 * COUNT + 1) == 200
    wait_for(lambda: wanted[-1] in daemon.text()[mark:], "the last one is logged")
    text = daemon.text()[mark:]
    missing = [authority for authority in wanted if authority not in text]
    assert not missing, f"{len(missing)} of {COUNT}, the first is {missing[0]}"


def test_row_21_our_own_blocks_are_read_by_others(hostile):
    """What we encode, at table sizes from nothing to more than we use, another decoder reads."""
    target = hostile.targets["node"]
    for size in (0, 1, 64, 4096, 1 << 20):
        with hostile.raw(target, preface=PREFACE + settings((1, size))) as client:
            client.decoder.max_allowed_table_size = max(size, 4096)
            for index in range(20):
                client.send(client.headers(2 * index + 1, [(":method", "CONNECT"), (":authority", f"no-{index}.invalid:1")], BOTH))
                assert client.status(2 * index + 1) in range(400, 504)


BROKEN = {
    "index-zero": b"\x80", "index-beyond-the-table": b"\xff\xff\x03", "endless-integer": b"\xff" * 12,
    "huffman-with-long-padding": b"\x00\x83\xff\xff\xff\x01x", "huffman-with-end-of-string": b"\x00\x84\xff\xff\xff\xfc\x01x",
    "huffman-padded-with-zeros": b"\x00\x81\x00\x01x", "text-beyond-the-block": b"\x00\x7f\xff\x01abc",
    "size-beyond-the-limit": b"\x3f\xe2\x1f", "size-behind-a-field": b"\x82\x20",
    "three-size-updates-too-large": b"\x20\x3f\xff\xff\x7f",
}


@pytest.mark.parametrize("name", BROKEN)
def test_row_21_broken_blocks(hostile, name):
    """COMPRESSION_ERROR, whatever good blocks came before; nothing behind it is looked at."""
    target = hostile.targets["node"]
    with hostile.raw(target) as client:
        client.send(client.headers(1, [(":method", "CONNECT"), (":authority", target.authority), ("x-a", "b")]))
        assert client.status(1) == 200
        good = client.headers(5, [(":method", "CONNECT"), (":authority", target.authority)])
        client.send(frame(HEADERS, BOTH, 3, BROKEN[name]) + good)
        assert client.until_end()
        assert client.goaway() in (None, COMPRESSION_ERROR)
        assert not [entry for entry in client.frames if entry[0] == HEADERS]
