"""A network gateway written apart from ours (Python ssl + h2): CONNECT streams to TCP connections of its own choice."""
import contextlib
import select
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from . import netns


def server_context(authority, chain, key):
    """TLS as an HBONE server speaks it: the client must have a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["h2"])
    return context


class Gateway:
    """Listens in a pod. `target(authority)` says where a CONNECT leads to: an address and port.

    Or how it is refused: a status, or a list of header fields, which go out as they are.
    """

    def __init__(self, pod, port, context, target):
        self.pod, self.context, self.target = pod, context, target
        self.requests = []
        self.connections = 0
        self.success = "200"
        with netns.inside(pod.netns):
            self._listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        with contextlib.suppress(OSError, h2.exceptions.H2Error), contextlib.closing(raw):
            with self.context.wrap_socket(raw, server_side=True) as connection:
                self._open.add(connection)
                _Session(self, connection).run()

    def cut(self):
        """Ends every tunnel at once."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class _Session:
    """One connection: a loop over its socket and the sockets that its streams lead to."""

    def __init__(self, gateway, connection):
        self.gateway, self.connection = gateway, connection
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=False, header_encoding="utf-8", validate_inbound_headers=False,
                validate_outbound_headers=False, normalize_outbound_headers=False))
        self.sockets, self.waiting, self.ended = {}, {}, set()

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        self.connection.setblocking(False)
        try:
            while True:
                readable = [s for s in self.sockets.values() if len(self.waiting[self.stream_of(s)]) < 65536]
                ready, _, _ = select.select([self.connection, *readable], [], [], 30)
                for one in ready:
                    if one is self.connection:
                        if not self.read_peer():
                            return
                    elif one in self.sockets.values():
                        # The peer may have reset its stream in this very turn.
                        self.read_target(one)
                self.send_waiting()
                self.flush()
        finally:
            for one in self.sockets.values():
                one.close()

    def stream_of(self, one):
        return next(stream for stream, other in self.sockets.items() if other is one)

    def flush(self):
        data = self.h2.data_to_send()
        self.connection.setblocking(True)
        if data:
            self.connection.sendall(data)
        self.connection.setblocking(False)

    def read_peer(self):
        while True:
            try:
                data = self.connection.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                return True
            if not data:
                return False
            for event in self.h2.receive_data(data):
                self.take(event)
            self.send_waiting()
            self.flush()

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.open(event.stream_id, dict(event.headers))
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in self.sockets:
                self.sockets[event.stream_id].sendall(event.data)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self.sockets:
            with contextlib.suppress(OSError):
                self.sockets[event.stream_id].shutdown(socket.SHUT_WR)
        elif isinstance(event, h2.events.StreamReset) and event.stream_id in self.sockets:
            self.sockets.pop(event.stream_id).close()

    def open(self, stream, headers):
        self.gateway.requests.append(headers)
        where = self.gateway.target(headers[":authority"])
        if isinstance(where, int):
            return self.h2.send_headers(stream, [(":status", str(where))], end_stream=True)
        if isinstance(where, list):
            return self.h2.send_headers(stream, where, end_stream=True)
        with netns.inside(self.gateway.pod.netns):
            self.sockets[stream] = socket.create_connection(where, 5)
        self.waiting[stream] = b""
        self.h2.send_headers(stream, [(":status", self.gateway.success)])

    def read_target(self, one):
        stream = self.stream_of(one)
        try:
            data = one.recv(65536)
        except OSError:
            data = b""
        self.waiting[stream] += data
        if not data:
            self.ended.add(stream)
            del self.sockets[stream]
            one.close()

    def send_waiting(self):
        for stream in list(self.waiting):
            try:
                while data := self.waiting[stream]:
                    count = min(
                        len(data), self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
                    if count <= 0:
                        break
                    self.h2.send_data(stream, data[:count])
                    self.waiting[stream] = data[count:]
                if stream in self.ended and not self.waiting[stream]:
                    self.h2.end_stream(stream)
                    del self.waiting[stream]
            except h2.exceptions.H2Error:
                del self.waiting[stream]
