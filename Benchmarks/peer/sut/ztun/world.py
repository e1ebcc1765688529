#!/usr/bin/env python3
"""Turns the bench's world.json into ztun's files: world.py WORLD OUT [--server-protocol TCP|HBONE]
Writes OUT/ztun-state.yaml and OUT/ztun-routes.yaml, and prints the --roots and --identity arguments, one per line."""
import json
import pathlib
import sys

world = json.loads(pathlib.Path(sys.argv[1]).read_text())
out = pathlib.Path(sys.argv[2])
server_protocol = sys.argv[4] if len(sys.argv) > 4 else "HBONE"
service = world["services"][0]
addresses = {workload["ip"]: workload["name"] for workload in world["workloads"]}


def identity(workload):
    """(namespace, service account) of spiffe://TD/ns/NS/sa/SA."""
    parts = workload["identity"].split("/")
    return parts[4], parts[6]


lines = ["workloads:"]
for workload in world["workloads"]:
    namespace, account = identity(workload)
    protocol = server_protocol if workload["name"] == "server" else "HBONE"
    lines.append(
        f"- {{uid: 'bench//v1/Pod/{namespace}/{workload['name']}', name: {workload['name']}, namespace: {namespace}, "
        f"node: {workload['node']}, workloadIps: ['{workload['ip']}'], protocol: {protocol}, "
        f"trustDomain: {world['trustDomain']}, serviceAccount: {account}, "
        + ("authorizationPolicies: ['%s/peers'], " % namespace if workload["name"] == "server" else "")
        + "services: {%s}}" % (f"{namespace}/bench.example: {{{service['port']}: {service['port']}}}" if workload["name"] == "server" else "")
    )
namespace = identity(world["workloads"][0])[0]
lines += [
    "services:",
    f"- {{name: bench, namespace: {namespace}, hostname: bench.example, vips: ['/{service['vip']}'], "
    f"ports: {{{service['port']}: {service['port']}}}, waypoint: {{destination: '/{service['waypoint']}', hboneMtlsPort: {world['hbonePort']}}}}}",
    "policies:",
    f"- {{name: peers, namespace: {namespace}, scope: WorkloadSelector, action: Allow, dryRun: false, "
    f"rules: [[[{{principals: [{{Prefix: '{world['trustDomain']}/ns/{namespace}/sa/'}}]}}]]]}}",
]
(out / "ztun-state.yaml").write_text("\n".join(lines) + "\n")

lines = ["routes:", f"- service: {namespace}/bench.example", "  rules:"]
for rule in service["routes"]:
    if "header" in rule:
        (name, value), = rule["header"].items()
        lines.append(f"  - matches: [{{headers: {{{name}: {{exact: '{value}'}}}}}}]\n    backends:")
    else:
        lines.append("  - backends:")
    for target in rule["to"]:
        address, port = target["endpoint"].rsplit(":", 1)
        lines.append(f"    - {{workload: {namespace}/{addresses[address]}, port: {port}, weight: {target['weight']}}}")
(out / "ztun-routes.yaml").write_text("\n".join(lines) + "\n")

print(f"--roots\n{world['ca']}")
for workload in world["workloads"]:
    print(f"--identity\n{workload['identity']}={workload['cert']},{workload['key']}")
