internal import MeshModel
internal import RoutingCore

/// Finds NetworkPolicies that would cut the tunnels between pods of a mesh, which a CNI sees as port 15008, and writes
/// down what to add.
package struct NetworkPolicyLint {
    /// One place where a policy would cut tunnels.
    package struct Finding: Hashable, Sendable {
        package let policy: ObjectReference
        package let place: ManifestPlace
        /// What is cut, what to add, and what that opens.
        package let text: String
    }

    static let tunnelPort: UInt16 = 15008

    package private(set) var findings: [Finding] = []
    /// What a person should know beside: pods a policy selects that are not in the mesh.
    package private(set) var notes: [String] = []
    /// Policies that would cut probes under istio-cni; no faults, since it depends on the CNI.
    package private(set) var probes: [Finding] = []
    /// Insertions by file.
    private(set) var edits: [String: [ManifestEdit]] = [:]
    private var probeEdits: [String: [ManifestEdit]] = [:]
    private let probeCuts: [String: ProbeLint.Cut]
    private let lint: ManifestLint

    package init(_ lint: ManifestLint) {
        self.lint = lint
        probeCuts = ProbeLint(lint).cuts
        for source in lint.sources {
            for part in ManifestDocuments(source.bytes).parts {
                guard let nodes = try? YAMLDocument.parseAll(Array(part.bytes), file: source.path) else { continue }
                let path = ManifestPath(file: source.path, lineOffset: part.lineOffset)
                for node in nodes { look(at: ManifestValue(node: node, path: path), source) }
            }
        }
    }

    private mutating func look(at value: ManifestValue, _ source: ManifestLint.Source) {
        guard let root = try? value.mapping() else { return }
        if (try? root.text("kind"))?.hasSuffix("List") == true {
            for item in (try? root.items("items")) ?? [] { look(at: item, source) }
            return
        }
        guard (try? root.text("kind")) == "NetworkPolicy", let policy = try? NetworkPolicy(reading: root),
            let spec = try? root.mapping("spec")
        else { return }
        let pods = lint.mesh.workloads.filter {
            $0.fields.namespace == policy.namespace && policy.pods.matches($0.fields.labels)
                && $0.fields.networkMode == .standard
        }
        let enrolled = pods.filter { $0.fields.tunnelProtocol == .hbone }
        // Where the pods are known and none is in the mesh, there is no tunnel to cut.
        guard pods.isEmpty || !enrolled.isEmpty else { return }
        let before = findings.count
        for direction in NetworkPolicy.Direction.allCases where policy.rules[direction] != nil {
            let key = direction == .ingress ? "ingress" : "egress"
            for (position, item) in ((try? spec.items(key)) ?? []).enumerated() {
                guard let rule = policy.rules[direction]?[position] else { continue }
                check(rule, item, policy, direction, "\(key)[\(position)]", source)
            }
        }
        for direction in NetworkPolicy.Direction.allCases where policy.rules[direction] != nil {
            guard let list = spec[direction == .ingress ? "ingress" : "egress"] else { continue }
            admitWaypoints(of: enrolled, policy, direction, list, source)
        }
        if let cut = probeCuts[policy.key] { tell(of: cut, policy, spec, source) }
        let outside = pods.filter { $0.fields.tunnelProtocol != .hbone }.map(\.fields.name).sorted()
        if findings.count > before, !outside.isEmpty {
            notes.append(
                "NetworkPolicy \(policy.key) also selects pods that are not in the mesh: \(outside.joined(separator: ", ")); "
                    + "port \(Self.tunnelPort) is opened for them too, and nobody listens there")
        }
    }

    private mutating func tell(
        of cut: ProbeLint.Cut, _ policy: NetworkPolicy, _ spec: ManifestMapping, _ source: ManifestLint.Source
    ) {
        let list = spec["ingress"]
        probes.append(Self.finding(policy, list ?? spec.value, cut.text))
        if let edit = list.flatMap({ cut.edit(of: $0, in: source.bytes) }) {
            probeEdits[source.path, default: []].append(edit)
        }
    }

    private mutating func check(
        _ rule: NetworkPolicy.Rule, _ item: ManifestValue, _ policy: NetworkPolicy,
        _ direction: NetworkPolicy.Direction, _ field: String, _ source: ManifestLint.Source
    ) {
        guard let ports = rule.ports, !ports.isEmpty, !Self.holdsTunnelPort(ports) else { return }
        guard !ProbeLint.isForProbes(rule) else { return }
        guard let list = (try? item.mapping())?["ports"] else { return }
        let peers =
            rule.peers == nil ? "everyone the rule admits already, since it names no peer" : "the rule's own peers"
        let way = direction == .ingress ? "from" : "to"
        add(
            policy, list,
            "spec.\(field) lists ports without \(Self.tunnelPort): tunnels \(way) its peers are cut; add "
                + "{port: \(Self.tunnelPort), protocol: TCP}, which opens that port \(way) \(peers); "
                + "inside the tunnel ztund still asks for the ports that are listed")
        if let edit = ManifestEdit.append(
            block: ["port: \(Self.tunnelPort)", "protocol: TCP"],
            flow: #"{"port": \#(Self.tunnelPort), "protocol": "TCP"}"#, to: list, in: source.bytes)
        {
            edits[source.path, default: []].append(edit)
        }
    }

    /// Tunnels to pods behind a waypoint come from the waypoint, and clients' go there: the rules' peers need not hold it.
    private mutating func admitWaypoints(
        of pods: [Workload], _ policy: NetworkPolicy, _ direction: NetworkPolicy.Direction, _ list: ManifestValue,
        _ source: ManifestLint.Source
    ) {
        let snapshot = MeshSnapshot(workloads: lint.mesh.workloads, services: lint.mesh.services)
        let waypoints = lint.mesh.workloads.filter {
            $0.fields.nativeTunnel && $0.fields.labels["gateway.networking.k8s.io/gateway-name"] != nil
        }
        var seen: Set<String> = []
        for pod in pods {
            // Whose waypoints are on the way: the pod's own, or those of the pods it may go to.
            let targets =
                direction == .ingress
                ? [pod] : lint.mesh.workloads.filter { $0 !== pod && admits(policy, .egress, of: pod, $0) }
            for waypoint in waypoints where targets.contains(where: { waypoint.isWaypoint(of: $0, in: snapshot) }) {
                let namespace = waypoint.fields.namespace
                let gateway = waypoint.fields.labels["gateway.networking.k8s.io/gateway-name"] ?? ""
                guard !admits(policy, direction, of: pod, waypoint), seen.insert("\(namespace)/\(gateway)").inserted
                else { continue }
                let key = direction == .ingress ? "from" : "to"
                add(
                    policy, list,
                    "no rule of spec.\(direction == .ingress ? "ingress" : "egress") admits the waypoint "
                        + "\(namespace)/\(gateway) on \(Self.tunnelPort): what goes through it is cut; add a rule \(key) its "
                        + "pods on that port, which opens it to them alone")
                let edit = Self.admission(of: gateway, namespace, key, list, source)
                if let edit { edits[source.path, default: []].append(edit) }
            }
        }
    }

    /// A rule for the pods of a waypoint on the tunnel's port.
    private static func admission(
        of gateway: String, _ namespace: String, _ key: String, _ list: ManifestValue, _ source: ManifestLint.Source
    ) -> ManifestEdit? {
        let pods = #"{"gateway.networking.k8s.io/gateway-name": "\#(gateway)"}"#
        let spaces = #"{"kubernetes.io/metadata.name": "\#(namespace)"}"#
        let peer = #"{"namespaceSelector": {"matchLabels": \#(spaces)}, "podSelector": {"matchLabels": \#(pods)}}"#
        return ManifestEdit.append(
            block: [
                "\(key):", "- namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: \(namespace)}}",
                "  podSelector: {matchLabels: {gateway.networking.k8s.io/gateway-name: \(gateway)}}", "ports:",
                "- port: \(tunnelPort)", "  protocol: TCP",
            ], flow: #"{"\#(key)": [\#(peer)], "ports": [{"port": \#(tunnelPort), "protocol": "TCP"}]}"#, to: list,
            in: source.bytes)
    }

    /// Whether some rule has the other pod among its peers: where it lists ports, the tunnel's is added to them.
    private func admits(
        _ policy: NetworkPolicy, _ direction: NetworkPolicy.Direction, of pod: Workload, _ other: Workload
    ) -> Bool {
        let open = NetworkPolicy(
            name: policy.name, namespace: policy.namespace, pods: policy.pods,
            rules: policy.rules.mapValues { $0.map { NetworkPolicy.Rule(peers: $0.peers, ports: nil) } })
        let table = NetworkPolicyTable(
            policies: [open], namespaces: lint.mesh.networkPolicies.namespaces.mapValues { .init(labels: $0.labels) },
            nodes: [:])
        let decision = NetworkPolicyDecision(MeshSnapshot(networkPolicies: table))
        guard let address = other.fields.addresses.first else { return direction == .ingress }
        let peer = NetworkPolicyPeer(address: address, pod: other)
        let verdict =
            direction == .ingress
            ? decision.ingress(to: pod, port: Self.tunnelPort, from: peer)
            : decision.egress(from: pod, to: peer, port: Self.tunnelPort)
        return verdict.refusing == nil
    }

    private mutating func add(_ policy: NetworkPolicy, _ value: ManifestValue, _ text: String) {
        findings.append(Self.finding(policy, value, text))
    }

    private static func finding(_ policy: NetworkPolicy, _ value: ManifestValue, _ text: String) -> Finding {
        Finding(
            policy: ObjectReference(kind: "NetworkPolicy", namespace: policy.namespace, name: policy.name),
            place: ManifestPlace(file: value.path.file, line: Int(value.node.line) + value.path.lineOffset), text: text)
    }

    private static func holdsTunnelPort(_ ports: [NetworkPolicy.Port]) -> Bool {
        ports.contains { port in
            if case .numbers(let range) = port { range.contains(tunnelPort) } else { false }
        }
    }

    /// The files with what is missing written in, everything else as it was; only those that change.
    /// - Parameter probes: whether rules for probes are written too.
    package func fixed(probes: Bool = false) -> [(path: String, bytes: [UInt8])] {
        lint.sources.compactMap { source in
            let edits = edits[source.path, default: []] + (probes ? probeEdits[source.path, default: []] : [])
            guard !edits.isEmpty else { return nil }
            return (source.path, ManifestEdit.apply(edits, to: source.bytes))
        }
    }
}
