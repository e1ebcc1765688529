"""The keys of every `-o json` are those of the table in docs/cli.md: none is missing, none is told of nowhere, none goes unnoticed."""
import json
import re

import pytest
import yaml

from support import netns
from support.programs import ROOT
from support.waiting import wait_for

from .conftest import VIP

pytestmark = pytest.mark.root
# Rows in the shape of Istio's config dump are its own matter.
ISTIO = ("workloads[]", "services[]", "policies[]")
# Names that are values: a node's, a namespace's.
OPEN = ("elsewhere", "notEnrolled", "pods[].failOpen", "pods[].older")


def documented():
    """Command → (keys that are always there, keys that may be)."""
    text = (ROOT / "docs/cli.md").read_text()
    section = text.split("## Keys of `-o json`")[1].split("\n## ")[0]
    table = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            command = re.fullmatch(r"`ztun ([a-z -]+)`", cells[0])[1]
            table[command] = tuple(set().union(*map(expanded, re.findall(r"`([^`]+)`", cell))) for cell in cells[1:])
    return table


def expanded(text):
    """`a[].{b,c}` as the key paths `a`, `a[].b`, `a[].c`."""
    head, brace, tail = text.partition("{")
    names = [head + name for name in tail.rstrip("}").split(",")] if brace else [text]
    found = set()
    for name in names:
        parts = name.split(".")
        found |= {".".join(parts[: count + 1]) for count in range(len(parts))}
    return {name.removesuffix("[]") for name in found}


def paths(value, prefix=""):
    """All key paths of a document: `pods[].name`."""
    found = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            path = f"{prefix}.{key}" if prefix else key
            found.add(path)
            if path not in OPEN and f"{path}[]" not in ISTIO:
                found |= paths(inner, path)
    elif isinstance(value, list):
        for inner in value:
            found |= paths(inner, prefix + "[]")
    return found


@pytest.fixture
def documents(mesh, tmp_path):
    """One answer of every command, of a node where things happen."""
    mesh.manifests.authorization("no-stranger", {
        "action": "DENY", "rules": [{"from": [{"source": {"serviceAccounts": ["default/stranger"]}}]}]})
    mesh.manifests.write()
    wait_for(lambda: mesh.two.status()["state"]["policies"] == 1, "the policy is in force")
    edit = tmp_path / "edit.yaml"
    edit.write_text(yaml.safe_dump({
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "strict", "namespace": "default"},
        "spec": {"mtls": {"mode": "STRICT"}}}))
    daemon = mesh.two

    def ask(*arguments):
        result = daemon.ztun(*arguments, "-o", "json", check=False)
        assert result.stdout or arguments[0] == "observe", result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()] if arguments[0] == "observe" else json.loads(result.stdout)

    ask("observe", "--open")
    mesh.stranger.curl(f"http://{VIP}/")
    mesh.outsider.curl(f"http://{mesh.server.ipv4}:8080/", check=True)
    mesh.client.curl(f"http://{VIP}/", check=True)
    with mesh.client.connect(mesh.server.ipv4, 7000) as one, mesh.outsider.connect(mesh.server.ipv4, 7000) as two:
        for connection in (one, two):
            connection.sendall(b"x")
            assert netns.receive(connection, 1) == b"x"
        wait_for(lambda: ask("denials")["denials"] and len(ask("observe")) >= 3, "all of it is known")
        wait_for(lambda: len(ask("strict-ready", "default")["callers"]) == 2, "also who calls in plaintext")
        yield {
            "status": ask("status"), "denials": ask("denials"), "connections": ask("connections"), "certs": ask("certs"),
            "workloads": ask("workloads"), "services": ask("services"), "policies": ask("policies"),
            "why": ask("why", "default/stranger", "default/server:8080"), "strict-ready": ask("strict-ready", "default"),
            "policy diff": ask("policy", "diff", edit), "observe": ask("observe", "--open", "--last", "100"),
        }


def test_every_key_is_documented_and_there(documents):
    table = documented()
    assert table.keys() == documents.keys()
    wrong = {}
    for command, document in documents.items():
        always, sometimes = table[command]
        # What a key that may be missing stands in may be missing with it.
        sometimes = {path.removesuffix(".*") for path in sometimes} - always
        found = set().union(*(paths(one) for one in document)) if isinstance(document, list) else paths(document)
        if not always <= found or not found <= always | sometimes:
            wrong[command] = {"missing": sorted(always - found), "not documented": sorted(found - always - sometimes)}
    assert not wrong, json.dumps(wrong, indent=1)
