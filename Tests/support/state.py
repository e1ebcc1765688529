"""Builds state files in ztunnel's local format."""
import os
import pathlib

import yaml


class State:
    """Workloads, services and policies; `write` replaces the file in one step, as an editor would."""

    def __init__(self):
        self.workloads, self.services, self.policies = [], [], []

    def workload(self, name, ips, node, namespace="default", account=None, hbone=True, services=None, **more):
        entry = {
            "uid": f"Kubernetes//v1/Pod/{namespace}/{name}", "name": name, "namespace": namespace,
            "workloadIps": list(ips), "node": node, "trustDomain": "cluster.local",
            "serviceAccount": account or name, "protocol": "HBONE" if hbone else "TCP",
            "workloadName": name, "canonicalName": name, "services": services or {}, **more,
        }
        self.workloads.append(entry)
        return entry

    def service(self, name, vips, ports, namespace="default", **more):
        entry = {
            "name": name, "namespace": namespace, "hostname": f"{name}.{namespace}.svc.cluster.local",
            "vips": [f"/{vip}" for vip in vips], "ports": ports, **more,
        }
        self.services.append(entry)
        return entry

    def policy(self, name, matches, action="Deny", scope="WorkloadSelector", namespace="default"):
        """One rule, one clause, these matches."""
        entry = {
            "name": name, "namespace": namespace, "scope": scope, "action": action, "dryRun": False,
            "rules": [[matches]],
        }
        self.policies.append(entry)
        return f"{namespace}/{name}"

    def text(self):
        value = {"workloads": self.workloads, "services": self.services, "policies": self.policies}
        return yaml.safe_dump({key: part for key, part in value.items() if part}, sort_keys=False)

    def write(self, path):
        path = pathlib.Path(path)
        temporary = path.with_suffix(".new")
        temporary.write_text(self.text())
        os.replace(temporary, path)
        return path
