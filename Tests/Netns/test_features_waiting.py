"""Connections that arrive before the state knows the pod: they wait for it, up to five seconds, and are refused then."""
import concurrent.futures
import contextlib
import json
import socket
import time

import pytest

from Netns.conftest import stage
from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.netns import inside
from support.state import State
from support.waiting import wait_for
from support.world import VIP

pytestmark = pytest.mark.root


def state_without(mesh, *names):
    """The state of the stage without some workloads."""
    state = State()
    state.services, state.policies = mesh.state.services, mesh.state.policies
    state.workloads = [entry for entry in mesh.state.workloads if entry["name"] not in names]
    return state


@pytest.fixture
def late(bare):
    """Both nodes up; the second does not know `server` yet, the first not `client`. `tell` gives them the whole state."""
    mesh = bare
    mesh.first_state = state_without(mesh, "client").write(mesh.folder / "first.yaml")
    mesh.second_state = state_without(mesh, "server").write(mesh.folder / "second.yaml")
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, "--workers", 1, state=mesh.first_state)
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods, "--workers", 1, state=mesh.second_state)
    return mesh


def in_background(call, *arguments):
    return concurrent.futures.ThreadPoolExecutor(1).submit(call, *arguments)


def server_of(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["server"]


def test_outbound_waits_for_the_clients_workload(late):
    mesh = late
    mesh.state.write(mesh.second_state)
    wait_for(lambda: mesh.two.pod_status(mesh.world.server)["workloadKnown"], "the second node knows the server")
    call = in_background(lambda: mesh.world.client.curl(f"http://{VIP}/", seconds=8))
    with mesh.world.client.connect(VIP, 9000) as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert not call.done(), "nothing is refused and nothing answered meanwhile"
        mesh.state.write(mesh.first_state)
        assert server_of(call.result()) == "server"
    assert not mesh.one.lines("workload_unknown")


def test_plaintext_waits_for_the_servers_workload(late):
    mesh = late
    call = in_background(lambda: mesh.world.outsider.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=8))
    with mesh.world.outsider.connect(mesh.world.server.ipv4, 8080) as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert not call.done()
        mesh.state.write(mesh.second_state)
        assert server_of(call.result()) == "server"


def test_a_tunnel_waits_for_the_servers_workload(late):
    mesh = late
    mesh.state.write(mesh.first_state)
    wait_for(lambda: mesh.one.pod_status(mesh.world.client)["workloadKnown"], "the first node knows the client")
    call = in_background(lambda: mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=8))
    with contextlib.suppress(concurrent.futures.TimeoutError):
        call.result(0.7)
    assert not call.done()
    mesh.state.write(mesh.second_state)
    assert server_of(call.result()) == "server"
    assert not mesh.two.lines("workload_unknown")


@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_after_five_seconds_it_is_refused_with_its_reason(late, direction):
    mesh = late
    pod, daemon = {
        "outbound": (mesh.world.client, mesh.one), "inbound": (mesh.world.outsider, mesh.two)}[direction]
    began = time.monotonic()
    with pod.connect(mesh.world.server.ipv4, 8080) as connection:
        connection.settimeout(8)
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert 4.5 < time.monotonic() - began < 6.5
    line = daemon.wait_for_line("workload_unknown", f'direction="{direction}"')
    assert "5 s" in line
    assert daemon.metric("ztun_refusals_total", reason="workload_unknown", direction=direction) >= 1


def test_how_many_wait_is_bounded(late):
    """The 257th is refused at once while 256 wait. What waits longest is refused after 5 s: a machine too slow to open
    them all in that time says nothing, so there are a few attempts."""
    mesh = late
    for _ in range(5):
        begun = time.monotonic()
        with contextlib.ExitStack() as stack:
            with inside(mesh.world.client.netns):
                arrivals = [stack.enter_context(socket.create_connection((VIP, 80), 5)) for _ in range(256)]
            with contextlib.suppress(TimeoutError):
                # The reset may come before connect() has returned, or after.
                with pytest.raises(ConnectionResetError), inside(mesh.world.client.netns):
                    stack.enter_context(socket.create_connection((VIP, 80), 3)).recv(1)
                if time.monotonic() - begun < 4:
                    mesh.one.wait_for_line("workload_unknown", "256 arrivals wait")
                    arrivals[0].settimeout(0.1)
                    with pytest.raises(TimeoutError):
                        arrivals[0].recv(1)
                    return
        # The places of this attempt are free again when its five seconds are over.
        wait_for(lambda: time.monotonic() - begun > 6, "nobody waits any more")
    raise AssertionError("no attempt showed a refusal beside 256 that wait")


@pytest.fixture
def requests(tmp_path, monkeypatch):
    """A tunnel of other make to `server`, whose workload then leaves the state."""
    monkeypatch.setattr("Netns.conftest.Mesh", FileMesh)
    with stage(tmp_path) as mesh:
        mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods, "--workers", 1)
        chain, key = mesh.leaf("client", mesh.world.client.identity)
        raw = mesh.world.client.connect(mesh.world.server.ipv4, 15008)
        with Client(raw, client_context(mesh.authority, chain, key)) as mesh.tunnel:
            assert mesh.tunnel.connect(f"{mesh.world.server.ipv4}:7000")[0] == 200
            mesh.whole = mesh.state.text()
            mesh.state.workloads = [entry for entry in mesh.state.workloads if entry["name"] != "server"]
            mesh.state.write(mesh.state_path)
            wait_for(lambda: not mesh.two.pod_status(mesh.world.server)["workloadKnown"], "the server is forgotten")
            yield mesh


def ask(mesh):
    return mesh.tunnel.request([(":method", "CONNECT"), (":authority", f"{mesh.world.server.ipv4}:7000")])


def test_a_request_in_an_open_tunnel_waits_and_loses_nothing(requests):
    mesh = requests
    stream = ask(mesh)
    mesh.tunnel.send(stream, b"early " * 1000)
    mesh.state_path.write_text(mesh.whole)
    assert mesh.tunnel.answer(stream)[0] == 200
    assert mesh.tunnel.receive(stream, 6000) == b"early " * 1000


def test_a_request_that_waited_in_vain_is_answered_503(requests):
    mesh = requests
    began = time.monotonic()
    status, _, headers = mesh.tunnel.answer(ask(mesh))
    assert status == 503
    assert "workload_unknown" in headers["proxy-status"]
    assert 4.5 < time.monotonic() - began < 6.5
    mesh.two.wait_for_line("workload_unknown", 'direction="inbound"', "5 s")
