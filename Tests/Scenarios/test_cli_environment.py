"""Istio's environment variables against the real daemon: what they change, what they refuse, what they say."""
import json
import os
import subprocess

import h2.events
import pytest

from support import netns
from support.capture import node_flags
from support.filemesh import FileMesh
from support.hbone import Client, client_context
from support.process import Daemon
from support.programs import program
from support.servers import HTTPServer
from support.waiting import wait_for
from support.world import VIP, World, make_network


def ztund(tmp_path, environment, *arguments):
    return subprocess.run(
        [program("ztund"), "run", "--run-dir", str(tmp_path), *arguments], capture_output=True, text=True, timeout=20,
        env={"PATH": os.environ["PATH"], **environment})


@pytest.mark.parametrize("name, value, why", [
    ("KEEPALIVE_TIME", "soon", "a duration as 5s, 1m or 1h"),
    ("ENABLE_ORIG_SRC", "1", "true or false"),
    ("PROXY_MODE", "dedicated", "only shared mode exists here"),
    ("PACKET_MARK", "99", "always 1337"),
    ("ZTUNNEL_WORKER_THREADS", "many", "expected a number"),
    ("COMPLIANCE_POLICY", "fips-140-2", "cannot be promised"),
])
def test_a_bad_value_ends_the_start(tmp_path, name, value, why):
    result = ztund(tmp_path, {name: value}, "--state", "/none", "--ca-dir", str(tmp_path / "ca"))
    assert result.returncode not in (0, None) and result.returncode > 0
    assert f"invalid env var {name}={value} (" in result.stderr and why in result.stderr


def test_two_places_for_the_state(tmp_path):
    result = ztund(tmp_path, {"LOCAL_XDS": "{}", "LOCAL_XDS_PATH": "/x"}, "--ca-dir", str(tmp_path / "ca"))
    assert "invalid env var LOCAL_XDS_PATH=/x (LOCAL_XDS is set too" in result.stderr


@pytest.fixture
def mesh(tmp_path):
    with make_network() as network, FileMesh(network, tmp_path) as mesh:
        mesh.world = World(network)
        mesh.state = mesh.world.state()
        mesh.state.write(mesh.state_path)
        mesh.use(HTTPServer(mesh.world.server, 8080))
        yield mesh


@pytest.mark.root
@pytest.mark.parametrize("capture", ["default", "nft"])
def test_variables_steer_the_daemon(mesh, monkeypatch, capture):
    """Class (`default`): a dial from the pod's own address, bound to lo, whose answer the kernel has come by eth0."""
    if capture == "nft":
        monkeypatch.setattr("support.capture.mode", "nft")
    for name, value in {
        "CLUSTER_ID": "east", "NODE_NAME": "n2", "NETWORK": "", "ENABLE_ORIG_SRC": "false",
        "ENABLE_RESPONSE_BAGGAGE": "false", "ZTUNNEL_WORKER_THREADS": "3", "POOL_MAX_STREAMS_PER_CONNECTION": "5",
        "POOL_UNUSED_RELEASE_TIMEOUT": "90s", "KEEPALIVE_TIME": "33s", "LOG_FORMAT": "json",
        "RUST_LOG": "info,program=debug", "LOCAL_XDS": mesh.state.text(), "TLS12_ENABLED": "true", "INPOD_UDS": "/x",
        "CONNECTION_TERMINATION_DEADLINE": "7s",
    }.items():
        monkeypatch.setenv(name, value)
    server = mesh.world.server
    arguments = [*mesh.identity_arguments([server]), "--pod", server.enrolment, "--pool-max-streams", "6"]
    arguments += node_flags(mesh.folder, mesh.second.name)
    run_dir = mesh.folder / "run"
    command = netns.enter(mesh.second.netns, program("ztund"), "run", "--run-dir", run_dir, *arguments)
    daemon = Daemon("ztund", command, mesh.folder / "ztund.log")
    mesh.stack.callback(daemon.stop)
    line = json.loads(daemon.wait_for_line("ztund started"))
    assert line["workers"] == 3, "JSON, and as many threads as asked for"
    warning = json.loads(daemon.wait_for_line("TLS12_ENABLED"))
    assert warning["level"] == "warn" and "TLS 1.3 only" in warning["message"]
    assert json.loads(daemon.wait_for_line("INPOD_UDS"))["level"] == "debug"
    assert (run_dir / "local-xds.yaml").stat().st_mode & 0o777 == 0o600

    def captured():
        result = subprocess.run(
            [program("ztun"), "status", "-o", "json", "--run-dir", run_dir], capture_output=True, text=True)
        return json.loads(result.stdout)["pods"][0]["state"] == "captured"

    wait_for(captured, "the pod is captured")
    dump = mesh.second.run("curl", "-s", "http://127.0.0.1:15000/config_dump").stdout
    configuration = json.loads(dump)["config"]
    assert configuration["clusterId"] == "east" and configuration["localNode"] == "n2"
    assert configuration["poolMaxStreamsPerConn"] == 6, "a flag wins"
    assert configuration["poolUnusedReleaseTimeout"] == {"secs": 90, "nanos": 0}
    assert configuration["selfTerminationDeadline"] == {"secs": 7, "nanos": 0}
    assert configuration["requireOriginalSource"] is False
    assert configuration["socketConfig"]["keepaliveTime"] == {"secs": 33, "nanos": 0}

    identity = "spiffe://cluster.local/ns/default/sa/client"
    context = client_context(mesh.authority, *mesh.leaf("client", identity))
    with mesh.world.client.connect(server.ipv4, 15008) as raw, Client(raw, context) as peer:
        status, stream, headers = peer.connect(f"{server.ipv4}:8080")
        assert status == 200 and "baggage" not in headers
        peer.send(stream, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        body = peer.receive(stream, 1)
    assert f'"peer": "{server.ipv4}"'.encode() in body, "the pod's own address, not the client's"


WINDOWS = {
    "HTTP2_STREAM_WINDOW_SIZE": "100000", "HTTP2_CONNECTION_WINDOW_SIZE": "300000", "HTTP2_FRAME_SIZE": "20000"}


def announced(mesh, pod, name="client"):
    """(stream window, frame size, connection window) that a peer is told on our tunnel port."""
    context = client_context(mesh.authority, *mesh.leaf(name, mesh.world.client.identity))
    with mesh.world.outsider.connect(pod.ipv4, 15008) as raw, Client(raw, context) as peer:
        assert peer.wait(h2.events.RemoteSettingsChanged)
        # The window's update follows the settings, at the latest before the answer to anything we ask for.
        status, _, _ = peer.connect("nonsense")
        assert status == 400
        settings = peer.h2.remote_settings
        return settings.initial_window_size, settings.max_frame_size, peer.h2.outbound_flow_control_window


@pytest.mark.root
def test_windows_and_frames_hold_for_accepted_tunnels_too(mesh, monkeypatch):
    for name, value in WINDOWS.items():
        monkeypatch.setenv(name, value)
    mesh.start_ztund(mesh.second, [mesh.world.server])
    mesh.start_waypoint(mesh.world.waypoint, "routes: []\n")
    assert announced(mesh, mesh.world.server) == (100_000, 20_000, 300_000)
    assert announced(mesh, mesh.world.waypoint) == (100_000, 20_000, 300_000)


@pytest.mark.root
def test_without_variables_the_source_is_the_client(mesh):
    server = mesh.world.server
    mesh.start_ztund(mesh.second, [server])
    mesh.start_ztund(mesh.first, [mesh.world.client])
    assert json.loads(mesh.world.client.curl(f"http://{VIP}/").stdout)["peer"] == mesh.world.client.ipv4
