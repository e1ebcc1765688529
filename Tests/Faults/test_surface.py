"""Rows 96 to 98: the admin surface, the command line beside a daemon that is unwell, and text that is meant to mislead."""
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import time

import hpack
import pytest
from hyperframe.frame import HeadersFrame, SettingsFrame

from support import netns
from support.hbone import client_context
from support.waiting import wait_for

pytestmark = pytest.mark.root

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize("who", ["captured", "outside"])
def test_row_96_the_admin_port_is_for_the_node_itself(mesh, who):
    """From a pod, by every address of the node: nothing answers at 15000."""
    pod = mesh.world.client if who == "captured" else mesh.world.outsider
    for address in (mesh.first.ipv4, "169.254.1.1", "127.0.0.1", mesh.second.ipv4):
        result = pod.curl(f"http://{address}:15000/config_dump", seconds=3)
        assert result.returncode != 0 and not result.stdout, (address, result.stdout[:200])
    assert mesh.one.get(15000, "/config_dump")[0] == 200, "it is there"


def test_row_96_no_key_leaves_the_process(mesh):
    """Neither the admin port nor the commands show private keys, whatever is asked."""
    mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", check=True)
    texts = [mesh.one.get(15000, path)[1] for path in ("/", "/config_dump")] + [mesh.one.get(15020, "/metrics")[1]]
    texts += [
        mesh.one.ztun(*command, check=False).stdout
        for command in (["status", "-o", "json"], ["certs", "-o", "json"], ["connections", "-o", "json"])]
    _, key = mesh.leaf("client", mesh.world.client.identity)
    with open(key) as file:
        secret = "".join(file.read().splitlines()[1:-1])
    for text in texts:
        assert text and "PRIVATE KEY" not in text and secret[40:80] not in text
    memory_of_log = mesh.one.text()
    assert "PRIVATE KEY" not in memory_of_log and secret[40:80] not in memory_of_log


def test_row_96_slow_readers_of_the_admin_port(harmless):
    """Two hundred that ask for everything and read nothing: connections go on, and so does the admin port."""
    mesh = harmless
    with mesh.probe(), contextlib.ExitStack() as stack:
        for number in range(200):
            with netns.inside(mesh.first.netns):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", 15000 if number % 2 else 15020), 5))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            path = "/config_dump" if number % 2 else "/metrics"
            with contextlib.suppress(OSError):
                connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode() * 5)
        for _ in range(5):
            # Long answers are composed a few at a time; one too many is told so and may come again.
            wait_for(lambda: mesh.one.get(15000, "/config_dump")[0] == 200, "the dump is to be had", 30, 0.2)
            assert mesh.one.get(15020, "/metrics")[0] == 200
            assert mesh.one.ztun("status").returncode == 0


def test_row_96_only_root_gives_commands(mesh):
    """The socket that changes state is root's alone."""
    mode = (mesh.one.run_dir / "ztund.sock").stat()
    assert mode.st_mode & 0o077 == 0 and mode.st_uid == 0


def asked(daemon):
    begin = time.monotonic()
    result = daemon.ztun("status", "-o", "json", check=False)
    return result, time.monotonic() - begin


def test_row_97_status_of_a_daemon_that_hangs(own_mesh):
    """Stopped in the middle of its life: an answer within the two seconds it allows itself, and 2 as exit status."""
    mesh = own_mesh
    assert asked(mesh.one)[0].returncode == 0
    os.kill(mesh.one.pid, signal.SIGSTOP)
    try:
        result, took = asked(mesh.one)
        assert result.returncode not in (0, 1) and took < 5, (result, took)
        assert result.stderr.strip(), "it says what is wrong"
    finally:
        os.kill(mesh.one.pid, signal.SIGCONT)
    wait_for(lambda: asked(mesh.one)[0].returncode == 0, "it answers again", 20)
    os.kill(mesh.one.pid, signal.SIGKILL)
    mesh.one.process.wait(10)
    result, took = asked(mesh.one)
    assert result.returncode not in (0, 1) and took < 5 and result.stderr.strip()


