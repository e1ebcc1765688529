"""Two nodes on Debian 13, whose libssl has ML-KEM: what they agree on resists a quantum computer."""
import os
import pathlib
import subprocess

import pytest

from support import netns
from support.identities import PKI, authority_stage, spiffe, start
from support.programs import ROOT, program

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def debian13():
    """A ZTUN_BIN whose daemons run in a Debian 13 root."""
    programs = pathlib.Path(program("ztund")).parent
    result = subprocess.run(
        [ROOT / "scripts/debian13-root.sh", programs], capture_output=True, text=True, timeout=900)
    if result.returncode == 75:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def mesh(debian13, tmp_path, monkeypatch):
    monkeypatch.setenv("ZTUN_BIN", debian13)
    with authority_stage(tmp_path) as mesh:
        start(mesh, "--log-level", "debug")
        yield mesh


def test_two_nodes_agree_on_x25519mlkem768(mesh):
    result = mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/")
    assert result.returncode == 0, result.stderr
    maps = pathlib.Path(f"/proc/{mesh.two.pid}/maps").read_text()
    assert "libssl.so.3" in maps and os.readlink(f"/proc/{mesh.two.pid}/root").endswith("debian13")
    line = mesh.two.wait_for_line("tunnel accepted", "sa/client")
    assert "tls.group" in line and "X25519MLKEM768" in line


def test_a_peer_without_it_still_gets_a_tunnel(mesh, tmp_path):
    chain, key = PKI.embedded(tmp_path, mesh.ca_dir).leaf("old", [spiffe("denied")])
    command = netns.enter(
        mesh.world.outsider.netns, "openssl", "s_client", "-connect", f"{mesh.world.server.ipv4}:15008", "-cert", chain,
        "-key", key, "-alpn", "h2", "-groups", "X25519")
    # What our side says after the handshake is HTTP/2, which is no text.
    output = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20).stdout.decode(errors="replace")
    assert "ALPN protocol: h2" in output
    line = mesh.two.wait_for_line("tunnel accepted", "sa/denied")
    assert "x25519" in line.lower() and "MLKEM" not in line
