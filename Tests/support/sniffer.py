"""Sees the TCP segments on one interface: what really is on the wire."""
import socket
import struct
import threading

from . import netns


class Sniffer:
    """Records the segments of an interface in a namespace while it is entered: (source, destination, ports, flags)."""

    def __init__(self, namespace, interface):
        with netns.inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.bind((interface, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.segments = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while True:
            try:
                frame = self._socket.recv(256)
            except OSError:
                return
            segment = parse(frame)
            if segment:
                self.segments.append(segment)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.close()

    def opened_from(self, addresses):
        """(destination, port) of every SYN without ACK that left one of `addresses`."""
        return [(dst, port) for src, dst, _, port, flags in list(self.segments) if src in addresses and flags & 0x12 == 0x02]


def parse(frame):
    kind = struct.unpack_from(">H", frame, 12)[0]
    if kind == 0x0800 and frame[23] == 6:
        start = 14 + (frame[14] & 15) * 4
        source, destination = socket.inet_ntop(socket.AF_INET, frame[26:30]), socket.inet_ntop(socket.AF_INET, frame[30:34])
    elif kind == 0x86DD and frame[20] == 6:
        start = 54
        source, destination = socket.inet_ntop(socket.AF_INET6, frame[22:38]), socket.inet_ntop(socket.AF_INET6, frame[38:54])
    else:
        return None
    if len(frame) < start + 14:
        return None
    ports = struct.unpack_from(">HH", frame, start)
    return source, destination, ports[0], ports[1], frame[start + 13]
