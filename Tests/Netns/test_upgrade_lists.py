"""`ztun connections` and `denials` after a replacement: what an older ztund still carries, or refused, is listed with its generation."""
import json
import socket

import pytest

from support.waiting import wait_for

from .test_upgrade import Generation, echo

pytestmark = pytest.mark.root


def documents(daemon, *arguments):
    """Generation → answer; each ztund gives one document."""
    text = daemon.ztun(*arguments, "-o", "json").stdout
    found, decoder = {}, json.JSONDecoder()
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found[document["generation"]] = document
        text = text[end:]
    return found


def test_older_generations_are_listed(own_mesh):
    mesh = own_mesh
    world, old = mesh.world, mesh.one
    world.denied.curl(f"http://{world.server.ipv4}:8080/")
    wait_for(lambda: documents(old, "denials")[1]["denials"], "the refusal is known")
    with world.client.connect(world.server.ipv4, 7000) as connection:
        assert echo(connection)
        address = "%s:%d" % connection.getsockname()
        new = Generation(mesh, mesh.first, world.first_pods, 2)
        assert echo(connection), "the tunnel's connection stays with the old one"
        with world.client.connect(world.server.ipv4, 7000) as later:
            assert echo(later)
            both = wait_for(
                lambda: (found := documents(new, "connections")).keys() == {1, 2} and found, "both generations answer")
            assert [one["local"] for one in both[1]["connections"]] == [address]
            assert [one["local"] for one in both[2]["connections"]] == ["%s:%d" % later.getsockname()]
        denials = documents(new, "denials", "--reason", "policy_denied")
        assert denials[1]["denials"] and not denials[2]["denials"]
        table = new.ztun("connections").stdout
        assert "ztund, generation 1:" in table and "ztund, generation 2:" in table
        assert len(list(new.run_dir.glob("ztund.1-*.sock"))) == 1
        assert all(one.stat().st_mode & 0o077 == 0 for one in new.run_dir.glob("ztund.*.sock"))
    assert old.process.wait(20) == 0
    assert documents(new, "connections").keys() == {2} and not list(new.run_dir.glob("ztund.1-*.sock"))
    # What one that was killed left behind is no answer, and no fault.
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(new.run_dir / "ztund.7-1.sock"))
    assert documents(new, "connections").keys() == {2}
