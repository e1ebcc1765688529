"""Where a reason shows: the metric, the ring behind `ztun denials`, the access log, and Proxy-Status to a verified peer."""
import contextlib
import json

from .hbone import Client, client_context
from .waiting import wait_for


def denials(daemon, reason):
    answer = json.loads(daemon.ztun("denials", "--reason", reason, "--limit", 10000, "-o", "json").stdout)
    assert all(row["reason"] == reason and row["nextStep"] for row in answer["denials"])
    return answer["matching"]


@contextlib.contextmanager
def seen(token, *daemons, seconds=20):
    """The block makes `token` appear at each of the daemons: one more in the metric and the ring, a line in the log."""
    before = [
        (daemon.metric("ztun_refusals_total", reason=token), denials(daemon, token), len(daemon.lines(f'reason="{token}"')))
        for daemon in daemons]
    yield
    for daemon, (counted, held, lines) in zip(daemons, before):
        wait_for(
            lambda: daemon.metric("ztun_refusals_total", reason=token) > counted, f"{daemon.name} counts {token}", seconds)
        wait_for(lambda: denials(daemon, token) > held, f"{daemon.name} remembers {token}", 3)
        wait_for(lambda: len(daemon.lines(f'reason="{token}"')) > lines, f"{daemon.name} logs {token}", 3)


def call(pod, address, port=8080, seconds=20):
    """Opens a connection, sends a line and waits for its end; the application sees a reset or an end, never a reason."""
    received = b""
    with contextlib.suppress(OSError), pod.connect(address, port, seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        while data := connection.recv(65536):
            received += data
    assert b"proxy-status" not in received.lower()
    return received


@contextlib.contextmanager
def stranger(mesh, to, identity=None, seconds=15):
    """An HBONE client of another make in the unenrolled pod, with any identity of the mesh's authority."""
    identity = identity or "spiffe://cluster.local/ns/default/sa/stranger"
    chain, key = mesh.leaf(identity.rsplit("/", 1)[1] + str(len(identity)), identity)
    with mesh.world.outsider.connect(to.ipv4, 15008, seconds) as raw:
        with Client(raw, client_context(mesh.authority, chain, key), seconds) as client:
            yield client
