internal import MeshModel

extension MeshCompiler {
    /// Says per namespace what becomes of connections that network policies do not admit.
    static let modeKey = "ztun.io/network-policy"

    /// The network policies with what they go by: the labels of namespaces and the addresses of nodes.
    mutating func compileNetworkPolicies() -> NetworkPolicyTable {
        guard !objects.networkPolicies.isEmpty else { return .empty }
        var namespaces: [String: NetworkPolicyTable.Namespace] = [:]
        for (name, object) in objects.namespaces {
            var labels = Dictionary(object.metadata.labels.labels.map { ($0.key, $0.value) }) { $1 }
            labels["kubernetes.io/metadata.name"] = name
            namespaces[name] = .init(labels: LabelSet(labels), mode: mode(object.metadata))
        }
        return NetworkPolicyTable(
            policies: objects.networkPolicies.keys.sorted().compactMap { objects.networkPolicies[$0]?.policy },
            namespaces: namespaces, nodes: objects.nodes.mapValues(\.addresses))
    }

    private mutating func mode(_ metadata: Kubernetes.Metadata) -> NetworkPolicyMode {
        guard let text = metadata.annotations[Self.modeKey] ?? metadata.labels[Self.modeKey] else { return .enforce }
        if let mode = NetworkPolicyMode(rawValue: text) { return mode }
        tell(
            .error, .invalid, "Namespace", metadata,
            "\(Self.modeKey) \(text.quoted) is not known: enforce is in force; enforce, audit and off are known")
        return .enforce
    }
}
