"""A well-behaved client beside whatever a test does: it must notice nothing."""
import contextlib
import socket
import statistics
import threading
import time

from . import netns
from .waiting import wait_for


class Probe:
    """Keeps one connection with an echo open all the time and opens a new one every second; both must never fail.

    The answers' times are kept, so that a test can compare them with those of a quiet moment (`calibrate`).
    """

    def __init__(self, pod, address, port, every=0.05, seconds=20, opens=True):
        """`opens`: also a new connection every second."""
        self.pod, self.address, self.port, self.every, self.seconds = pod, address, port, every, seconds
        self.idle, self.times, self.failures = [], [], []
        self.opened, self.opens = 0, opens
        self._end = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._hold, self._open)[: 1 + opens]]

    def _connect(self):
        with netns.inside(self.pod.netns):
            connection = socket.create_connection((self.address, self.port), self.seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    @staticmethod
    def _exchange(connection, data):
        begin = time.monotonic()
        connection.sendall(data)
        got = netns.receive(connection, len(data))
        if got != data:
            raise ConnectionError(f"{len(got)} of {len(data)} bytes came back")
        return time.monotonic() - begin

    def calibrate(self, count=40):
        with self._connect() as connection:
            self.idle = [self._exchange(connection, b"quiet" * 20) for _ in range(count)]

    def _hold(self):
        number = 0
        try:
            with self._connect() as connection:
                while not self._end.wait(self.every):
                    number += 1
                    self.times.append(self._exchange(connection, b"%020d" % number * 5))
        except OSError as error:
            self.failures.append(f"the open connection, after {number} exchanges: {error!r}")

    def _open(self):
        while True:
            try:
                with self._connect() as connection:
                    self._exchange(connection, b"new")
                self.opened += 1
            except OSError as error:
                self.failures.append(f"new connection {self.opened}: {error!r}")
            if self._end.wait(1):
                return

    def __enter__(self):
        self.calibrate()
        for thread in self._threads:
            thread.start()
        wait_for(lambda: self.failures or self.times and (self.opened or not self.opens), "the probe runs", 30)
        return self

    def close(self):
        self._end.set()
        for thread in self._threads:
            thread.join(self.seconds + 10)

    def __exit__(self, kind, *_):
        with contextlib.suppress(RuntimeError):
            self.close()
        if kind is None:
            self.check()

    def check(self):
        """Nothing was lost, and the slowest hundredth of the answers took no fivefold of a quiet moment.

        A busy machine adds to both; a floor of two seconds keeps its scheduler out of it.
        """
        assert not self.failures, self.failures[:5]
        slow = statistics.quantiles([*self.times, 0.0], n=100)[-1]
        assert slow < max(5 * max(self.idle), 2.0), f"p99 {slow:.3f} s, idle at most {max(self.idle):.3f} s"
