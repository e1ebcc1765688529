"""Rows 82 to 85: a network between the nodes that swallows, refuses, cuts, loses and crawls."""
import contextlib
import errno
import hashlib
import socket
import struct
import threading
import time

import pytest

from support.firewall import rules, throttle
from support.netns import receive
from support.servers import blocks, digest_of
from support.waiting import wait_for

pytestmark = pytest.mark.root


def ending(connection, seconds):
    """How an open connection ends, and after how long: the name of the error, or "end"."""
    begin = time.monotonic()
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
        return "end", time.monotonic() - begin
    except OSError as error:
        return type(error).__name__, time.monotonic() - begin


def echo(pod, address, port=7000, seconds=20):
    connection = pod.connect(address, port, seconds)
    connection.sendall(b"hello")
    assert receive(connection, 5) == b"hello"
    return connection


def test_row_82_a_peer_that_falls_silent(harmless):
    """Dead after one ping and its time limit, 30 s at most; its connections are reset, other peers notice nothing."""
    mesh, world = harmless, harmless.world
    with mesh.probe(), contextlib.ExitStack() as stack:
        quiet = stack.enter_context(echo(world.client, world.server.ipv4))
        busy = stack.enter_context(echo(world.client, world.server.ipv4))
        with rules(mesh.first, f"ip saddr {world.server.ipv4} drop", f"ip daddr {world.server.ipv4} drop"):
            found = {}

            def watch(name, connection):
                found[name] = ending(connection, 60)

            busy.sendall(b"into the void")
            threads = [
                threading.Thread(target=watch, args=item) for item in (("quiet", quiet), ("busy", busy))]
            for thread in threads:
                thread.start()
            # A new connection shares the silent tunnel, or finds it gone: refused after its own time limit at the latest.
            with world.client.connect(world.server.ipv4, 7000) as late:
                assert ending(late, 40)[0] == "ConnectionResetError"
            for thread in threads:
                thread.join()
            print({name: f"{how} after {after:.0f} s" for name, (how, after) in found.items()})
            for how, after in found.values():
                assert how == "ConnectionResetError" and after < 35, found
            mesh.one.wait_for_line('reason="peer_unresponsive"')
            # The other end hears nothing either and gives its half up as well.
            mesh.two.wait_for_line("answered no ping", seconds=40)
        wait_for(lambda: echo(world.client, world.server.ipv4).close() is None, "it serves again", 30)


@pytest.mark.slow
def test_row_83_only_the_tunnel_port_is_blocked(harmless):
    """What a NetworkPolicy written for the application's port does. The error names it and the port."""
    mesh, world = harmless, harmless.world
    with rules(mesh.first, f"ip daddr {world.server.ipv4} tcp dport 15008 ct state new drop"):
        # A tunnel that is there already would carry it.
        assert mesh.one.ztun("connections").returncode == 0
        with mesh.probe(), world.denied.connect(world.server.ipv4, 8080) as connection:
            how, after = ending(connection, 30)
            assert how == "ConnectionResetError" and after < 20
        line = mesh.one.wait_for_line('reason="tunnel_port_blocked"', world.server.ipv4)
        assert "NetworkPolicy" in line and "15008" in line
        answer = mesh.one.ztun("denials", "--reason", "tunnel_port_blocked", "-o", "json").stdout
        assert "NetworkPolicy" in answer and "15008" in answer


@pytest.mark.parametrize("answer", ["tcp reset", "icmpx port-unreachable", "icmpx admin-prohibited"])
def test_row_84_a_network_that_refuses(harmless, answer):
    """The refusal arrives at once as a reset, with the kernel's word for it in the log."""
    mesh, world = harmless, harmless.world
    with rules(mesh.first, f"ip daddr {world.server.ipv4} meta l4proto tcp reject with {answer}"):
        with mesh.probe():
            began = time.monotonic()
            # The reset may come before connect() has returned, or after.
            with pytest.raises(ConnectionResetError), world.denied.connect(world.server.ipv4, 8080, 15) as connection:
                connection.recv(1)
            assert time.monotonic() - began < 8
        mesh.one.wait_for_line('reason="connect_failed"', f"{world.server.ipv4}:15008")


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_row_84_cut_after_some_bytes(harmless, direction):
    """The transfer ends with a reset at both ends: nobody takes the part for the whole."""
    mesh, world = harmless, harmless.world
    size = 4_000_000
    wire = f"ip saddr {{ {world.client.ipv4}, {world.server.ipv4} }} meta l4proto tcp quota name much reject with tcp reset"
    with rules(mesh.first, wire, counters=["quota much { over 1 mbytes }"]), mesh.probe():
        with world.client.connect(world.server.ipv4, 9000 if direction == "upload" else 9001, 20) as connection:
            got = b""
            with pytest.raises(OSError) as end:
                if direction == "upload":
                    for block in blocks(size):
                        connection.sendall(block)
                    connection.shutdown(socket.SHUT_WR)
                else:
                    connection.sendall(struct.pack(">Q", size))
                while part := connection.recv(65536):
                    got += part
            # After a reset that arrived between two calls a shutdown finds no connection any more.
            assert end.value.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN), end.value
            assert len(got) < size and (direction == "download" or not got)
    wait_for(lambda: echo(world.client, world.server.ipv4).close() is None, "it serves again", 30)


def upload(pod, address, size, seconds):
    with pod.connect(address, 9000, seconds) as connection:
        connection.settimeout(seconds)
        for block in blocks(size):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        return receive(connection, 64).decode()


def download(pod, address, size, seconds):
    digest = hashlib.sha256()
    with pod.connect(address, 9001, seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(struct.pack(">Q", size))
        while part := connection.recv(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def carries(mesh, size, seconds):
    world = mesh.world
    for transfer in (upload, download):
        assert transfer(world.client, world.server.ipv4, size, seconds) == digest_of(size), transfer.__name__


def test_row_85_a_tenth_is_lost(harmless):
    with rules(harmless.first, "meta l4proto tcp numgen random mod 10 == 0 drop"):
        carries(harmless, 300_000, 120)


def test_row_85_two_megabits(harmless):
    """Both transfers are whole, and what does not fit the wire is not kept in memory."""
    with throttle(harmless.first, "up0", "2mbit"), throttle(harmless.second, "up0", "2mbit"):
        carries(harmless, 500_000, 120)


@pytest.mark.slow
def test_row_85_two_megabits_and_a_tenth_lost_for_long(harmless):
    with throttle(harmless.first, "up0", "2mbit"), throttle(harmless.second, "up0", "2mbit"):
        with rules(harmless.first, "meta l4proto tcp numgen random mod 10 == 0 drop"):
            carries(harmless, 2_000_000, 580)
