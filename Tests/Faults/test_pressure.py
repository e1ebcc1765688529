"""Rows 73, 75 and 76: too little memory, a log that nobody takes, no source ports left."""
import contextlib
import os
import pathlib
import selectors
import socket
import struct
import subprocess
import threading

import pytest

from support import netns
from support.netns import receive
from support.standing import peak_kib
from support.waiting import wait_for

pytestmark = pytest.mark.root

MIB = 1 << 20
_MEMORY = pathlib.Path("/sys/fs/cgroup/memory")


@contextlib.contextmanager
def memory_group(limit):
    """A control group with a limit of bytes; version 1 where the machine has that, else version 2."""
    if (_MEMORY / "memory.limit_in_bytes").exists():
        group, name = _MEMORY / f"zt-{os.getpid()}-memory", "memory.limit_in_bytes"
    else:
        group, name = pathlib.Path(f"/sys/fs/cgroup/zt-{os.getpid()}-memory"), "memory.max"
    group.mkdir()
    try:
        if not (group / name).exists():
            pytest.skip("this machine has no memory controller to limit")
        (group / name).write_text(str(limit))
        yield group
    finally:
        def is_gone():
            with contextlib.suppress(OSError):
                for process in (group / "cgroup.procs").read_text().split():
                    (group.parent / "cgroup.procs").write_text(process)
                group.rmdir()
            return not group.exists()

        wait_for(is_gone, "the control group is removed", 20)


class Flood:
    """An application that sends to whoever connects, all it takes; one thread for all."""

    def __init__(self, pod, port):
        with netns.inside(pod.netns):
            self._listener = socket.create_server(("0.0.0.0", port), backlog=4096)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._end, self.taken = threading.Event(), 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        block = b"z" * MIB
        while not self._end.is_set():
            for key, _ in self._selector.select(0.2):
                try:
                    if key.fileobj is self._listener:
                        connection = self._listener.accept()[0]
                        connection.setblocking(False)
                        self._selector.register(connection, selectors.EVENT_WRITE)
                    else:
                        self.taken += key.fileobj.send(block)
                except BlockingIOError:
                    pass
                except OSError:
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()


def slow_readers(mesh, count, limit):
    """Every one asks for without end and reads nothing. The daemon on the readers' side has `limit` bytes of memory."""
    world = mesh.world
    with memory_group(limit) as group, Flood(world.server, 7020), contextlib.ExitStack() as stack:
        mesh.start_second()
        mesh.start_first()
        (group / "cgroup.procs").write_text(str(mesh.one.pid))
        with mesh.probe(seconds=60):
            for _ in range(count):
                with netns.inside(world.client.netns):
                    connection = stack.enter_context(socket.socket())
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.settimeout(30)
                # Refused with a reason is one of the ways out.
                with contextlib.suppress(OSError):
                    connection.connect((world.server.ipv4, 7020))
            peaks = []

            def is_steady():
                assert mesh.one.alive(), "killed for want of memory"
                peaks.append(peak_kib(mesh.one.pid))
                return len(peaks) > 10 and peaks[-1] - peaks[-11] < 1024

            wait_for(is_steady, "it takes no more memory", 180, 0.5)
        print(f"{peaks[-1] / 1024:.0f} MiB at most for {count} readers that do not read")
        stack.close()
    assert mesh.one.alive() and mesh.two.alive()


def test_row_73_slow_readers_in_little_memory(bare):
    slow_readers(bare, 300, 256 * MIB)


@pytest.mark.slow
def test_row_73_five_thousand_slow_readers_in_256_mib(bare):
    slow_readers(bare, 5000, 256 * MIB)
    assert bare.one.lines('reason="over_limit"'), "whoever was turned away is told why"


def short_calls(mesh, count):
    """Connections that each leave lines in the log."""
    for _ in range(count):
        with mesh.world.neighbour.connect(mesh.world.other.ipv4, 7000) as connection:
            connection.sendall(b"line")
            assert receive(connection, 4) == b"line"


class Stuck:
    """A ztund on the first node whose output goes where the test says."""

    def __init__(self, mesh, output, monkeypatch):
        real = subprocess.Popen

        def popen(command, **options):
            return real(command, **{**options, "stdout": output, "stderr": output})

        monkeypatch.setattr("support.process.subprocess.Popen", popen)
        mesh.start_first()
        monkeypatch.undo()


@pytest.mark.slow
def test_row_75_a_log_pipe_whose_reader_is_stopped(bare, monkeypatch):
    mesh = bare
    mesh.start_second()
    end, other = os.pipe()
    try:
        Stuck(mesh, other, monkeypatch)
        with mesh.probe():
            short_calls(mesh, 3000)
            wait_for(lambda: (short_calls(mesh, 200), mesh.one.status()["logLinesDropped"])[1], "lost lines are counted", 240)
        assert mesh.one.metric("ztun_log_lines_dropped_total") > 0
        text = b""
        while b"log lines were lost" not in text:
            text += os.read(end, MIB)
    finally:
        os.close(end)
        os.close(other)


def test_row_75_a_full_disk_under_the_log(bare, monkeypatch):
    """The lines are lost and counted; when there is room again, new ones come."""
    mesh = bare
    mesh.start_second()
    folder = mesh.folder / f"zt-{os.getpid()}-log"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        path = folder / "log"
        with open(path, "ab") as output:
            Stuck(mesh, output, monkeypatch)
            with mesh.probe():
                short_calls(mesh, 300)
                wait_for(
                    lambda: (short_calls(mesh, 10), mesh.one.status()["logLinesDropped"])[1], "lost lines are counted", 60)
            os.truncate(path, 0)
            wait_for(
                lambda: (short_calls(mesh, 1), b"connection complete" in path.read_bytes())[1], "lines come again", 20)
            assert mesh.one.alive()
            mesh.one.stop()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def few_ports(pod, first, last):
    with netns.inside(pod.netns):
        path = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
        before = path.read_text()
        path.write_text(f"{first} {last}")
    try:
        yield
    finally:
        with netns.inside(pod.netns):
            path.write_text(before)


def from_port(pod, port, address, target):
    """A connection from a port outside the narrowed range, so that only the proxy's own dial lacks one."""
    with netns.inside(pod.netns):
        connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind((pod.ipv4, port))
    connection.settimeout(10)
    with contextlib.suppress(ConnectionResetError):
        connection.connect((address, target))
    return connection


def answers(connection):
    try:
        connection.sendall(b"x")
        return connection.recv(1) == b"x"
    except OSError:
        return False


def test_row_76_no_source_port_is_left(harmless):
    """Eight ports towards one server: the ninth connection is refused with its cause, and room is used at once."""
    mesh, world = harmless, harmless.world
    with few_ports(world.client, 50_000, 50_007), mesh.probe(), contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(from_port(world.client, 20_000 + number, world.plain.ipv4, 7000)) for number in range(12)]
        good = [connection for connection in connections if answers(connection)]
        assert 0 < len(good) <= 8
        mesh.one.wait_for_line("EADDRNOTAVAIL", f"{world.plain.ipv4}:7000")
        # A tunnel needs one port for all, and has it.
        with from_port(world.client, 20_100, world.server.ipv4, 7000) as connection:
            assert answers(connection)
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        def serves_again():
            with from_port(world.client, 20_200 + next(numbers), world.plain.ipv4, 7000) as connection:
                return answers(connection)

        numbers = iter(range(1000))
        wait_for(serves_again, "it dials again", 90, 0.5)
