"""Rows 41, 80 and 81: TLS and TCP that are legal and rare, single bytes without end, and a great deal of data."""
import concurrent.futures
import contextlib
import hashlib
import hmac
import socket
import ssl
import struct
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from support import netns
from support.hbone import client_context
from support.netns import receive
from support.servers import Server, blocks, digest_of
from support.standing import processor_seconds

pytestmark = pytest.mark.root


class Kept(Server):
    """Keeps every connection for the test to use."""

    def __init__(self, pod, port):
        self.accepted, self._there = [], threading.Condition()
        super().__init__(pod, port)

    def _serve(self, connection, address):
        with self._there:
            self.accepted.append(connection)
            self._there.notify_all()

    def next(self):
        with self._there:
            assert self._there.wait_for(lambda: self.accepted, 20), "no connection reached the application"
            connection = self.accepted.pop(0)
        connection.settimeout(30)
        return connection


@pytest.fixture(scope="module")
def kept(mesh):
    with Kept(mesh.world.server, 7002) as tunnelled, Kept(mesh.world.plain, 7002) as plain:
        yield {"tunnel": (mesh.world.server, tunnelled), "plaintext": (mesh.world.plain, plain)}


@pytest.fixture(params=["tunnel", "plaintext"])
def ends(request, kept, harmless):
    pod, server = kept[request.param]
    with harmless.world.client.connect(pod.ipv4, 7002, 30) as caller, server.next() as application:
        yield caller, application


def exchange(one, other, data):
    one.sendall(data)
    assert receive(other, len(data)) == data


def test_row_81_urgent_data(ends):
    """The urgent byte is no part of the stream and is not carried; everything around it is, in order."""
    for one, other in (ends, ends[::-1]):
        one.sendall(b"before")
        one.send(b"!", socket.MSG_OOB)
        one.sendall(b"after")
        assert receive(other, 11) == b"beforeafter"
        exchange(other, one, b"and back")


def test_row_81_a_window_of_zero_for_a_while(ends):
    """The reader takes nothing until the sender is stuck, and then all of it: probes of the closed window do no harm."""
    for one, other in (ends, ends[::-1]):
        one.settimeout(0.5)
        sent, digest = 0, hashlib.sha256()
        with contextlib.suppress(TimeoutError):
            for block in blocks(64_000_000):
                view = memoryview(block)
                while view:
                    count = one.send(view[:65536])
                    digest.update(view[:count])
                    sent, view = sent + count, view[count:]
        one.settimeout(30)
        got, taken = hashlib.sha256(), 0
        while taken < sent:
            part = other.recv(min(65536, sent - taken))
            assert part
            got.update(part)
            taken += len(part)
        assert got.digest() == digest.digest()
        exchange(other, one, b"and back")


def test_row_81_simultaneous_close(ends):
    one, other = ends
    exchange(one, other, b"hello")
    barrier = threading.Barrier(2)

    def end(connection):
        barrier.wait(10)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert [result.result(30) for result in [pool.submit(end, connection) for connection in ends]] == [b"", b""]


_REPAIR, _REPAIR_QUEUE, _QUEUE_SEQUENCE = 19, 20, 21


def expected_sequence(connection):
    """The number of the next byte that this socket expects from its peer."""
    connection.setsockopt(socket.IPPROTO_TCP, _REPAIR, 1)
    connection.setsockopt(socket.IPPROTO_TCP, _REPAIR_QUEUE, 1)
    number = connection.getsockopt(socket.IPPROTO_TCP, _QUEUE_SEQUENCE) & 0xFFFFFFFF
    # -1 leaves the repair mode without a window probe.
    connection.setsockopt(socket.IPPROTO_TCP, _REPAIR, -1)
    return number


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def inject_reset(pod, source, target, sequence):
    """A RST that nobody sent: from `source` to `target`, both in the pod."""
    header = struct.pack(">HHIIBBHHH", source[1], target[1], sequence, 0, 5 << 4, 0x04, 0, 0, 0)
    ends = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    code = checksum(ends + struct.pack(">BBH", 0, 6, len(header)) + header)
    header = header[:16] + struct.pack(">H", code) + header[18:]
    packet = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ends + header
    with netns.inside(pod.netns), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (target[0], 0))


def test_row_81_a_forged_reset_in_the_window(mesh, kept, harmless):
    """Within the window but not at its edge: challenged (RFC 5961) and not believed. At the edge it is a reset, and is carried."""
    pod, server = kept["tunnel"]
    with harmless.world.client.connect(pod.ipv4, 7002, 30) as caller, server.next() as application:
        exchange(caller, application, b"hello")
        peer = application.getpeername()
        source, target = (peer[0].removeprefix("::ffff:"), peer[1]), (pod.ipv4, 7002)
        for ahead in (1, 100, 10_000):
            inject_reset(pod, source, target, (expected_sequence(application) + ahead) & 0xFFFFFFFF)
            exchange(caller, application, b"still here")
            exchange(application, caller, b"and back")
        inject_reset(pod, source, target, expected_sequence(application))
        with pytest.raises(ConnectionResetError):
            application.recv(1)
        with pytest.raises(ConnectionResetError):
            if caller.recv(1) == b"":
                raise AssertionError("an orderly end hides the reset")


