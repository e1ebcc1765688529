/// The network policies of a mesh with what deciding by them needs beside the workloads: immutable, shared by reference.
package final class NetworkPolicyTable: Sendable {
    /// Policies of one namespace with the same pod selector and direction.
    package struct Group: Sendable {
        package let selector: LabelSelector
        /// The keys of the policies, for messages.
        package fileprivate(set) var policies: [String] = []
        package fileprivate(set) var grants = GrantIndex()
    }
    /// What is known of a namespace.
    package struct Namespace: Hashable, Sendable {
        package var labels: LabelSet
        package var mode: NetworkPolicyMode

        package init(labels: LabelSet, mode: NetworkPolicyMode = .enforce) {
            self.labels = labels
            self.mode = mode
        }
    }
    /// The groups of one namespace and direction, found by a label that their selector requires.
    fileprivate struct Groups: Sendable {
        var all: [Group] = []
        var byLabel: [LabelSet.Label: [Int]] = [:]
        var keys: [String] = []
        var loose: [Int] = []
    }
    private struct Key: Hashable {
        let namespace: String
        let direction: NetworkPolicy.Direction
    }

    package let policies: [NetworkPolicy]
    package let namespaces: [String: Namespace]
    /// The addresses of each node by its name.
    package let nodes: [String: [IPAddress]]
    private let groups: [Key: Groups]

    package static let empty = NetworkPolicyTable(policies: [], namespaces: [:], nodes: [:])

    package init(policies: [NetworkPolicy], namespaces: [String: Namespace], nodes: [String: [IPAddress]]) {
        self.policies = policies
        self.namespaces = namespaces
        self.nodes = nodes
        var collected: [Key: [LabelSelector: Group]] = [:]
        for policy in policies {
            for (direction, rules) in policy.rules {
                let key = Key(namespace: policy.namespace, direction: direction)
                var group = collected[key]?.removeValue(forKey: policy.pods) ?? Group(selector: policy.pods)
                group.policies.append(policy.key)
                for (position, rule) in rules.enumerated() {
                    for peer in rule.peers.map({ $0.map(Optional.some) }) ?? [nil] {
                        group.grants.insert(
                            NetworkPolicyGrant(policy: policy, rule: position, peer: peer, ports: rule.ports))
                    }
                }
                collected[key, default: [:]][policy.pods] = group
            }
        }
        groups = collected.mapValues {
            Groups($0.values.sorted { ($0.policies.first ?? "") < ($1.policies.first ?? "") })
        }
    }

    package var isEmpty: Bool { policies.isEmpty }

    /// Calls the function for each group of policies that select a pod in a direction, until it returns false.
    package func forEachGroup(
        selecting labels: LabelSet, in namespace: String, _ direction: NetworkPolicy.Direction, _ body: (Group) -> Bool
    ) {
        guard let groups = groups[Key(namespace: namespace, direction: direction)] else { return }
        for key in groups.keys {
            guard let value = labels[key], let found = groups.byLabel[LabelSet.Label(key, value)] else { continue }
            for index in found where groups.all[index].selector.matches(labels) {
                guard body(groups.all[index]) else { return }
            }
        }
        for index in groups.loose where groups.all[index].selector.matches(labels) {
            guard body(groups.all[index]) else { return }
        }
    }

    /// The labels of a namespace; one that nobody has described carries its own name, as Kubernetes gives it.
    package func labels(ofNamespace name: String) -> LabelSet {
        namespaces[name]?.labels ?? LabelSet(["kubernetes.io/metadata.name": name])
    }

    package func mode(ofNamespace name: String) -> NetworkPolicyMode { namespaces[name]?.mode ?? .enforce }

    /// Whether the two tables decide alike.
    package func isSame(as other: NetworkPolicyTable) -> Bool {
        self === other || (policies == other.policies && namespaces == other.namespaces && nodes == other.nodes)
    }
}

extension NetworkPolicyTable.Groups {
    init(_ groups: [NetworkPolicyTable.Group]) {
        all = groups
        for (index, group) in groups.enumerated() {
            guard let label = group.selector.labels.first else {
                loose.append(index)
                continue
            }
            byLabel[label, default: []].append(index)
            if !keys.contains(label.key) { keys.append(label.key) }
        }
    }
}
