#!/usr/bin/env python3
"""What a simple CNI makes of the NetworkPolicies in a folder: nft rules for the forward path of one node.

It knows nothing of a mesh: it sees packets between pods, by address and port. Ingress only; labels, namespaces and
address blocks as peers; numbers as ports. That is all the demo has.

    demo-cni.py FOLDER NODE | nft -f -
"""
import pathlib
import sys

import yaml

HEAD = """\
table inet cni {}
delete table inet cni
table inet cni {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ct state established,related accept
"""


def objects(folder):
    for path in sorted(pathlib.Path(folder).glob("*.yaml")):
        yield from filter(None, yaml.safe_load_all(path.read_text()))


def selected(selector, labels):
    if "matchExpressions" in selector:
        sys.exit("demo-cni: this simple CNI knows no matchExpressions")
    return selector.get("matchLabels", {}).items() <= labels.items()


class Cluster:
    def __init__(self, folder):
        everything = list(objects(folder))
        of_kind = lambda kind: [item for item in everything if item["kind"] == kind]
        self.pods = of_kind("Pod")
        self.policies = of_kind("NetworkPolicy")
        self.namespaces = {
            item["metadata"]["name"]: {"kubernetes.io/metadata.name": item["metadata"]["name"], **item["metadata"].get("labels", {})}
            for item in of_kind("Namespace")
        }

    @staticmethod
    def addresses(pod):
        return [entry["ip"] for entry in pod["status"]["podIPs"]]

    def peer(self, peer, namespace):
        """The addresses that an entry of `from` means."""
        if "ipBlock" in peer:
            return [peer["ipBlock"]["cidr"]]
        found = []
        for pod in self.pods:
            metadata = pod["metadata"]
            if "namespaceSelector" in peer:
                if not selected(peer["namespaceSelector"], self.namespaces.get(metadata["namespace"], {})):
                    continue
            elif metadata["namespace"] != namespace:
                continue
            if selected(peer.get("podSelector", {}), metadata.get("labels", {})):
                found += self.addresses(pod)
        return found

    def accepts(self, policy):
        """One line of nft for each rule and family."""
        for rule in policy["spec"].get("ingress", []):
            ports = [str(entry["port"]) for entry in rule.get("ports", []) if entry.get("protocol", "TCP") == "TCP"]
            match = f"tcp dport {{ {', '.join(ports)} }} " if "ports" in rule else ""
            if "from" not in rule:
                yield f"{match}accept"
                continue
            addresses = [address for peer in rule["from"] for address in self.peer(peer, policy["metadata"]["namespace"])]
            for family, mark in (("ip", "."), ("ip6", ":")):
                members = sorted({address for address in addresses if mark in address})
                if members:
                    yield f"{family} saddr {{ {', '.join(members)} }} {match}accept"

    def ruleset(self, node):
        jumps, chains = [], []
        for pod in self.pods:
            metadata = pod["metadata"]
            policies = [
                policy for policy in self.policies
                if policy["metadata"]["namespace"] == metadata["namespace"]
                and selected(policy["spec"]["podSelector"], metadata.get("labels", {}))
                and "Ingress" in policy["spec"].get("policyTypes", ["Ingress"])
            ]
            if pod["spec"].get("nodeName") != node or not policies:
                continue
            chain = f"to-{metadata['name']}"
            for address in self.addresses(pod):
                jumps.append(f"    {'ip6' if ':' in address else 'ip'} daddr {address} jump {chain}")
            lines = [f"    {line}" for policy in policies for line in self.accepts(policy)]
            chains.append("\n".join([f"  chain {chain} {{", *lines, "    counter drop", "  }"]))
        # A chain must stand before it is jumped to; nft reads the whole table first.
        return HEAD + "\n".join(jumps) + "\n  }\n" + "\n".join(chains) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(Cluster(sys.argv[1]).ruleset(sys.argv[2]))
