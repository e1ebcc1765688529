"""The tunnel port is left out of connection tracking; nobody gets past capture by sending from it."""
import json
import socket

import pytest

from support.netns import inside
from support.waiting import wait_for

from .conftest import stage, start_both

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=["default", "nft"])
def mesh(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, stage(tmp_path_factory.mktemp("mesh")) as mesh:
        if request.param == "nft":
            patch.setattr("support.capture.mode", "nft")
        start_both(mesh)
        yield mesh


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_client_on_source_port_15008_is_captured_like_any_other(mesh, family):
    """Class: capture bypass by source port."""
    server, outsider = mesh.world.server, mesh.world.outsider
    address = getattr(server, family)
    lines = len(mesh.two.lines("connection complete", 'direction="inbound"'))
    with inside(outsider.netns):
        client = socket.socket(socket.AF_INET6 if family == "ipv6" else socket.AF_INET)
    client.settimeout(5)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind((getattr(outsider, family), 15008))
    client.connect((address, 8080))
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = b""
    while block := client.recv(65536):
        answer += block
    client.close()
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["server"] == "server"
    wait_for(
        lambda: len(mesh.two.lines("connection complete", 'direction="inbound"')) > lines,
        "the connection went through ztund")


def test_tunnels_have_no_conntrack_entry(mesh):
    mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", check=True)
    table = mesh.world.server.run("cat", "/proc/net/nf_conntrack").stdout
    server = mesh.world.server.ipv4
    if mesh.two.pod_status(mesh.world.server)["capture"] == "nft":
        assert "dport=8080" in table, "conntrack is on in the pod, or this test says nothing"
        assert f"dst={server} sport=" in table
    else:
        assert "dport=8080" not in table, "BPF needs no connection tracking"
    assert not [line for line in table.splitlines() if f"dst={server}" in line.split(" src=")[1] and
                " dport=15008 " in line.split(" src=")[1] + " "]