def expand(secret, label, length, context=b""):
    """HKDF-Expand-Label of RFC 8446 7.1."""
    label = b"tls13 " + label
    info = struct.pack(">HB", length, len(label)) + label + bytes([len(context)]) + context
    return hmac.new(secret, info + b"\x01", hashlib.sha256).digest()[:length]


class Records:
    """Application records of TLS 1.3 made by hand, after a handshake by Python's ssl."""

    def __init__(self, mesh, path):
        chain, key = mesh.leaf("client", mesh.world.client.identity)
        context = client_context(mesh.authority, chain, key)
        context.keylog_filename = str(path)
        self.socket = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008, 20)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing)
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(outgoing.read())
                incoming.write(self.socket.recv(65536))
        self.socket.sendall(outgoing.read())
        assert session.cipher()[0] == "TLS_AES_128_GCM_SHA256"
        line = next(line for line in path.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0"))
        self._use(bytes.fromhex(line.split()[2]))

    def _use(self, secret):
        self.secret, self.number = secret, 0
        self.key, self.iv = AESGCM(expand(secret, b"key", 16)), expand(secret, b"iv", 12)

    def record(self, kind, data):
        nonce = (int.from_bytes(self.iv, "big") ^ self.number).to_bytes(12, "big")
        self.number += 1
        header = struct.pack(">BHH", 23, 0x0303, len(data) + 17)
        return header + self.key.encrypt(nonce, data + bytes([kind]), header)

    def key_update(self, asks=False):
        """The peer is to go on with the next key, and so do we."""
        record = self.record(22, bytes([24, 0, 0, 1, int(asks)]))
        self._use(expand(self.secret, b"traffic upd", 32))
        return record

    def is_ended_by(self, make, count):
        """Whether the peer ends the connection before it has taken `count` such records."""
        try:
            for _ in range(count // 50):
                self.socket.sendall(b"".join(make() for _ in range(50)))
            self.socket.settimeout(15)
            while self.socket.recv(65536):
                pass
            return True
        except TimeoutError:
            return False
        except OSError:
            return True


FLOODS = {
    "key-updates": lambda records: records.key_update(),
    "key-updates-that-ask": lambda records: records.key_update(asks=True),
    "empty-records": lambda records: records.record(23, b""),
}


@pytest.mark.parametrize("name", FLOODS)
def test_row_41_flood(harmless, tmp_path, name):
    """A record costs the sender little and us a decryption, and a key update a new key schedule: the connection is ended."""
    mesh = harmless
    before = processor_seconds(mesh.two.pid)
    with mesh.probe():
        records = Records(mesh, tmp_path / "keys")
        with records.socket:
            assert records.is_ended_by(lambda: FLOODS[name](records), 100_000), "it took them all"
    assert processor_seconds(mesh.two.pid) - before < 10


def test_row_41_a_few_are_fine(harmless, tmp_path):
    """What a correct peer does now and then costs nothing, and the keys are the right ones: the control for the floods."""
    records = Records(harmless, tmp_path / "keys")
    with records.socket:
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
        ping = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"12345678"
        records.socket.sendall(records.key_update() + records.record(23, b"") + records.record(23, preface))
        for _ in range(3):
            records.socket.sendall(records.key_update(asks=True) + records.record(23, ping))
        records.socket.settimeout(2)
        with pytest.raises(TimeoutError):
            while records.socket.recv(65536):
                pass
            raise AssertionError("the connection was ended")


@pytest.mark.slow
def test_row_80_a_million_single_bytes(harmless):
    count = 1_000_000
    with harmless.probe(), harmless.world.client.connect(harmless.world.server.ipv4, 7000, 60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = []
        reader = threading.Thread(target=lambda: answer.append(receive(connection, count)), daemon=True)
        reader.start()
        for index in range(count):
            connection.sendall(bytes((index * 7 & 255,)))
        reader.join(300)
        assert answer and answer[0] == bytes(index * 7 & 255 for index in range(count))


@pytest.mark.slow
def test_row_80_ten_gigabytes_each_way(harmless):
    """Both directions at once; memory stays where it was (the standard expectation)."""
    world, size = harmless.world, 10_000_000_000

    def upload():
        with world.client.connect(world.server.ipv4, 9000, 300) as connection:
            for block in blocks(size):
                connection.sendall(block)
            connection.shutdown(socket.SHUT_WR)
            return receive(connection, 64).decode()

    def download():
        digest, buffer = hashlib.sha256(), bytearray(1 << 20)
        with world.client.connect(world.server.ipv4, 9001, 300) as connection:
            connection.sendall(struct.pack(">Q", size))
            while count := connection.recv_into(buffer):
                digest.update(memoryview(buffer)[:count])
        return digest.hexdigest()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert {result.result() for result in [pool.submit(upload), pool.submit(download)]} == {digest_of(size)}
