"""Certificate revocation lists: new handshakes in both roles, live connections, and files that are bad or missing."""
import contextlib
import time

import pytest

from Netns.test_upgrade import Generation
from support.identities import PKI, file_stage, start
from support.waiting import wait_for
from support.world import WAYPOINT_VIP

pytestmark = pytest.mark.root


@pytest.fixture
def mesh(tmp_path):
    with file_stage(tmp_path) as mesh:
        mesh.crl = tmp_path / "crl.pem"
        yield mesh


def put(mesh, data):
    temporary = mesh.crl.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.replace(mesh.crl)


def call(mesh):
    return mesh.world.client.curl(f"http://{mesh.world.server.ipv4}:8080/", seconds=3).returncode


def open_echo(mesh):
    connection = mesh.world.client.connect(mesh.world.server.ipv4, 7000)
    connection.sendall(b"before")
    assert connection.recv(16) == b"before"
    return connection


def is_cut(connection, seconds=5):
    connection.settimeout(seconds)
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


@pytest.mark.parametrize("revoked, where, direction, reporter", [
    ("client", "two", "inbound", "destination"), ("server", "one", "outbound", "source")])
def test_a_list_cuts_live_tunnels_and_refuses_new_ones(mesh, revoked, where, direction, reporter):
    # Only one end knows of the list, so that it is this end's doing.
    start(mesh)
    getattr(mesh, where).stop()
    node, pods = (mesh.first, mesh.world.first_pods) if where == "one" else (mesh.second, mesh.world.second_pods)
    daemon = mesh.start_ztund(node, pods, "--crl", mesh.crl)
    assert daemon.lines("nothing is revoked until they can"), "a missing file is told of and tolerated"
    with open_echo(mesh) as connection:
        began = time.monotonic()
        put(mesh, mesh.pki.revocations(mesh.pki.issued[revoked]))
        assert is_cut(connection)
        assert time.monotonic() - began < 3
    daemon.wait_for_line("revocation lists loaded")
    daemon.wait_for_line("connection closed: peer certificate revoked by CRL", direction)
    before = wait_for(
        lambda: daemon.metric("istio_crl_policy_rejections_total", reporter=reporter), "the metric counts it")
    assert call(mesh) != 0
    daemon.wait_for_line("certificate revoked")
    assert wait_for(
        lambda: daemon.metric("istio_crl_policy_rejections_total", reporter=reporter) > before, "refusals count")
    # Taken off the list, the peer is welcome at once; nobody restarts anything.
    put(mesh, mesh.pki.revocations())
    wait_for(lambda: call(mesh) == 0, "the peer is back")


def test_a_list_cuts_what_a_replaced_generation_still_carries(mesh):
    start(mesh)
    mesh.two.stop()
    old = mesh.start_ztund(mesh.second, mesh.world.second_pods, "--crl", mesh.crl)
    with open_echo(mesh) as connection:
        new = Generation(mesh, mesh.second, mesh.world.second_pods, 2, "--crl", mesh.crl)
        connection.sendall(b"after")
        assert connection.recv(16) == b"after", "it goes on in the old one"
        put(mesh, mesh.pki.revocations(mesh.pki.issued["client"]))
        assert is_cut(connection, 20)
    old.wait_for_line("connection closed: peer certificate revoked by CRL", "inbound")
    assert old.process.wait(20) == 0
    assert new.status()["pid"] == new.pid and call(mesh) != 0


def test_others_live_on(mesh):
    start(mesh, "--crl", mesh.crl)
    with open_echo(mesh) as connection:
        put(mesh, mesh.pki.revocations(mesh.pki.issued["denied"]))
        mesh.two.wait_for_line("revocation lists loaded")
        connection.sendall(b"after")
        assert connection.recv(16) == b"after"


def test_a_revoked_intermediate_takes_its_leaves(mesh, tmp_path):
    middle = PKI(tmp_path / "middle", issuer=mesh.pki, common_name="middle")
    root, mesh.pki = mesh.pki, middle
    start(mesh, "--crl", mesh.crl)
    with open_echo(mesh) as connection:
        put(mesh, root.revocations(middle.certificate))
        assert is_cut(connection)
    assert call(mesh) != 0


def test_what_is_no_list_of_this_issuer_changes_nothing(mesh, tmp_path):
    """Expired lists count; lists of a stranger with our issuer's name do not."""
    stranger = PKI(tmp_path / "stranger")
    start(mesh, "--crl", mesh.crl)
    assert call(mesh) == 0
    put(mesh, stranger.revocations(mesh.pki.issued["client"], mesh.pki.issued["server"]))
    mesh.two.wait_for_line("revocation lists loaded", "revoked=2")
    assert call(mesh) == 0
    put(mesh, mesh.pki.revocations(mesh.pki.issued["client"], next_update=-1))
    mesh.two.wait_for_line("revocation lists loaded", "revoked=1")
    wait_for(lambda: call(mesh) != 0, "an expired list counts")


def test_a_bad_file_disables_at_start_and_keeps_the_last_good_later(mesh):
    mesh.crl.write_bytes(b"not a list")
    start(mesh, "--crl", mesh.crl)
    mesh.two.wait_for_line("nothing is revoked until they can", "holds no certificate revocation list")
    assert call(mesh) == 0
    assert any("revocation lists are not current" in problem for problem in mesh.two.status()["problems"])
    put(mesh, mesh.pki.revocations(mesh.pki.issued["client"]))
    wait_for(lambda: call(mesh) != 0, "a good list is taken up")
    put(mesh, b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    mesh.two.wait_for_line("the last good ones stay in force")
    assert call(mesh) != 0
    put(mesh, b"")
    wait_for(lambda: call(mesh) == 0, "an empty file revokes nobody")


def test_the_waypoint_refuses_and_cuts_too(mesh):
    service = "default/through-waypoint.default.svc.cluster.local"
    start(mesh)
    waypoint = mesh.start_waypoint(
        mesh.world.waypoint, f"routes:\n- service: {service}\n  rules: [{{name: all}}]\n", "--crl", mesh.crl)

    def fetch():
        return mesh.world.client.curl(f"http://{WAYPOINT_VIP}/", "-f", seconds=3).returncode

    wait_for(lambda: fetch() == 0, "the way through it works")
    put(mesh, mesh.pki.revocations(mesh.pki.issued["client"]))
    waypoint.wait_for_line("revocation lists loaded")
    wait_for(lambda: fetch() != 0, "a revoked client gets nothing")
    waypoint.wait_for_line("certificate revoked")
    put(mesh, b"")
    wait_for(lambda: fetch() == 0, "and is back")