def test_row_97_status_while_descriptors_are_short(bare):
    """A daemon in trouble can still be asked what the trouble is."""
    mesh = bare
    mesh.start_second()
    mesh.start_first(under=["prlimit", "--nofile=128:128", "--"])
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            with netns.inside(mesh.world.client.netns):
                connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.connect((mesh.world.plain.ipv4, 7000))
        mesh.one.wait_for_line("accepting pauses")
        result, took = asked(mesh.one)
        assert result.returncode in (0, 1) and took < 5, result
        assert json.loads(result.stdout)["pods"]
        assert mesh.one.metric("ztun_accept_pauses_total") > 0


HOSTILE = {
    "new-line": b"10.61.2.10:7000\n2026-01-01T00:00:00Z\tinfo\taccess\tforged",
    "carriage-return": b"10.61.2.10\r:7000",
    "terminal": b"\x1b[2J\x1b[31mred",
    "quote": b'x" reason="forged" y="',
    "backslash": b"x\\\" reason=\\\"forged",
    "tab": b"x\taccess\tforged",
    "nul": b"10.61.2.10:7000\0more",
    "not-utf8": b"\xff\xfe\x80:7000",
    "right-to-left": "\u202e0007:01".encode(),
    "long": b"a" * 15_000,
    "percent": b"%n%s%x%d:80",
    "json": b'{"level":"error"}:1',
}


def ask_raw(mesh, authority, extra=()):
    """A CONNECT with bytes that no library would send; what the peer answers is not looked at."""
    chain, key = mesh.leaf("client", mesh.world.client.identity)
    raw = mesh.world.outsider.connect(mesh.world.server.ipv4, 15008)
    raw.settimeout(5)
    with client_context(mesh.authority, chain, key).wrap_socket(raw) as connection:
        frame = HeadersFrame(1)
        frame.data = hpack.Encoder().encode([(b":method", b"CONNECT"), (b":authority", authority), *extra])
        frame.flags.add("END_HEADERS")
        frame.flags.add("END_STREAM")
        connection.sendall(PREFACE + SettingsFrame(0).serialize() + frame.serialize())
        with contextlib.suppress(OSError, ssl.SSLError):
            socket.socket.shutdown(connection, socket.SHUT_WR)
            while connection.recv(65536):
                pass


@pytest.mark.parametrize("where", ["authority", "fields"])
def test_row_98_text_of_a_peer_in_log_metrics_and_status(mesh, where):
    """One record is one line, printable, in the right columns; nothing forged stands anywhere."""
    mark = len(mesh.two.log.read_bytes())
    for text in HOSTILE.values():
        if where == "authority":
            ask_raw(mesh, text)
        else:
            pod = b"k8s.pod.name=" + text
            ask_raw(mesh, b"10.61.2.10:7000", [(b"baggage", pod), (b"traceparent", text), (b"x-y", text)])
    with mesh.stranger() as peer:
        assert peer.connect("no-such-name:1")[0] is not None
    lines = wait_for(
        lambda: (text := mesh.two.log.read_bytes()[mark:]).count(b"no-such-name") and text.splitlines(), "it is logged")
    # Most is refused as a broken request before anybody reads it; what is left is a record each.
    assert len(lines) > 2, lines
    for line in lines:
        assert re.fullmatch(rb"[\t\x20-\x7e]+", line), line
        assert len(line.split(b"\t")) == 5 and len(line) < 4000, line
        assert not re.search(rb'(?<!\\) reason="forged"', line), line
    for page in (mesh.two.get(15020, "/metrics")[1], mesh.two.ztun("status").stdout, mesh.two.ztun("denials").stdout):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)
        assert 'reason="forged"' not in page.replace('\\"', "")
    assert json.loads(mesh.two.ztun("denials", "-o", "json").stdout)["denials"]
