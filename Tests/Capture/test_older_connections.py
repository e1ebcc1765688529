"""Connections that are older than enrolment go on untouched and are told of until they end."""
import pytest

from support.servers import EchoServer
from support.waiting import wait_for

from .conftest import arguments

pytestmark = pytest.mark.root


def echo(connection):
    connection.sendall(b"still here")
    return connection.recv(100) == b"still here"


def start(mesh, *more):
    return mesh.start_ztund(mesh.first, mesh.world.first_pods, *arguments(mesh, mesh.first), *more)


def test_connections_older_than_enrolment_are_left_alone_and_listed(bare):
    """Both directions, both families; over loopback nothing is ever captured, so nothing is told."""
    if bare.mode == "bpf-route":
        pytest.skip("bpf-route cuts them, which is why auto takes nft there (docs/capture.md)")
    mesh, world = bare, bare.world
    client, plain, outsider = world.client, world.plain, world.outsider
    for pod in (plain, client):
        mesh.use(EchoServer(pod, 7000))
    opened = [
        client.connect(plain.ipv4, 7000), client.connect(plain.ipv6, 7000), outsider.connect(client.ipv4, 7000),
        client.connect("127.0.0.1", 7000), client.connect(client.ipv4, 7000),
    ]
    assert all(map(echo, opened))
    mesh.one = start(mesh)
    entry = mesh.one.wait_for_pod(client, "captured")
    assert (entry["older"]["atEnrolment"], entry["older"]["open"]) == (3, 3)
    names = {(one["local"], one["remote"]) for one in entry["older"]["listed"]}
    own = [connection.getsockname()[:2] for connection in opened]
    assert names == {
        (f"{client.ipv4}:{own[0][1]}", f"{plain.ipv4}:7000"), (f"[{client.ipv6}]:{own[1][1]}", f"[{plain.ipv6}]:7000"),
        (f"{client.ipv4}:7000", f"{outsider.ipv4}:{own[2][1]}"),
    }
    assert all(map(echo, opened)), "they go on as they were"
    assert mesh.one.pod_status(world.denied)["older"]["atEnrolment"] == 0
    table = mesh.one.ztun("status", check=False).stdout
    assert "OLDER THAN ENROLMENT" in table and f"[{plain.ipv6}]:7000" in table
    shown = mesh.one.ztun("pod", "show", "default/client").stdout
    assert "3 of 3 connections that are older than enrolment are still open" in shown and f"{plain.ipv4}:7000" in shown
    # New ones are captured, and not among them.
    new = client.connect(plain.ipv4, 7000)
    assert echo(new)
    opened[0].close()
    wait_for(lambda: mesh.one.pod_status(client)["older"]["open"] == 2, "the one that ended is off the list", 30)
    # The next ztund knows them too.
    old = mesh.one
    mesh.one = start(mesh, "--replace", )
    wait_for(lambda: not old.alive(), "the old one has ended", 30)
    older = wait_for(lambda: (mesh.one.pod_status(client)["older"] or {}), "the new one tells of them", 30)
    assert (older["atEnrolment"], older["open"]) == (3, 2)
    assert echo(opened[1]) and echo(opened[2])
    for connection in [*opened[1:], new]:
        connection.close()
    wait_for(lambda: mesh.one.pod_status(client)["older"]["open"] == 0, "all have ended", 30)
    assert "OLDER THAN ENROLMENT" not in mesh.one.ztun("status", check=False).stdout


def test_show_of_a_pod_that_is_not_known(bare):
    mesh = bare
    mesh.one = start(mesh)
    shown = mesh.one.ztun("pod", "show", "default/nobody", check=False)
    assert shown.returncode == 1 and "no pod default/nobody is known" in shown.stderr
