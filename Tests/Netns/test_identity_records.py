"""Broken handshakes and records at the tunnel port (reliability row 28): each connection ends, the node does not.

Our own cases: the tlsfuzzer suite is in no package index that the set-up uses.
"""
import random
import socket
import ssl

import pytest

from support.netns import inside

pytestmark = pytest.mark.root


def client_hello():
    """A correct ClientHello record, as Python's TLS makes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def record(kind, body, version=b"\x03\x03"):
    return bytes([kind]) + version + len(body).to_bytes(2, "big") + body


def broken(hello):
    """Named inputs that no correct client sends."""
    body = hello[5:]
    yield "nothing", b""
    yield "half a record header", hello[:3]
    yield "half a hello", hello[: len(hello) // 2]
    yield "two hellos", hello + hello
    yield "hello in one-byte records", b"".join(record(22, body[i:i + 1]) for i in range(len(body)))
    yield "empty handshake records", record(22, b"") * 40
    yield "empty records before the hello", record(23, b"") * 40 + hello
    yield "record above the limit", record(22, b"\x01" * (2 ** 14 + 257))
    yield "length that lies", hello[:3] + b"\xff\xff" + body
    yield "unknown content type", record(99, body)
    yield "application data first", record(23, b"x" * 100)
    yield "alert first", record(21, b"\x02\x28")
    yield "warning alerts without end", record(21, b"\x01\x00") * 1000
    yield "change cipher specs without end", record(20, b"\x01") * 1000
    yield "heartbeat", record(24, b"\x01\x40\x00")
    yield "SSLv2 hello", bytes.fromhex("802e0100020015000000100100800700c003008006004002008004008000") + b"\0" * 20
    yield "server hello from a client", record(22, b"\x02" + body[1:])
    yield "finished before anything", record(22, b"\x14\x00\x00\x20" + b"\0" * 32)
    yield "handshake length of 16 MiB", record(22, b"\x01\xff\xff\xff" + body[4:])
    yield "random bytes", random.Random(1).randbytes(4096)


def ends(mesh, data):
    """Sends the bytes, then the end; true when the connection ends within five seconds, whatever it answers."""
    with inside(mesh.world.outsider.netns):
        connection = socket.create_connection((mesh.world.server.ipv4, 15008), 5)
    with connection:
        connection.settimeout(5)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except (ConnectionResetError, BrokenPipeError, OSError) as error:
            if isinstance(error, TimeoutError):
                return False
        return True


def still_works(mesh):
    assert mesh.two.alive()
    mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", check=True)


@pytest.mark.parametrize("name", [name for name, _ in broken(b"\x16\x03\x01\x00\x05" + b"\x01" * 5)])
def test_row_28_broken_input_ends_its_connection(mesh, name):
    assert ends(mesh, dict(broken(client_hello()))[name])
    still_works(mesh)


def test_row_28_damaged_hellos(mesh):
    """A thousand ClientHellos with bits flipped, bytes removed, put in, or cut off."""
    chance = random.Random(28)
    before = mesh.two.memory_kib()
    for _ in range(1000):
        hello = bytearray(client_hello() if chance.random() < 0.1 else HELLO)
        for _ in range(chance.randint(1, 8)):
            if len(hello) < 8:
                break
            at = chance.randrange(len(hello))
            match chance.randrange(4):
                case 0: hello[at] ^= 1 << chance.randrange(8)
                case 1: del hello[at:at + chance.randint(1, 4)]
                case 2: hello[at:at] = chance.randbytes(chance.randint(1, 4))
                case 3: hello = hello[:max(1, at)]
        assert ends(mesh, bytes(hello)), bytes(hello).hex()
    still_works(mesh)
    assert mesh.two.memory_kib() - before < 16 * 1024


HELLO = client_hello()
