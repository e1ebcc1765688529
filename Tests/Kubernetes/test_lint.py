"""`ztun lint` and `ztun netpol lint`: manifests are checked without a daemon, and fixed with their comments kept."""
import subprocess

import pytest
import yaml

from support.programs import program

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata: {name: app, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: wp}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: app, labels: {istio.io/waypoint-for: all}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{type: IPAddress, value: 10.0.0.9}]}
---
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {0}, namespace: app, labels: {{{1}}}}}
spec: {{serviceAccountName: {0}}}
status: {{phase: Running, podIPs: [{{ip: {2}}}]}}
---
"""
PODS = (
    POD.format("web", "app: web", "10.0.0.1") + POD.format("db", "app: db", "10.0.0.2")
    + POD.format("old", "app: db, istio.io/dataplane-mode: none", "10.0.0.3")
    + POD.format("wp-1", "gateway.networking.k8s.io/gateway-name: wp", "10.0.0.9"))
POLICIES = """\
# Who may talk to the database.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db          # keep this name
  namespace: app
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  # the web tier
  - from:
    - podSelector: {matchLabels: {app: web}}
    ports:
      - protocol: TCP
        port: 5432   # postgres
  # everything from monitoring is fine already
  - from: [{namespaceSelector: {matchLabels: {team: monitoring}}}]
---
{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "out", "namespace": "app"},
 "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"],
  "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 5432}, {"port": 53, "protocol": "UDP"}]}]}}
"""


def run(*arguments):
    result = subprocess.run([program("ztun"), *map(str, arguments)], capture_output=True, text=True, timeout=30)
    assert result.returncode in (0, 1), result.stderr
    return result


def test_lint_says_what_means_less_than_written(tmp_path):
    (tmp_path / "a.yaml").write_text(
        NAMESPACE + PODS + """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: get-only, namespace: app}
spec:
  rules:
  - to:
    - operation: {methods: [GET]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: typo, namespace: app}
spec: {rulez: []}
""")
    result = run("lint", tmp_path)
    assert result.returncode == 1
    assert "a.yaml:35: error: AuthorizationPolicy app/get-only: ztunnel does not support HTTP attributes (found: methods)" in result.stdout
    assert "a.yaml:46: error: AuthorizationPolicy app/typo: spec: unknown field 'rulez'; did you mean 'rules'?" in result.stdout
    (tmp_path / "a.yaml").write_text(NAMESPACE + PODS)
    result = run("lint", tmp_path)
    assert result.returncode == 0 and "6 objects, 0 errors, 0 warnings" in result.stdout, result.stdout


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mesh.yaml").write_text(NAMESPACE + PODS)
    (tmp_path / "netpol.yaml").write_text(POLICIES)
    return tmp_path


def test_netpol_lint_finds_what_cuts_tunnels(folder):
    result = run("netpol", "lint", folder)
    assert result.returncode == 1
    assert "netpol.yaml:14: NetworkPolicy app/db: spec.ingress[0] lists ports without 15008" in result.stdout
    assert "NetworkPolicy app/out: spec.egress[0] lists ports without 15008" in result.stdout
    assert "no rule of spec.ingress admits the waypoint app/wp on 15008" in result.stdout
    assert "also selects pods that are not in the mesh: old" in result.stdout


def test_netpol_fix_keeps_comments_and_order(folder):
    result = run("netpol", "lint", "--fix", folder)
    assert result.returncode == 0, result.stdout
    text = (folder / "netpol.yaml").read_text()
    # Nothing of what was written is gone or elsewhere: each old line is there, in its order.
    rest = iter(text.replace(', {"port": 15008, "protocol": "TCP"}', "").splitlines())
    assert all(line in rest for line in POLICIES.splitlines())
    database, out = yaml.safe_load_all(text)
    rules = database["spec"]["ingress"]
    assert rules[0]["ports"] == [{"protocol": "TCP", "port": 5432}, {"port": 15008, "protocol": "TCP"}]
    assert rules[0]["from"] == [{"podSelector": {"matchLabels": {"app": "web"}}}]
    assert rules[1] == {"from": [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]}
    assert rules[2] == {
        "from": [{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "app"}},
            "podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "wp"}}}],
        "ports": [{"port": 15008, "protocol": "TCP"}]}
    assert len(rules) == 3
    # The client may go to every pod of its namespace, so the waypoint in front of them is among these.
    assert len(out["spec"]["egress"]) == 1
    assert out["spec"]["egress"][0]["ports"][-1] == {"port": 15008, "protocol": "TCP"}
    assert run("netpol", "lint", folder).returncode == 0
    again = run("netpol", "lint", "--fix", folder)
    assert again.returncode == 0 and (folder / "netpol.yaml").read_text() == text


def test_netpol_lint_leaves_alone_what_is_no_mesh(tmp_path):
    (tmp_path / "all.yaml").write_text(NAMESPACE.replace("ambient", "none") + POD.format("db", "app: db", "10.0.0.2") + POLICIES)
    result = run("netpol", "lint", tmp_path)
    assert "NetworkPolicy app/db" not in result.stdout


def test_netpol_fix_opens_the_way_to_the_waypoint_too(folder):
    """A client that may only go to the database reaches it through the waypoint, which its egress must hold."""
    (folder / "netpol.yaml").write_text(POLICIES.replace('"to": [{"podSelector": {}}]', '"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]'))
    assert "no rule of spec.egress admits the waypoint app/wp" in run("netpol", "lint", folder).stdout
    assert run("netpol", "lint", "--fix", folder).returncode == 0
    out = list(yaml.safe_load_all((folder / "netpol.yaml").read_text()))[1]["spec"]["egress"]
    assert len(out) == 2 and out[1]["ports"] == [{"port": 15008, "protocol": "TCP"}]
    assert out[1]["to"][0]["podSelector"] == {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "wp"}}


PROBED = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: app, labels: {app: web}}
spec:
  serviceAccountName: web
  containers:
  - name: main
    image: example/web:1
    ports: [{name: health, containerPort: 8086}, {name: http, containerPort: 8080}]
    livenessProbe: {httpGet: {port: health, path: /}}
    readinessProbe: {tcpSocket: {port: 8080}}
    startupProbe: {exec: {command: ["true"]}}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
---
"""
PROBE_POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: app}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  # clients
  - from: [{podSelector: {}}]
    ports: [{port: 8080}, {port: 15008}]
