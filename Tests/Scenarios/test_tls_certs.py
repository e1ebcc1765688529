"""`ztun certs`: what a person sees of identities, chains, roots and revocation."""
import json

import pytest

from support.identities import PKI, file_stage, spiffe, start
from support.waiting import wait_for

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    with file_stage(folder) as mesh:
        root = mesh.pki
        mesh.pki = PKI(folder / "middle", issuer=root, common_name="middle\x1b[31m")
        mesh.crl = folder / "crl.pem"
        mesh.crl.write_bytes(root.revocations(mesh.pki.leaf("gone", []) and mesh.pki.issued["gone"]))
        start(mesh, "--crl", mesh.crl)
        wait_for(lambda: mesh.one.ztun("certs", check=False).returncode == 0, "all certificates are there")
        yield mesh


def test_the_table_shows_chain_serials_and_roots(mesh):
    text = mesh.one.ztun("certs").stdout
    assert spiffe("client") in text and spiffe("denied") in text
    serial = mesh.pki.issued["client"].serial_number
    line = next(line for line in text.splitlines() if "Leaf" in line and spiffe("client") in line)
    assert str(serial) in line and f"{serial:x}" in line
    assert "Intermediate" in text and "CN=test root" in text
    assert sum("  Root  " in line for line in text.splitlines()) == 1, "one root, said once"
    assert "\x1b" not in text, "nothing of a certificate reaches the terminal raw"
    assert f"{mesh.crl}: 1 list, 1 revoked" in text


def test_json_and_filter(mesh):
    answer = json.loads(mesh.one.ztun("certs", "-o", "json", "--identity", "sa/denied").stdout)
    assert [entry["identity"] for entry in answer["certificates"]] == [spiffe("denied")]
    entry = answer["certificates"][0]
    assert entry["state"] == "Available"
    assert [link["kind"] for link in entry["chain"]] == ["Leaf", "Intermediate"]
    assert [link["kind"] for link in entry["roots"]] == ["Root"]
    assert int(entry["chain"][0]["serialNumberHex"], 16) == int(entry["serialNumber"])
    assert entry["serialNumber"] == str(mesh.pki.issued["denied"].serial_number)
    assert answer["revocation"]["revoked"] == 1 and answer["program"] == "ztund"


def test_yaml(mesh):
    import yaml

    assert len(yaml.safe_load(mesh.one.ztun("certs", "-o", "yaml").stdout)["certificates"]) == 2


def test_a_certificate_that_cannot_be_used_says_why_and_what_to_do(mesh):
    """A clock that is behind shows as a certificate that is not valid yet; the old one stays."""
    mesh.pki.leaf("denied", [spiffe("denied")], start=2)
    result = wait_for(
        lambda: (found := mesh.one.ztun("certs", "--identity", "sa/denied", check=False)) and "check the clock"
        in found.stdout and found, "the reason shows")
    assert "Available" in result.stdout and result.returncode == 0
    mesh.pki.leaf("denied", [spiffe("denied")])
    wait_for(lambda: "check the clock" not in mesh.one.ztun("certs").stdout, "it is over")


def test_a_bad_revocation_list_makes_it_end_with_1(mesh):
    good = mesh.crl.read_bytes()
    mesh.crl.write_bytes(b"damaged")
    wait_for(lambda: mesh.one.ztun("certs", check=False).returncode == 1, "a problem")
    assert "holds no certificate revocation list" in mesh.one.ztun("certs", check=False).stdout
    mesh.crl.write_bytes(good)
    wait_for(lambda: mesh.one.ztun("certs", check=False).returncode == 0, "none any more")
