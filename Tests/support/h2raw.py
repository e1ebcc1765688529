"""HTTP/2 frame by frame over mutual TLS: what a well-behaved library would refuse to send."""
import contextlib
import ssl
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)


def number(value, size=4):
    return value.to_bytes(size, "big")


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """Nine bytes of header and the payload; `length` may lie."""
    return number(len(payload) if length is None else length, 3) + bytes([kind, flags]) + number(stream) + payload


def settings(*pairs, flags=0, stream=0):
    return frame(SETTINGS, flags, stream, b"".join(number(key, 2) + number(value) for key, value in pairs))


def data(stream, payload=b"", end=False):
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, number(code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, number(increment))


def ping(payload=b"12345678", flags=0):
    return frame(PING, flags, 0, payload)


class RawClient:
    """One connection. What is sent is what the test says; frames that come are kept as (kind, flags, stream, payload); HEADERS are decoded."""

    def __init__(self, raw, context, preface=PREFACE + settings(), seconds=10):
        raw.settimeout(seconds)
        self.socket = context.wrap_socket(raw)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.frames, self.buffer, self.ended = [], b"", False
        if preface:
            self.send(preface)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def headers(self, stream, fields, flags=END_HEADERS, block=None):
        return frame(HEADERS, flags, stream, self.encoder.encode(fields) if block is None else block)

    def send(self, *pieces):
        """False when the other side has gone away already."""
        try:
            self.socket.sendall(b"".join(pieces))
            return True
        except (OSError, ssl.SSLError):
            return False

    def receive(self):
        """Takes what the next read brings; False at the end of the connection."""
        if self.ended:
            return False
        try:
            part = self.socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"nothing came for {self.socket.gettimeout()} s after {self.frames}") from None
        except (OSError, ssl.SSLError):
            part = b""
        self.ended = not part
        self.buffer += part
        while len(self.buffer) >= 9:
            size = 9 + int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < size:
                break
            head, payload = self.buffer[:9], self.buffer[9:size]
            self.buffer = self.buffer[size:]
            stream = int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
            if head[3] == SETTINGS and not head[4] & ACK:
                self.send(settings(flags=ACK))
            if head[3] == HEADERS:
                # In the order of the wire: the table of the decoder follows it.
                payload = dict(self.decoder.decode(payload))
            self.frames.append((head[3], head[4], stream, payload))
        return not self.ended

    def wait(self, kind, stream=None, matches=lambda flags, payload: True):
        """The next frame of that kind, which is taken out; None when the connection ended first."""
        while True:
            for index, (what, flags, where, payload) in enumerate(self.frames):
                if what == kind and stream in (None, where) and matches(flags, payload):
                    del self.frames[index]
                    return flags, payload
            self.receive()
            # What came with the end counts too.
            if self.ended and not any(
                    what == kind and stream in (None, where) and matches(flags, payload)
                    for what, flags, where, payload in self.frames):
                return None

    def round_trip(self):
        """Whether the connection lives: a PING of ours comes back."""
        mark = number(time.monotonic_ns() & (1 << 64) - 1, 8)
        self.send(ping(mark))
        return self.wait(PING, matches=lambda flags, payload: flags & ACK and payload == mark) is not None

    def goaway(self):
        """The code of a GOAWAY that has come and was not NO_ERROR; None where there is none."""
        codes = [int.from_bytes(payload[4:8], "big") for kind, _, _, payload in self.frames if kind == GOAWAY]
        return next((code for code in codes if code), None)

    def resets(self, stream):
        return [int.from_bytes(entry[3], "big") for entry in self.frames if entry[0] == RST_STREAM and entry[2] == stream]

    def status(self, stream):
        """The `:status` of the answer on a stream; None when the connection ended first."""
        answer = self.wait(HEADERS, stream)
        if answer is None:
            return None
        return int(answer[1][":status"])

    def body(self, stream, count):
        """At least `count` bytes of the stream, or what there was until it ended."""
        got = b""
        while len(got) < count:
            part = self.wait(DATA, stream)
            if part is None:
                break
            got += part[1]
            if part[0] & END_STREAM:
                break
        return got

    def until_end(self, seconds=10):
        """Reads to the end of the connection; False when it does not come."""
        self.socket.settimeout(seconds)
        try:
            while self.receive():
                pass
        except AssertionError:
            return False
        return True

    def poll(self):
        """Takes what is there without waiting; False at the end of the connection."""
        seconds = self.socket.gettimeout()
        self.socket.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            try:
                while not self.ended:
                    part = self.socket.recv(65536)
                    self.ended = not part
            except (ssl.SSLWantReadError, BlockingIOError):
                pass
            except (OSError, ssl.SSLError):
                self.ended = True
        self.socket.settimeout(seconds)
        return not self.ended
