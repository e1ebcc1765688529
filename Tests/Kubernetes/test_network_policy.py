"""NetworkPolicies on the port inside the tunnel: ingress at the destination, egress at the source, live edits, modes."""
import pytest

from support.netns import receive
from support.servers import EchoServer
from support.waiting import wait_for

from .conftest import VIP

pytestmark = pytest.mark.root

WEB = {"podSelector": {"matchLabels": {"app": "server"}}}
CLIENT = [{"podSelector": {"matchLabels": {"app": "client"}}}]


def reaches(pod, url):
    return pod.curl(url).returncode == 0


def apply(mesh, name, spec, namespace="default"):
    mesh.manifests.files["network-policies.yaml"] = []
    mesh.manifests.network_policy(name, spec, namespace)
    mesh.manifests.write()


def echoes(connection):
    connection.sendall(b"still")
    return receive(connection, 5) == b"still"


@pytest.fixture
def ready(mesh):
    wait_for(lambda: reaches(mesh.client, f"http://{VIP}/"), "the service answers")
    wait_for(lambda: reaches(mesh.stranger, f"http://{VIP}/"), "to the stranger too")
    return mesh


def test_ingress_means_its_ports_and_peers(ready):
    """One app on one port: another port, another pod, and plaintext from outside the mesh are refused."""
    mesh = ready
    url = f"http://{mesh.server.ipv4}:8080/"
    apply(mesh, "web", {**WEB, "ingress": [{"from": CLIENT, "ports": [{"port": 8080}]}]})
    wait_for(lambda: not reaches(mesh.stranger, url), "the stranger is refused")
    assert reaches(mesh.client, url) and reaches(mesh.client, f"http://{VIP}/")
    # The first refusal may have been the edit's, of a connection that was open.
    assert not reaches(mesh.stranger, url)
    assert not reaches(mesh.client, f"http://{mesh.server.ipv4}:7000/"), "another port"
    assert not reaches(mesh.outsider, url), "plaintext from a pod outside the mesh"
    line = mesh.two.wait_for_line('reason="network_policy_denied"', 'src.identity="spiffe://cluster.local/ns/default/sa/stranger"')
    assert 'policy="default/web"' in line
    assert mesh.one.wait_for_line('reason="network_policy_denied"', 'direction="outbound"')
    assert mesh.two.metric("ztun_refusals_total", reason="network_policy_denied") >= 2
    # Its own node may always come: probes.
    assert mesh.second.run("curl", "-sS", "--max-time", "5", url).returncode == 0


def test_named_ports_and_ranges(ready):
    mesh = ready
    apply(mesh, "web", {**WEB, "ingress": [{"ports": [{"port": "http"}]}]})
    connect = lambda port: mesh.client.curl(f"http://{mesh.server.ipv4}:{port}/").returncode
    wait_for(lambda: connect(7000) in (7, 56), "the other port is refused")
    assert connect(8080) == 0
    apply(mesh, "web", {**WEB, "ingress": [{"ports": [{"port": 6000, "endPort": 7999}]}]})
    wait_for(lambda: connect(8080) in (7, 56), "the range does not hold it")
    with mesh.client.connect(mesh.server.ipv4, 7000) as connection:
        assert echoes(connection)


def test_egress_at_the_source(ready):
    """The endpoint behind a service counts, not the service's address."""
    mesh = ready
    lock = {"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"]}
    apply(mesh, "locked", {**lock, "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}]})
    wait_for(lambda: not reaches(mesh.client, f"http://{VIP}/"), "the client may not go out")
    assert reaches(mesh.stranger, f"http://{VIP}/")
    assert not reaches(mesh.client, f"http://{VIP}/")
    mesh.one.wait_for_line('reason="network_policy_denied"', 'direction="outbound"', "default/locked")
    apply(mesh, "locked", {**lock, "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "server"}}}], "ports": [{"port": 8080}]}]})
    wait_for(lambda: reaches(mesh.client, f"http://{VIP}/"), "port 80 of the service is port 8080 of the pod")
    assert not reaches(mesh.client, f"http://{mesh.server.ipv4}:7000/")


def test_an_edit_cuts_what_is_no_longer_allowed(ready):
    """At both ends: ingress by the destination, egress by the source; what is still allowed goes on."""
    mesh = ready
    mesh.use(EchoServer(mesh.server, 7002))
    with mesh.client.connect(mesh.server.ipv4, 7000) as cut, mesh.client.connect(mesh.server.ipv4, 7002) as kept:
        assert echoes(cut) and echoes(kept)
        apply(mesh, "web", {**WEB, "ingress": [{"from": CLIENT, "ports": [{"port": 7002}]}]})
        cut.settimeout(10)
        with pytest.raises(ConnectionResetError):
            cut.recv(1)
        assert echoes(kept)
        assert 'policy="default/web"' in mesh.two.wait_for_line("policy_changed", ":7000")
        apply(mesh, "out", {"podSelector": {}, "policyTypes": ["Egress"], "egress": []})
        kept.settimeout(10)
        with pytest.raises(ConnectionResetError):
            kept.recv(1)
        mesh.one.wait_for_line("policy_changed", 'direction="outbound"')


def test_audit_and_off(ready):
    """By namespace: audit lets it go on and says so, off does not ask."""
    mesh = ready
    url = f"http://{mesh.server.ipv4}:8080/"
    namespace = mesh.manifests.files["namespaces.yaml"][0]["metadata"]
    mesh.two.ztun("log", "--level", "proxy=debug")
    apply(mesh, "nobody", {**WEB, "ingress": []})
    wait_for(lambda: not reaches(mesh.client, url), "nobody is let in")
    namespace["annotations"] = {"ztun.io/network-policy": "audit"}
    mesh.manifests.write()
    wait_for(lambda: reaches(mesh.client, url), "audit lets it go on")
    mesh.two.wait_for_line("audit: no network policy admits it", 'policy="default/nobody"')
    namespace["annotations"] = {"ztun.io/network-policy": "nonsense"}
    mesh.manifests.write()
    wait_for(lambda: not reaches(mesh.client, url), "what is not understood is enforced")
    wait_for(lambda: "'nonsense' is not known" in mesh.two.status()["state"]["lastError"], "and told")
    namespace["annotations"] = {"ztun.io/network-policy": "off"}
    mesh.manifests.write()
    wait_for(lambda: reaches(mesh.client, url), "off does not ask")
