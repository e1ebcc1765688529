"""What becomes of open connections that a policy edit no longer allows: cut, or kept where somebody says so."""
import pytest

from support.netns import receive
from support.waiting import wait_for

from .conftest import VIP

pytestmark = pytest.mark.root

SERVER = {"matchLabels": {"app": "server"}}


def echoes(connection):
    connection.sendall(b"still")
    return receive(connection, 5) == b"still"


def refuses(mesh, port):
    """A new connection gets nowhere."""
    try:
        with mesh.client.connect(mesh.server.ipv4, port) as connection:
            return not echoes(connection)
    except OSError:
        return True


def is_cut(connection):
    connection.settimeout(10)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def forbid(mesh, kind):
    if kind == "AuthorizationPolicy":
        mesh.manifests.authorization("no-echo", {
            "selector": SERVER, "action": "DENY", "rules": [{"to": [{"operation": {"ports": ["7000"]}}]}]})
    elif kind == "NetworkPolicy":
        mesh.manifests.network_policy("no-echo", {"podSelector": SERVER, "ingress": [{"ports": [{"port": 8080}]}]})
    else:
        mesh.manifests.network_policy("no-way-out", {
            "podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 8080}]}]})
    mesh.manifests.write()


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "NetworkPolicy", "NetworkPolicy egress"])
def test_kept_where_the_node_was_told_so(bare, kind):
    """New ones are refused all the same; what is open ends when it ends."""
    mesh = bare
    mesh.start("--policy-edits", "keep")
    wait_for(lambda: mesh.client.curl(f"http://{VIP}/").returncode == 0, "the service answers")
    with mesh.client.connect(mesh.server.ipv4, 7000) as connection:
        assert echoes(connection)
        forbid(mesh, kind)
        wait_for(lambda: refuses(mesh, 7000), "new ones are refused")
        assert echoes(connection)
    assert "policy_changed" not in mesh.one.text() + mesh.two.text()


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "NetworkPolicy", "NetworkPolicy egress"])
def test_a_namespace_says_it_for_itself(mesh, kind):
    """`keep` by annotation, then `cut`: the next edit looks at what is open again."""
    namespace = mesh.manifests.files["namespaces.yaml"][0]["metadata"]
    namespace["annotations"] = {"ztun.io/policy-edits": "keep"}
    mesh.manifests.write()
    wait_for(lambda: mesh.client.curl(f"http://{VIP}/").returncode == 0, "the service answers")
    with mesh.client.connect(mesh.server.ipv4, 7000) as connection:
        assert echoes(connection)
        forbid(mesh, kind)
        wait_for(lambda: refuses(mesh, 7000), "new ones are refused")
        assert echoes(connection)
        namespace["annotations"] = {"ztun.io/policy-edits": "cut"}
        mesh.manifests.write()
        assert is_cut(connection)


def test_a_bad_word_is_told_and_cuts(mesh):
    namespace = mesh.manifests.files["namespaces.yaml"][0]["metadata"]
    namespace["annotations"] = {"ztun.io/policy-edits": "perhaps"}
    mesh.manifests.write()
    wait_for(lambda: "'perhaps' is not known" in mesh.two.status()["state"]["lastError"], "it is told")
    wait_for(lambda: mesh.client.curl(f"http://{VIP}/").returncode == 0, "the service answers")
    with mesh.client.connect(mesh.server.ipv4, 7000) as connection:
        assert echoes(connection)
        forbid(mesh, "NetworkPolicy")
        assert is_cut(connection)
