"""A mesh from a folder of Kubernetes manifests: pods, services and slices, live edits, bad objects."""
import os
import pathlib
import shutil

import pytest

from support.waiting import wait_for

from .conftest import VIP, VIP6

pytestmark = pytest.mark.root


def reaches(pod, url):
    return pod.curl(url).returncode == 0


def test_pod_to_pod_over_a_service_of_slices(mesh):
    """By address and by both addresses of the service; each time through the tunnel port."""
    for url in (f"http://{mesh.server.ipv4}:8080/", f"http://{VIP}/", f"http://[{VIP6}]/"):
        wait_for(lambda: reaches(mesh.client, url), url)
    assert mesh.wire[15008] >= 1 and mesh.wire[8080] == 0
    line = mesh.two.wait_for_line('direction="inbound"', 'src.identity="spiffe://cluster.local/ns/default/sa/client"')
    assert 'dst.service="server.default.svc.cluster.local"' in mesh.two.text(), line
    state = mesh.one.status()["state"]
    assert (state["kind"], state["workloads"], state["services"]) == ("manifests", 4, 1)
    assert state["source"] == str(mesh.manifests.folder)
    # A pod outside the mesh talks in plaintext, both ways.
    assert reaches(mesh.outsider, f"http://{mesh.server.ipv4}:8080/")


def test_endpoints_by_selector_where_there_is_no_slice(bare):
    """Named target ports come from the pod."""
    bare.manifests.files.pop("slices.yaml")
    bare.start()
    wait_for(lambda: reaches(bare.client, f"http://{VIP}/"), "the service answers")


def test_live_edits_of_the_folder(mesh):
    """Objects come, change and go; a pod that is not ready gets nothing."""
    url = f"http://{VIP}/"
    wait_for(lambda: reaches(mesh.client, url), "the service answers")
    mesh.manifests.files["slices.yaml"][0]["endpoints"][0]["conditions"]["ready"] = False
    mesh.manifests.write()
    wait_for(lambda: not reaches(mesh.client, url), "an endpoint that is not ready gets nothing")
    mesh.manifests.files["slices.yaml"][0]["endpoints"][0]["conditions"]["ready"] = True
    mesh.manifests.write()
    wait_for(lambda: reaches(mesh.client, url), "it is ready again")
    mesh.manifests.remove("services.yaml")
    wait_for(lambda: mesh.one.status()["state"]["services"] == 0, "the service is gone")
    assert any("dangling" in note or "does not exist" in note for note in mesh.one.status()["notes"])


def test_kubernetes_volume_whose_link_is_swapped(bare):
    """A projected folder: visible names are links through `..data`, which is replaced in one step."""
    written = bare.manifests.write()
    volume = bare.folder / "volume"

    def publish(number):
        version = volume / f"..2026_{number}"
        shutil.copytree(written, version)
        link = volume / "..data_tmp"
        link.symlink_to(version.name)
        os.rename(link, volume / "..data")

    volume.mkdir()
    publish(1)
    for file in bare.manifests.files:
        (volume / file).symlink_to(pathlib.Path("..data") / file)
    bare.manifests.folder = volume
    bare.manifests.write = lambda: volume
    bare.start()
    wait_for(lambda: reaches(bare.client, f"http://{VIP}/"), "the service answers")
    generation = bare.one.status()["state"]["generation"]
    services = bare.manifests.files["services.yaml"]
    services[0]["spec"]["clusterIPs"] = ["10.96.61.9"]
    (written / "services.yaml").write_text(bare.manifests.text("services.yaml"))
    publish(2)
    wait_for(lambda: bare.one.status()["state"]["generation"] > generation, "the swapped folder is taken")
    wait_for(lambda: reaches(bare.client, "http://10.96.61.9/"), "the new address answers")


def test_one_bad_object_never_hides_the_others(mesh):
    """A broken edit keeps that object as it was; what else is in its file and folder is taken."""
    url = f"http://{VIP}/"
    wait_for(lambda: reaches(mesh.client, url), "the service answers")
    good = mesh.manifests.text("services.yaml")
    second = good.replace("name: server", "name: second", 1).replace(VIP, "10.96.61.7").replace(VIP6, "fd96:61::7")
    broken = good.replace("port: 80\n", "port: eighty\n")
    assert broken != good
    mesh.manifests.write_text("services.yaml", f"{broken}---\n{second}---\nkind: [\n")
    state = wait_for(lambda: mesh.one.status()["state"]["services"] == 2 and mesh.one.status()["state"], "the second is taken")
    assert "services.yaml:" in state["lastError"] and "spec.ports[0].port" in state["lastError"]
    assert "expected a whole number from 1 to 65535" in state["lastError"]
    assert reaches(mesh.client, url), "the last good version serves"
    assert mesh.one.ztun("status", check=False).returncode == 1
    # A file that is no YAML at all, an unknown version, and an unknown kind.
    mesh.manifests.write_text("rubbish.yaml", "a: b: c\n")
    mesh.manifests.write_text(
        "unknown.yaml", "apiVersion: security.istio.io/v9\nkind: AuthorizationPolicy\nmetadata: {name: x}\n---\n"
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: y}\n")
    mesh.manifests.write_text("services.yaml", good)
    told = ("rubbish.yaml:1", "the version 'v9' is not known")
    wait_for(lambda: all(text in mesh.one.status()["state"]["lastError"] for text in told), "both are told")
    assert any("example.com/Widget" in note for note in mesh.one.status()["notes"])
    for file in ("rubbish.yaml", "unknown.yaml"):
        mesh.manifests.remove(file)
    wait_for(lambda: mesh.one.status()["state"]["lastError"] == "", "all is well again")
    assert reaches(mesh.client, url)


def test_two_resources_of_one_name(mesh):
    wait_for(lambda: reaches(mesh.client, f"http://{VIP}/"), "the service answers")
    copy = mesh.manifests.text("services.yaml").replace(VIP, "10.96.61.8")
    mesh.manifests.write_text("z-copy.yaml", copy)
    state = wait_for(
        lambda: "z-copy.yaml:1" in mesh.one.status()["state"]["lastError"] and mesh.one.status()["state"], "it is told")
    assert "Service default/server" in state["lastError"] and "services.yaml:1" in state["lastError"]
    assert reaches(mesh.client, f"http://{VIP}/")


def test_the_folder_is_gone_for_a_while(mesh):
    wait_for(lambda: reaches(mesh.client, f"http://{VIP}/"), "the service answers")
    away = mesh.manifests.folder.with_name("away")
    os.rename(mesh.manifests.folder, away)
    wait_for(lambda: "no such folder" in mesh.one.status()["state"]["lastError"], "it is told")
    assert reaches(mesh.client, f"http://{VIP}/"), "the last good state serves"
    os.rename(away, mesh.manifests.folder)
    wait_for(lambda: mesh.one.status()["state"]["lastError"] == "", "it is back")
