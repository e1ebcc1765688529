"""Crowds of connections without a thread each: a source that fills them, readers that take little or nothing."""
import contextlib
import selectors
import socket
import struct
import threading

from . import netns

PATTERN = bytes(range(256)) * 256


class CrowdSource:
    """Accepts on `port` of a pod; sends each connection as many bytes as its first 8 ask for (big-endian), then FIN.

    The bytes at offset n are those of PATTERN at n modulo its length. One thread serves them all."""

    def __init__(self, pod, port, send_buffer=None):
        with netns.inside(pod.netns):
            self._listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
        if send_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self._listener.setblocking(False)
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ, None)
        selector.register(self._stopped, selectors.EVENT_READ, "stop")
        view = memoryview(PATTERN * 2)
        while True:
            for key, _ in selector.select():
                if key.data == "stop":
                    for other in list(selector.get_map().values()):
                        with contextlib.suppress(OSError):
                            other.fileobj.close()
                    return
                if key.data is None:
                    with contextlib.suppress(OSError):
                        connection, _ = self._listener.accept()
                        connection.setblocking(False)
                        selector.register(connection, selectors.EVENT_READ, [None, 0])
                    continue
                connection, state = key.fileobj, key.data
                try:
                    if state[0] is None:
                        state[0] = struct.unpack(">Q", connection.recv(8))[0]
                        selector.modify(connection, selectors.EVENT_WRITE, state)
                    start = state[1] % len(PATTERN)
                    state[1] += connection.send(view[start : start + min(len(PATTERN), state[0] - state[1])])
                    if state[1] < state[0]:
                        continue
                    connection.shutdown(socket.SHUT_WR)
                except BlockingIOError:
                    continue
                except (OSError, struct.error):
                    pass
                selector.unregister(connection)
                connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.close()
        self._thread.join(10)


class Reader:
    """A connection of a pod to a CrowdSource with a small receive buffer, so that what it does not read stays behind."""

    def __init__(self, pod, address, port, size, buffer=32_768):
        self.size, self.taken, self.failure = size, 0, None
        with netns.inside(pod.netns):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(30)
        try:
            self.socket.connect((address, port))
            self.socket.sendall(struct.pack(">Q", size))
        except OSError as error:
            self.failure = error.strerror
        self.socket.setblocking(False)

    @property
    def is_done(self):
        return self.failure is not None or self.taken == self.size

    def read(self, most=1 << 20):
        """Takes what is there and checks it; a reset is kept in `failure`."""
        try:
            while most > 0:
                data = self.socket.recv(min(most, len(PATTERN)))
                start = self.taken % len(PATTERN)
                wanted = (PATTERN + PATTERN)[start : start + len(data)]
                assert data == wanted, f"a byte is wrong between {self.taken} and {self.taken + len(data)}"
                self.taken += len(data)
                most -= len(data)
                if not data:
                    if self.taken < self.size:
                        self.failure = f"ended after {self.taken} of {self.size} bytes"
                    return
        except BlockingIOError:
            pass
        except OSError as error:
            self.failure = error.strerror

    def close(self):
        self.socket.close()


def read_all(readers, seconds=60):
    """Reads from all until each has ended."""
    selector = selectors.DefaultSelector()
    for reader in readers:
        if not reader.is_done:
            selector.register(reader.socket, selectors.EVENT_READ, reader)
    while selector.get_map():
        ready = selector.select(seconds)
        assert ready, f"{len(selector.get_map())} connections got nothing for {seconds} s"
        for key, _ in ready:
            key.data.read()
            if key.data.is_done:
                selector.unregister(key.fileobj)
