"""Builds folders of Kubernetes manifests, as `kubectl get -o yaml` would show the objects."""
import os
import pathlib

import yaml

AMBIENT = {"istio.io/dataplane-mode": "ambient"}


class Manifests:
    """Objects by file name; `write` replaces each file in one step, as an editor would."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.files = {}

    def add(self, file, kind, name, namespace="default", api="v1", labels=None, annotations=None, **parts):
        metadata = {"name": name}
        if namespace:
            metadata["namespace"] = namespace
        if labels:
            metadata["labels"] = labels
        if annotations:
            metadata["annotations"] = annotations
        document = {"apiVersion": api, "kind": kind, "metadata": metadata, **parts}
        self.files.setdefault(file, []).append(document)
        return document

    def namespace(self, name, labels=None, annotations=None):
        return self.add("namespaces.yaml", "Namespace", name, None, labels=labels, annotations=annotations)

    def node(self, node, zone="z1"):
        return self.add(
            "nodes.yaml", "Node", node.name, None,
            labels={"topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": zone},
            status={"addresses": [{"type": "InternalIP", "address": node.ipv4}, {"type": "InternalIP", "address": node.ipv6}]})

    def pod(self, pod, labels=None, ports=None, account=None, ready=True, **spec):
        containers = [{
            "name": "main", "image": "example/app:1",
            "ports": [{"name": name, "containerPort": port} for name, port in (ports or {}).items()],
        }]
        return self.add(
            f"pod-{pod.name}.yaml", "Pod", pod.name, pod.namespace, labels={"app": pod.name, **(labels or {})},
            spec={"serviceAccountName": account or pod.account, "nodeName": pod.node.name, "containers": containers, **spec},
            status={
                "phase": "Running", "podIP": pod.ipv4, "podIPs": [{"ip": ip} for ip in pod.ips],
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            })

    def service(self, name, addresses, ports, namespace="default", selector=None, labels=None, **spec):
        return self.add(
            "services.yaml", "Service", name, namespace, labels=labels,
            spec={
                "clusterIPs": list(addresses) or ["None"], "ports": ports, "selector": selector or {"app": name}, **spec,
            })

    def slice(self, service, pods, ports, namespace="default", ready=True):
        return self.add(
            "slices.yaml", "EndpointSlice", f"{service}-abcde", namespace, api="discovery.k8s.io/v1",
            labels={"kubernetes.io/service-name": service}, addressType="IPv4",
            endpoints=[
                {
                    "addresses": [pod.ipv4], "conditions": {"ready": ready}, "nodeName": pod.node.name,
                    "targetRef": {"kind": "Pod", "name": pod.name, "namespace": namespace},
                }
                for pod in pods
            ],
            ports=[{"name": name, "port": port, "protocol": "TCP"} for name, port in ports.items()])

    def authorization(self, name, spec, namespace="default"):
        return self.add(
            "policies.yaml", "AuthorizationPolicy", name, namespace, api="security.istio.io/v1", spec=spec)

    def peer_authentication(self, name, spec, namespace="default"):
        return self.add(
            "policies.yaml", "PeerAuthentication", name, namespace, api="security.istio.io/v1", spec=spec)

    def network_policy(self, name, spec, namespace="default"):
        return self.add(
            "network-policies.yaml", "NetworkPolicy", name, namespace, api="networking.k8s.io/v1", spec=spec)

    def text(self, file):
        return yaml.safe_dump_all(self.files[file], sort_keys=False)

    def write(self):
        for file in self.files:
            self.write_text(file, self.text(file))
        return self.folder

    def write_text(self, file, text):
        temporary = self.folder / f".{file}.new"
        temporary.write_text(text)
        os.replace(temporary, self.folder / file)

    def remove(self, file):
        self.files.pop(file, None)
        (self.folder / file).unlink(missing_ok=True)
