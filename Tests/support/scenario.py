"""What Istio's scenarios share: the server that answers twice what it reads, and the bookkeeping both reporters must do."""
import re
import socket

from .netns import inside, receive
from .servers import Server
from .waiting import wait_for

HELLO = b"hello world"
TWICE = HELLO + HELLO
PREFIX = b"waypoint\n"


class DoubleServer(Server):
    """Writes twice what it reads: 11 bytes in, 22 out."""

    def serve(self, connection, address):
        while data := connection.recv(65536):
            connection.sendall(data + data)


class WaypointEcho(Server):
    """What stands behind a scripted waypoint: says that it is one, then echoes (11 bytes in, 20 out)."""

    def serve(self, connection, address):
        connection.sendall(PREFIX)
        while data := connection.recv(65536):
            connection.sendall(data)


def converse(connection, answer=TWICE):
    """One exchange on an open connection."""
    connection.settimeout(10)
    connection.sendall(HELLO)
    got = receive(connection, len(answer))
    assert got == answer, got


def exchange(pod, address, port, answer=TWICE):
    """One connection with one exchange."""
    with pod.connect(address, port) as connection:
        converse(connection, answer)


def connect_uncaptured(pod, address, port, seconds=10):
    """A connection from a captured pod's own address that its capture leaves alone, as it leaves the proxy's alone: by its mark."""
    with inside(pod.netns):
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x539)
    connection.settimeout(seconds)
    connection.connect((address, port))
    return connection


class Ledger:
    """What one daemon counts and logs from now on of the connections that have `labels`."""

    NAMES = {
        "opened": "istio_tcp_connections_opened_total", "closed": "istio_tcp_connections_closed_total",
        "received": "istio_tcp_received_bytes_total", "sent": "istio_tcp_sent_bytes_total",
        "failed": "istio_tcp_connections_failed_total",
    }

    def __init__(self, daemon, reporter, **labels):
        self.daemon, self.labels = daemon, {"reporter": reporter, **labels}
        self.direction = {"source": "outbound", "destination": "inbound"}[reporter]
        self._before, self._mark = self._read(), len(daemon.text())

    def _read(self):
        sums = dict.fromkeys(self.NAMES, 0)
        for line in self.daemon.get(15020, "/metrics")[1].splitlines():
            match = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
            if not match or not all(f'{key}="{value}"' in match[2] for key, value in self.labels.items()):
                continue
            for key, name in self.NAMES.items():
                if match[1] == name:
                    sums[key] += float(match[3])
        return sums

    def deltas(self):
        return {key: value - self._before[key] for key, value in self._read().items()}

    def expect(self, opened=1, closed=1, received=len(HELLO), sent=len(TWICE), failed=0):
        """Waits for exactly these differences."""
        wanted = {"opened": opened, "closed": closed, "received": received, "sent": sent, "failed": failed}
        last = {}

        def reached():
            last.update(self.deltas())
            assert last == wanted, last
            return True

        wait_for(reached, f"{self.daemon.name} counts {wanted} for {self.labels}")

    def line(self, *parts, message="connection complete"):
        """The fields of the one new access line of this direction that has all of `parts`."""
        wanted = (message, f'direction="{self.direction}"', *parts)

        def found():
            lines = [
                line for line in self.daemon.text()[self._mark :].splitlines() if all(part in line for part in wanted)]
            assert len(lines) == 1, (wanted, lines)
            return lines[0]

        return fields_of(wait_for(found, f"{self.daemon.name} logs {wanted} once"))


def fields_of(line):
    """The key=value fields of a text log line; quotes removed, other escapes kept."""
    pairs = re.findall(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)', line.split("\t", 4)[4])
    return {key: value[1:-1].replace('\\"', '"') if value.startswith('"') else value for key, value in pairs}
