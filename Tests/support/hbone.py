"""An HBONE client written apart from ours: Python's ssl and the h2 package."""
import ssl

import h2.config
import h2.connection
import h2.events


def client_context(authority, chain, key):
    """TLS as an HBONE client speaks it; the server's chain is checked, its name is not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority.certificate)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["h2"])
    return context


class Client:
    """One HTTP/2 connection over TLS; every call waits for its answer with the socket's deadline."""

    def __init__(self, raw, context, seconds=10):
        raw.settimeout(seconds)
        self.socket = context.wrap_socket(raw)
        configuration = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(configuration)
        self.h2.initiate_connection()
        self.flush()
        self.events = []
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def wait(self, kinds, stream=None):
        """The next event of `kinds` (of that stream); None when the connection ended first."""
        while True:
            for index, event in enumerate(self.events):
                if isinstance(event, kinds) and stream in (None, getattr(event, "stream_id", None)):
                    return self.events.pop(index)
            if self.ended:
                return None
            try:
                data = self.socket.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            self.ended = not data
            if not data:
                continue
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.events.append(event)
            self.flush()

    def request(self, headers, end=False):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=end)
        self.flush()
        return stream

    def connect(self, authority, *headers):
        """(status or None, stream, response headers) of a CONNECT."""
        return self.answer(self.request([(":method", "CONNECT"), (":authority", authority), *headers]))

    def answer(self, stream):
        event = self.wait((h2.events.ResponseReceived, h2.events.StreamReset, h2.events.ConnectionTerminated), stream)
        if not isinstance(event, h2.events.ResponseReceived):
            return None, stream, {}
        headers = dict(event.headers)
        return int(headers[":status"]), stream, headers

    def send(self, stream, data, end=False):
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def receive(self, stream, count):
        """At least `count` bytes, or what came until the end."""
        data = b""
        while len(data) < count:
            event = self.wait((h2.events.DataReceived, h2.events.StreamEnded, h2.events.StreamReset), stream)
            if not isinstance(event, h2.events.DataReceived):
                break
            data += event.data
        return data

    def ends(self, stream):
        """Whether the stream ends in order (END_STREAM, not a reset)."""
        return isinstance(self.wait((h2.events.StreamEnded, h2.events.StreamReset), stream), h2.events.StreamEnded)
