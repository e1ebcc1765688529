internal import MeshModel

/// Makes L4 policies of the PeerAuthentications of a mesh, as istiod does for its node proxy, and says which of them a
/// workload gets. Where upstream would leave a port open by mistake, this does not.
struct PeerAuthenticationConversion {
    private typealias Mode = Kubernetes.PeerAuthentication.Mode

    /// The policy that lets nobody in without an identity.
    static let staticName = "istio_converted_static_strict"
    static let prefix = "converted_peer_authentication_"

    private let rootNamespace: String
    private let isEmpty: Bool
    private let meshMode: Mode
    private var namespaceModes: [String: Mode] = [:]
    /// Those with a selector by namespace, oldest first.
    private var byNamespace: [String: [Kubernetes.PeerAuthentication]] = [:]

    init(_ all: some Sequence<Kubernetes.PeerAuthentication>, rootNamespace: String) {
        self.rootNamespace = rootNamespace
        let sorted = all.sorted {
            ($0.metadata.created, $0.metadata.namespace, $0.metadata.name)
                < ($1.metadata.created, $1.metadata.namespace, $1.metadata.name)
        }
        isEmpty = sorted.isEmpty
        meshMode = sorted.first { $0.metadata.namespace == rootNamespace && $0.selector == nil }?.mode ?? .unset
        for policy in sorted where policy.metadata.namespace != rootNamespace {
            let namespace = policy.metadata.namespace
            if policy.selector == nil {
                if namespaceModes[namespace] == nil { namespaceModes[namespace] = policy.mode }
            } else {
                byNamespace[namespace, default: []].append(policy)
            }
        }
    }

    /// Every policy they amount to.
    func policies() -> [AuthorizationPolicy] {
        guard !isEmpty else { return [] }
        var policies = [
            AuthorizationPolicy(
                name: Self.staticName, namespace: rootNamespace, scope: .workloadSelector, action: .deny,
                rules: [[[Self.noIdentity()]]])
        ]
        for namespace in byNamespace.keys.sorted() {
            policies += (byNamespace[namespace] ?? []).compactMap(convert)
        }
        return policies
    }

    /// The key of the policy that a workload gets; nil where plaintext is let in.
    func key(namespace: String, labels: LabelSet) -> String? {
        let strict = "\(rootNamespace)/\(Self.staticName)"
        let own = byNamespace[namespace]?.first { $0.selector?.matches(labels) ?? false }
        guard let own else { return isParentStrict(namespace) ? strict : nil }
        if let converted = convert(own) { return converted.key }
        let isStrict = own.mode == .strict || own.mode == .unset && isParentStrict(namespace)
        return isStrict ? strict : nil
    }

    /// What a workload without a policy of its own gets: the namespace's mode, else the mesh's.
    private func isParentStrict(_ namespace: String) -> Bool {
        let own = namespaceModes[namespace] ?? .unset
        return (own == .unset ? meshMode : own) == .strict
    }

    /// The policy of one with ports of their own; nil where none is needed.
    private func convert(_ policy: Kubernetes.PeerAuthentication) -> AuthorizationPolicy? {
        let ports = policy.ports.sorted { $0.key < $1.key }
        let exempt = ports.filter(\.value.admitsPlaintext).map { [Self.notPort($0.key)] }
        let parentStrict = isParentStrict(policy.metadata.namespace)
        var rules: [AuthorizationPolicy.Rule] = []
        switch policy.mode {
        case .strict:
            guard !exempt.isEmpty else { return nil }
            // Upstream says it once more where the parent is strict too; it changes nothing.
            rules = [[[Self.noIdentity()]] + exempt + (parentStrict ? [[Self.noIdentity()]] : [])]
        case .unset where parentStrict:
            guard !exempt.isEmpty else { return nil }
            rules = [exempt + [[Self.noIdentity()]]]
        default:
            rules = ports.filter { $0.value == .strict }.map { port, _ in
                var match = Self.noIdentity()
                match.destinationPorts = [port]
                return [[match]]
            }
            guard !rules.isEmpty else { return nil }
        }
        return AuthorizationPolicy(
            name: Self.prefix + policy.metadata.name, namespace: policy.metadata.namespace, scope: .workloadSelector,
            action: .deny, rules: rules)
    }

    private static func noIdentity() -> AuthorizationPolicy.Match {
        var match = AuthorizationPolicy.Match()
        match.notPrincipals = [.presence]
        return match
    }

    private static func notPort(_ port: UInt16) -> AuthorizationPolicy.Match {
        var match = AuthorizationPolicy.Match()
        match.notDestinationPorts = [port]
        return match
    }
}
