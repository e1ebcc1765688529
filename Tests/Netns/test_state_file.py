"""The state file: live changes, broken edits, mistakes that name their line."""
import json
import os
import statistics
import time

import pytest

from support.capture import capture_of
from support.waiting import wait_for
from support.world import VIP

pytestmark = pytest.mark.root


def get(mesh, pod=None):
    result = (pod or mesh.world.client).curl(f"http://{VIP}/", seconds=3)
    return json.loads(result.stdout)["server"] if result.returncode == 0 else None


def test_policy_arrives_and_leaves_while_running(own_mesh):
    mesh = own_mesh
    assert get(mesh) == "server"
    mesh.state.policy("nobody", [{"principals": [{"Exact": "cluster.local/ns/default/sa/client"}]}], scope="Namespace")
    mesh.state.write(mesh.state_path)
    wait_for(lambda: get(mesh) is None, "the new policy refuses")
    assert mesh.two.lines("default/nobody")
    mesh.state.policies.pop()
    mesh.state.write(mesh.state_path)
    wait_for(lambda: get(mesh) == "server", "the policy is gone")


def test_new_policy_cuts_a_live_connection(own_mesh):
    mesh = own_mesh
    with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
        connection.settimeout(10)
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
        mesh.state.policy("nobody", [{"principals": [{"Exact": "cluster.local/ns/default/sa/client"}]}], scope="Namespace")
        mesh.state.write(mesh.state_path)
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass
    mesh.two.wait_for_line("policy", "change")


def test_endpoint_moves(own_mesh):
    """The service's endpoint changes from `server` to `plain`."""
    mesh = own_mesh
    assert get(mesh) == "server"
    host = "default/server.default.svc.cluster.local"
    workloads = {entry["name"]: entry for entry in mesh.state.workloads}
    workloads["plain"]["services"][host] = workloads["server"]["services"].pop(host)
    mesh.state.write(mesh.state_path)
    wait_for(lambda: get(mesh) == "plain", "calls go to the new endpoint")


@pytest.mark.parametrize(
    "broken, hint",
    [
        ("workloads: [\n", "line"),
        ("workloads:\n- name: x\n  colour: blue\n", "colour"),
        ("workloads: 7\n", "workloads"),
        ("", ""),
        ("\x00\x01\x02", ""),
    ],
    ids=["yaml", "unknown-key", "wrong-kind", "empty", "bytes"],
)
def test_bad_edit_keeps_the_last_good_state(own_mesh, broken, hint):
    mesh = own_mesh
    assert get(mesh) == "server"
    mesh.state_path.write_text(broken)
    if broken:
        error = wait_for(lambda: mesh.two.status()["state"]["lastError"], "status shows the error")
        assert hint in error
        assert mesh.two.lines(hint, "state"), "the log says so too"
    assert get(mesh) == "server"
    assert mesh.world.denied.curl(f"http://{VIP}/", seconds=3).returncode != 0, "policies are still enforced"
    mesh.state.write(mesh.state_path)
    wait_for(lambda: not mesh.two.status()["state"]["lastError"], "the good file clears the error")
    assert get(mesh) == "server"


def test_half_written_file_is_not_taken(own_mesh):
    """A slow editor: the file grows in two writes, and in between it lacks the policies."""
    mesh = own_mesh
    text = mesh.state.text()
    half = text[: text.index("policies:") + len("policies:") + 1]
    mesh.state_path.write_text(half + "- name: cut\n  nam")
    wait_for(lambda: mesh.two.status()["state"]["lastError"], "status shows the error")
    assert mesh.world.denied.curl(f"http://{VIP}/", seconds=3).returncode != 0
    mesh.state.write(mesh.state_path)
    wait_for(lambda: not mesh.two.status()["state"]["lastError"], "the whole file is taken")


@pytest.mark.parametrize(
    "text, hint",
    [("workloads:\n- name: x\n  colour: blue\n", ("colour", "3")), ("workloads: [\n", ("line",))],
    ids=["unknown-key", "yaml"],
)
def test_a_wrong_file_at_start_names_line_and_key(bare, text, hint):
    """Nothing is served from a file that never was good: the program ends and says what is wrong where."""
    mesh = bare
    mesh.state_path.write_text(text)
    daemon = mesh.start_ztund(mesh.first, [mesh.world.client], ready=False)
    status = wait_for(lambda: daemon.process.poll(), "ztund ends")
    assert status > 0, f"ended by a signal: {status}"
    for part in (str(mesh.state_path), *hint):
        assert part in daemon.text()
    assert not capture_of(mesh.world.client)


def served(mesh):
    return mesh.two.metric("ztun_state_generation")


def test_an_edit_reaches_live_connections_well_under_a_second(own_mesh):
    """The median of several edits, each from the rename of the file to the reset that the application sees."""
    mesh = own_mesh
    took = []
    for _ in range(5):
        with mesh.world.client.connect(mesh.world.server.ipv4, 7000) as connection:
            connection.settimeout(10)
            connection.sendall(b"a")
            assert connection.recv(1) == b"a"
            mesh.state.policy("later", [{"destinationPorts": [7000]}], scope="Namespace")
            before = served(mesh)
            mesh.state.write(mesh.state_path)
            begin = time.monotonic()
            try:
                assert connection.recv(1) == b""
            except ConnectionResetError:
                pass
            took.append(time.monotonic() - begin)
            wait_for(lambda: served(mesh) > before, "the second node's own count")
        mesh.state.policies.pop()
        before = served(mesh)
        mesh.state.write(mesh.state_path)
        wait_for(lambda: served(mesh) > before, "the policy is gone again")
    assert statistics.median(took) < 0.4, took


def test_a_file_behind_swapped_links_is_followed(bare):
    """As a ConfigMap is mounted: state.yaml -> ..data/state.yaml, ..data -> ..stamp, swapped by a rename; the folder comes late."""
    mesh = bare
    folder = mesh.folder / "mounted"

    def publish(stamp):
        (folder / stamp).mkdir()
        mesh.state.write(folder / stamp / "state.yaml")
        os.symlink(stamp, folder / "..new")
        os.replace(folder / "..new", folder / "..data")

    folder.mkdir()
    publish("..1")
    os.symlink("..data/state.yaml", folder / "state.yaml")
    mesh.one = mesh.start_ztund(mesh.first, mesh.world.first_pods, state=folder / "state.yaml")
    mesh.two = mesh.start_ztund(mesh.second, mesh.world.second_pods, state=folder / "state.yaml")
    assert get(mesh) == "server"
    mesh.state.policy("nobody", [{"principals": [{"Exact": "cluster.local/ns/default/sa/client"}]}], scope="Namespace")
    publish("..2")
    wait_for(lambda: get(mesh) is None, "the new policy refuses")
    # The whole folder goes and comes back: what was served last serves on, and what comes back is taken.
    os.rename(folder, mesh.folder / "gone")
    error = wait_for(lambda: mesh.two.status()["state"]["lastError"], "status says that the file is missing")
    assert "state.yaml" in error and get(mesh) is None
    mesh.state.policies.pop()
    folder.mkdir()
    publish("..1")
    os.symlink("..data/state.yaml", folder / "state.yaml")
    wait_for(lambda: get(mesh) == "server", "the file of the new folder is served")
    wait_for(lambda: not mesh.two.status()["state"]["lastError"], "the error is over")
