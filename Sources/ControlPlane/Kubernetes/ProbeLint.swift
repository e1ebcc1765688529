internal import MeshModel
internal import RoutingCore

/// Finds the probes of pods in a mesh that their NetworkPolicies would cut under istio-cni, which sends them from an
/// address of its own. (From the node's address, as without it, every CNI lets them in.)
struct ProbeLint {
    /// What one policy cuts.
    struct Cut: Hashable, Sendable {
        var pods: Set<String> = []
        var ports: Set<UInt16> = []
        /// Of istio-cni's two addresses, those that the pods have a family for.
        var sources: Set<IPPrefix> = []
    }

    /// istio-cni's source addresses of probes, in ambient mode.
    static let sources = ["169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/128"].compactMap { IPPrefix($0) }

    /// By policy (`namespace/name`): the first of those that select the pod, where none admits its probes.
    private(set) var cuts: [String: Cut] = [:]

    init(_ lint: ManifestLint) {
        var probed: [ObjectName: Set<UInt16>] = [:]
        for source in lint.sources {
            for part in ManifestDocuments(source.bytes).parts {
                guard let nodes = try? YAMLDocument.parseAll(Array(part.bytes), file: source.path) else { continue }
                let path = ManifestPath(file: source.path, lineOffset: part.lineOffset)
                for node in nodes { Self.collect(ManifestValue(node: node, path: path), &probed) }
            }
        }
        guard !probed.isEmpty else { return }
        let policies = lint.mesh.networkPolicies
        // The CNI enforces whatever ztund is told of a namespace.
        let table = NetworkPolicyTable(
            policies: policies.policies, namespaces: policies.namespaces.mapValues { .init(labels: $0.labels) },
            nodes: [:])
        let decision = NetworkPolicyDecision(MeshSnapshot(networkPolicies: table))
        for pod in lint.mesh.workloads where pod.fields.tunnelProtocol == .hbone {
            guard let ports = probed[ObjectName(pod.fields.namespace, pod.fields.name)] else { continue }
            for port in ports {
                for source in Self.sources
                where pod.fields.addresses.contains(where: { $0.isIPv4 == source.address.isIPv4 }) {
                    let peer = NetworkPolicyPeer(address: source.address, pod: nil)
                    guard let policy = decision.ingress(to: pod, port: port, from: peer).refusing?.first else {
                        continue
                    }
                    cuts[policy, default: Cut()].pods.insert(pod.fields.name)
                    cuts[policy, default: Cut()].ports.insert(port)
                    cuts[policy, default: Cut()].sources.insert(source)
                }
            }
        }
    }

    /// Whether a rule is for istio-cni's probes alone: no tunnel comes from there.
    static func isForProbes(_ rule: NetworkPolicy.Rule) -> Bool {
        guard let peers = rule.peers, !peers.isEmpty else { return false }
        return peers.allSatisfy { peer in
            if case .addresses(let range, _) = peer { sources.contains(range) } else { false }
        }
    }

    /// The ports of the probes that come over the network.
    private static func collect(_ value: ManifestValue, _ probed: inout [ObjectName: Set<UInt16>]) {
        guard let root = try? value.mapping() else { return }
        if (try? root.text("kind"))?.hasSuffix("List") == true {
            for item in (try? root.items("items")) ?? [] { collect(item, &probed) }
            return
        }
        guard (try? root.text("kind")) == "Pod", let metadata = try? Kubernetes.Metadata(root, isNamespaced: true),
            let spec = try? root.mapping("spec")
        else { return }
        var ports: Set<UInt16> = []
        for list in ["containers", "initContainers"] {
            for item in (try? spec.items(list)) ?? [] {
                guard let container = try? item.mapping() else { continue }
                for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                    guard let probe = try? container.mapping(probe) else { continue }
                    for kind in ["httpGet", "tcpSocket", "grpc"] {
                        guard let port = try? probe.mapping(kind)?["port"]?.portReference() else { continue }
                        if let number = number(of: port, in: container) { ports.insert(number) }
                    }
                }
            }
        }
        if !ports.isEmpty { probed[ObjectName(metadata)] = ports }
    }

    private static func number(of port: Kubernetes.PortReference, in container: ManifestMapping) -> UInt16? {
        switch port {
        case .number(let number): return number
        case .named(let name):
            for item in (try? container.items("ports")) ?? [] {
                guard let entry = try? item.mapping(), (try? entry.text("name")) == name else { continue }
                return try? entry["containerPort"]?.port()
            }
            return nil
        }
    }
}

extension ProbeLint.Cut {
    private var sortedSources: [IPPrefix] { sources.sorted { $0.address.isIPv4 && !$1.address.isIPv4 } }

    /// What is cut, what to add, and what that opens.
    var text: String {
        let ports = ports.sorted().map(String.init).joined(separator: ", ")
        let sources = sortedSources.map(\.description).joined(separator: " and ")
        return
            "under istio-cni, probes of \(pods.sorted().joined(separator: ", ")) (port \(ports)) come from \(sources), which no "
            + "rule admits; where the CNI does not let them in by itself, add a rule from that ipBlock on the port "
            + "(--fix-probes writes it), which opens it to probes of the pod's own node alone"
    }

    /// A rule that admits them.
    func edit(of list: ManifestValue, in bytes: [UInt8]) -> ManifestEdit? {
        let ports = ports.sorted()
        let flowPeers = sortedSources.map { #"{"ipBlock": {"cidr": "\#($0)"}}"# }.joined(separator: ", ")
        let flowPorts = ports.map { #"{"port": \#($0), "protocol": "TCP"}"# }.joined(separator: ", ")
        return ManifestEdit.append(
            block: ["from:"] + sortedSources.map { "- ipBlock: {cidr: \"\($0)\"}" } + ["ports:"]
                + ports.flatMap { ["- port: \($0)", "  protocol: TCP"] },
            flow: #"{"from": [\#(flowPeers)], "ports": [\#(flowPorts)]}"#, to: list, in: bytes)
    }
}
