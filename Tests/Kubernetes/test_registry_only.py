"""`outboundTrafficPolicy: REGISTRY_ONLY` at the node: what nobody has registered is refused, said by name, and switched live."""
import json

import pytest
import yaml

from support.netns import receive
from support.servers import EchoServer, HTTPServer
from support.waiting import wait_for

from .conftest import VIP

pytestmark = pytest.mark.root


def reaches(pod, url):
    return pod.curl(url).returncode == 0


def mesh_config(mesh, text):
    """What Istio's ConfigMap says."""
    mesh.manifests.files["mesh.yaml"] = []
    mesh.manifests.add("mesh.yaml", "ConfigMap", "istio", "istio-system", data={"mesh": text})
    mesh.manifests.write()


def outbound(mesh):
    return mesh.one.status()["state"].get("outboundTrafficPolicy", "")


@pytest.fixture
def mesh(bare):
    """Somebody whom the manifests do not know listens on the second node."""
    bare.unknown = bare.second.pod("unknown", 30)
    bare.use(HTTPServer(bare.unknown, 8080))
    bare.use(EchoServer(bare.unknown, 7000))
    bare.url = f"http://{bare.unknown.ipv4}:8080/"
    return bare


def test_unknown_destinations_are_refused_and_switched_live(mesh):
    mesh.start()
    wait_for(lambda: reaches(mesh.client, f"http://{VIP}/"), "the service answers")
    assert reaches(mesh.client, mesh.url), "ALLOW_ANY is the default"
    with mesh.client.connect(mesh.unknown.ipv4, 7000) as open_before:
        mesh_config(mesh, "outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
        wait_for(lambda: outbound(mesh) == "REGISTRY_ONLY", "it is in force")
        assert mesh.client.curl(mesh.url).returncode in (7, 56), "refused with a reset"
        assert mesh.client.curl(f"http://[{mesh.unknown.ipv6}]:8080/").returncode in (7, 56)
        # What is known is reached as before: by service, by address, outside the mesh.
        assert reaches(mesh.client, f"http://{VIP}/") and reaches(mesh.client, f"http://{mesh.server.ipv4}:8080/")
        # A connection from before lives on.
        open_before.sendall(b"still")
        assert receive(open_before, 5) == b"still"
    line = mesh.one.wait_for_line('reason="destination_unknown"', 'direction="outbound"', f"{mesh.unknown.ipv4}:8080")
    assert "outboundTrafficPolicy is REGISTRY_ONLY" in line and "namespace default" in line
    assert mesh.one.metric("ztun_refusals_total", reason="destination_unknown") >= 2
    assert "outbound REGISTRY_ONLY" in mesh.one.ztun("status").stdout
    # Who is not in the mesh is not ours to hold back.
    assert reaches(mesh.outsider, mesh.url)
    report = json.loads(mesh.one.ztun("why", "default/client", f"{mesh.unknown.ipv4}:8080", "-o", "json", check=False).stdout)
    assert (report["allowed"], report["reason"], report["refusedAt"]) == (False, "destination_unknown", "source node")
    # A broken edit leaves what was in force; a word that is not known means the stricter one.
    mesh_config(mesh, "outboundTrafficPolicy: [ALLOW_ANY]")
    wait_for(lambda: "expected a mapping" in mesh.one.status()["state"]["lastError"], "the fault is told")
    assert outbound(mesh) == "REGISTRY_ONLY" and not reaches(mesh.client, mesh.url)
    mesh_config(mesh, "outboundTrafficPolicy: {mode: ALLOW_ANY}")
    wait_for(lambda: reaches(mesh.client, mesh.url), "everything is allowed again")


def test_a_service_entry_registers_a_destination(mesh, tmp_path):
    """For its namespace, or for all; `ztun why --policy` tells before it is applied what the switch would do."""
    mesh.start()
    wait_for(lambda: reaches(mesh.client, mesh.url), "it is reached")
    path = tmp_path / "switch.yaml"
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}}))
    why = lambda *more: json.loads(mesh.one.ztun(
        "why", "default/client", f"{mesh.unknown.ipv4}:8080", "-o", "json", *more, check=False).stdout)
    assert why()["allowed"] and why("--policy", path)["reason"] == "destination_unknown"
    assert reaches(mesh.client, mesh.url)
    mesh_config(mesh, "outboundTrafficPolicy: {mode: REGISTRY_ONLY}")
    wait_for(lambda: not reaches(mesh.client, mesh.url), "it is refused")
    entry = {"hosts": ["unknown.example"], "addresses": [mesh.unknown.ipv4], "ports": [{"number": 8080, "name": "http", "protocol": "HTTP"}],
             "resolution": "NONE", "location": "MESH_EXTERNAL"}
    mesh.manifests.add("entry.yaml", "ServiceEntry", "unknown", "default", api="networking.istio.io/v1", spec=entry)
    mesh.manifests.write()
    wait_for(lambda: reaches(mesh.client, mesh.url), "it is registered")
    mesh.manifests.files["entry.yaml"] = []
    mesh.manifests.add(
        "entry.yaml", "ServiceEntry", "unknown", "elsewhere", api="networking.istio.io/v1", spec={**entry, "exportTo": ["."]})
    mesh.manifests.write()
    wait_for(lambda: not reaches(mesh.client, mesh.url), "another namespace keeps it to itself")


def test_the_flag_wins_over_the_mesh(mesh):
    mesh_config(mesh, "outboundTrafficPolicy: {mode: ALLOW_ANY}")
    mesh.start("--outbound-traffic-policy", "REGISTRY_ONLY")
    wait_for(lambda: reaches(mesh.client, f"http://{VIP}/"), "the service answers")
    assert outbound(mesh) == "REGISTRY_ONLY" and not reaches(mesh.client, mesh.url)
