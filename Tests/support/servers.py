"""Applications for the tests: small servers whose sockets live in a pod, served by threads of the test process."""
import contextlib
import hashlib
import json
import socket
import struct
import threading

from . import netns


class Server:
    """Accepts on `port` of a pod, on IPv4 and IPv6, and gives every connection to `serve` in a thread of its own."""

    def __init__(self, pod, port):
        self.pod, self.port = pod, port
        with netns.inside(pod.netns):
            self._listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
        self.peers = []
        self._open = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            address = peer[0].removeprefix("::ffff:")
            self.peers.append((address, peer[1]))
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, connection, address):
        try:
            with connection, contextlib.suppress(OSError):
                self.serve(connection, address)
        finally:
            with self._lock:
                self._open.discard(connection)

    def serve(self, connection, address):
        raise NotImplementedError

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class EchoServer(Server):
    """Sends back what comes, and its FIN after the peer's FIN."""

    def serve(self, connection, address):
        while data := connection.recv(65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


class HTTPServer(Server):
    """Keep-alive HTTP/1.1; the body is JSON: this server's name, the address it saw, the request."""

    def __init__(self, pod, port, name=None):
        self.name = name or pod.name
        super().__init__(pod, port)

    def serve(self, connection, address):
        reader = connection.makefile("rb")
        while line := reader.readline(65536):
            method, target, _ = line.decode("latin-1").split(" ", 2)
            fields = {}
            while (field := reader.readline(65536).decode("latin-1").strip()):
                key, _, value = field.partition(":")
                fields[key.lower()] = value.strip()
            body = reader.read(int(fields.get("content-length", 0)))
            answer = {
                "server": self.name, "peer": address, "method": method, "path": target, "headers": fields,
                "body": body.decode("latin-1"),
            }
            payload = json.dumps(answer).encode()
            closing = fields.get("connection", "").lower() == "close"
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n"
                % (len(payload), b"connection: close\r\n" if closing else b"") + payload
            )
            if closing:
                return


class ChecksumServer(Server):
    """Reads until the peer's FIN, then answers the digest of all it read: `halves` of both directions are seen."""

    def serve(self, connection, address):
        digest = hashlib.sha256()
        buffer = bytearray(1 << 20)
        while count := connection.recv_into(buffer):
            digest.update(memoryview(buffer)[:count])
        connection.sendall(digest.hexdigest().encode())


class SourceServer(Server):
    """Sends the number of bytes asked for (8 bytes, big-endian), numbered blocks so that order shows, then FIN."""

    def serve(self, connection, address):
        (size,) = struct.unpack(">Q", connection.recv(8, socket.MSG_WAITALL))
        for block in blocks(size):
            connection.sendall(block)


_RANDOM = bytes(range(256)) * 4096


def blocks(size):
    """`size` bytes in blocks of up to 1 MiB, each begun with its number."""
    number = 0
    while size > 0:
        block = (struct.pack(">Q", number) + _RANDOM)[: min(size, 1 << 20)]
        yield block
        size -= len(block)
        number += 1


def digest_of(size):
    digest = hashlib.sha256()
    for block in blocks(size):
        digest.update(block)
    return digest.hexdigest()
