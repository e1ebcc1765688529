"""Tunnels whose TLS records are ours at one end or at both."""
import hashlib
import socket
import struct

import pytest

from support.netns import receive
from support.servers import blocks, digest_of

pytestmark = pytest.mark.root
SIZE = 60_000_000


@pytest.fixture(params=[("own", "own"), ("own", "libssl"), ("libssl", "own"), ("libssl", "libssl")], ids="-".join)
def pair(request, bare):
    one, two = request.param
    bare.one = bare.start_ztund(bare.first, [bare.world.client], "--tls-records", one)
    bare.two = bare.start_ztund(bare.second, [bare.world.server], "--tls-records", two)
    return bare


def test_bytes_ends_and_resets_pass_whole(pair):
    client, server = pair.world.client, pair.world.server
    with client.connect(server.ipv4, 9000) as connection:
        connection.settimeout(60)
        for block in blocks(SIZE):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection, 64).decode() == digest_of(SIZE), "the answer comes behind the half-close"
    digest, count = hashlib.sha256(), 0
    with client.connect(server.ipv4, 9001) as connection:
        connection.settimeout(60)
        connection.sendall(struct.pack(">Q", SIZE))
        while got := connection.recv(1 << 20):
            digest.update(got)
            count += len(got)
    assert (count, digest.hexdigest()) == (SIZE, digest_of(SIZE))
    # A reset in the middle of a download ends that stream alone: the tunnel, and what comes after it, go on.
    with client.connect(server.ipv4, 9001) as connection:
        connection.sendall(struct.pack(">Q", SIZE))
        receive(connection, 1000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for size in (1, 100, 20_000):
        with client.connect(server.ipv4, 7000) as connection:
            connection.settimeout(10)
            connection.sendall(b"x" * size)
            assert receive(connection, size) == b"x" * size
    line = pair.two.wait_for_line('direction="inbound"', "7000")
    assert 'src.identity="spiffe://cluster.local/ns/default/sa/client"' in line