"""


def test_netpol_lint_tells_of_probes_and_leaves_them_alone(tmp_path):
    """Under istio-cni they come from an address of their own. Only --fix-probes opens it, on the probes' ports."""
    mesh, policy = tmp_path / "mesh.yaml", tmp_path / "netpol.yaml"
    mesh.write_text(NAMESPACE.replace(", istio.io/use-waypoint: wp", "") + PROBED)
    policy.write_text(PROBE_POLICY)
    note = ("netpol.yaml:8: NetworkPolicy app/web: under istio-cni, probes of web (port 8080, 8086) come from 169.254.7.127/32 and "
            "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128")
    for flags in ([], ["--fix"]):
        result = run("netpol", "lint", *flags, tmp_path)
        assert result.returncode == 0 and note in result.stdout, result.stdout
        assert policy.read_text() == PROBE_POLICY
    assert run("netpol", "lint", "--fix-probes", tmp_path).returncode == 0
    text = policy.read_text()
    assert text.startswith(PROBE_POLICY)
    assert yaml.safe_load(text)["spec"]["ingress"][1] == {
        "from": [{"ipBlock": {"cidr": "169.254.7.127/32"}}, {"ipBlock": {"cidr": "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128"}}],
        "ports": [{"port": 8080, "protocol": "TCP"}, {"port": 8086, "protocol": "TCP"}]}
    result = run("netpol", "lint", "--fix-probes", tmp_path)
    assert result.returncode == 0 and "probes" not in result.stdout and policy.read_text() == text


@pytest.mark.parametrize("change", [
    # Admitted already: by everybody's rule, by a range, by another policy; or nobody probes, or no mesh.
    ("- from: [{podSelector: {}}]\n    ports: [{port: 8080}, {port: 15008}]", "- {}"),
    ("[{podSelector: {}}]\n    ports: [{port: 8080}, {port: 15008}]", "[{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]"),
    ("livenessProbe: {httpGet: {port: health, path: /}}\n    readinessProbe: {tcpSocket: {port: 8080}}", "livenessProbe: {exec: {command: [x]}}"),
    ("istio.io/dataplane-mode: ambient", "istio.io/dataplane-mode: none"),
])
def test_netpol_lint_tells_of_probes_only_where_they_are_cut(tmp_path, change):
    text = NAMESPACE.replace(", istio.io/use-waypoint: wp", "") + PROBED + PROBE_POLICY
    assert change[0] in text
    (tmp_path / "all.yaml").write_text(text.replace(*change))
    assert "under istio-cni" not in run("netpol", "lint", tmp_path).stdout


def test_netpol_fix_says_what_it_cannot_write(tmp_path):
    """A policy that admits nobody has no list to add to."""
    text = NAMESPACE.replace(", istio.io/use-waypoint: wp", "") + PROBED + PROBE_POLICY.split("  ingress:")[0]
    (tmp_path / "all.yaml").write_text(text)
    result = run("netpol", "lint", "--fix-probes", tmp_path)
    assert result.returncode == 1 and "not fixed, do it by hand: NetworkPolicy app/web: under istio-cni" in result.stdout
    assert (tmp_path / "all.yaml").read_text() == text
