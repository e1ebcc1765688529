"""A path between two nodes that delays and loses packets, made of two TUN devices: no queueing discipline of the kernel is needed."""
import collections
import contextlib
import fcntl
import os
import select
import struct
import threading
import time

from . import netns

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def _tun(node, name):
    with netns.inside(node.netns):
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    node.run("ip", "link", "set", name, "up")
    return device


class SlowLink:
    """IPv4 packets from `first` to `address` on `second` take `delay` seconds; the first `lost_syns` of those that open
    a connection never arrive.

    The way back is the ordinary one.
    """

    def __init__(self, first, second, address, delay, lost_syns=0):
        self.first, self.address, self.delay, self.lost_syns = first, address, delay, lost_syns
        self.lost = 0
        self._into, self._out = _tun(first, "slow0"), _tun(second, "slow1")
        self._stop, self._wake = os.pipe()
        first.run("ip", "route", "add", f"{address}/32", "dev", "slow0")
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self):
        waiting = collections.deque()
        while True:
            left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            ready, _, _ = select.select([self._into, self._stop], [], [], left)
            if self._stop in ready:
                return
            while waiting and waiting[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):
                    os.write(self._out, waiting.popleft()[1])
            with contextlib.suppress(BlockingIOError):
                while self._into in ready:
                    packet = os.read(self._into, 65536)
                    if packet[0] >> 4 != 4:
                        continue
                    header = (packet[0] & 15) * 4
                    is_syn = packet[9] == 6 and packet[header + 13] & 0x12 == 2
                    if is_syn and self.lost < self.lost_syns:
                        self.lost += 1
                    else:
                        waiting.append((time.monotonic() + self.delay, packet))

    def close(self):
        os.close(self._wake)
        self._thread.join()
        self.first.run("ip", "route", "del", f"{self.address}/32", "dev", "slow0", check=False)
        for descriptor in (self._stop, self._into, self._out):
            os.close(descriptor)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
