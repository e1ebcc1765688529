internal import MeshModel

extension MeshCompiler {
    /// Which policies are attached to workloads by their labels.
    struct Attachments {
        /// Selector policies by namespace, sorted by key; those of the root namespace are for all.
        var selectors: [String: [(key: String, selector: LabelSelector)]] = [:]
        var peers: PeerAuthenticationConversion
        /// Keys of policies that could not be read, by namespace: they are known to nobody and close what they reach.
        var unreadable: [String: [String]] = [:]
    }

    /// The policies of the mesh, and what attaches them.
    mutating func compilePolicies() -> (policies: [AuthorizationPolicy], attachments: Attachments) {
        var policies: [AuthorizationPolicy] = []
        let peers = PeerAuthenticationConversion(
            objects.peerAuthentications.values, rootNamespace: rootNamespace)
        var attachments = Attachments(peers: peers)
        for name in objects.authorizationPolicies.keys.sorted() {
            guard let source = objects.authorizationPolicies[name] else { continue }
            var conversion = AuthorizationConversion(
                source, rootNamespace: rootNamespace, dryRunPolicies: settings.dryRunPolicies)
            let policy = conversion.convert()
            for status in conversion.statuses {
                tell(status.severity, .unsupported, "AuthorizationPolicy", source.metadata, status.text)
            }
            guard let policy else { continue }
            policies.append(policy)
            if let selector = source.selector {
                attachments.selectors[name.namespace, default: []].append((policy.key, selector))
            }
        }
        policies += peers.policies()
        for name in objects.peerAuthentications.keys.sorted() {
            guard let source = objects.peerAuthentications[name] else { continue }
            if source.selector != nil, name.namespace == rootNamespace {
                tell(
                    .warning, .ignored, "PeerAuthentication", source.metadata,
                    "one with a selector in the root namespace is ignored, as Istio does; put it into the namespace it is for"
                )
            } else if !source.ports.isEmpty, source.selector == nil {
                tell(
                    .warning, .ignored, "PeerAuthentication", source.metadata,
                    "portLevelMtls counts only with a selector; it is ignored")
            }
        }
        for refused in objects.unreadablePolicies {
            let reference = refused.reference
            guard ["AuthorizationPolicy", "PeerAuthentication", "NetworkPolicy"].contains(reference.kind) else {
                continue
            }
            attachments.unreadable[reference.namespace, default: []].append("\(reference.namespace)/\(reference.name)")
            diagnostics.append(
                ManifestDiagnostic(
                    .error, .invalid, reference, at: refused.place,
                    "no usable version of it is known: until there is, connections into the pods it may be for are refused"
                ))
        }
        return (policies, attachments)
    }

    /// The keys of the policies attached to a workload.
    func policyKeys(namespace: String, labels: LabelSet, _ attachments: Attachments) -> [String] {
        var keys: [String] = []
        for entry in attachments.selectors[namespace] ?? [] where entry.selector.matches(labels) {
            keys.append(entry.key)
        }
        if namespace != rootNamespace {
            for entry in attachments.selectors[rootNamespace] ?? [] where entry.selector.matches(labels) {
                keys.append(entry.key)
            }
        }
        keys.sort()
        if let peer = attachments.peers.key(namespace: namespace, labels: labels) { keys.append(peer) }
        keys += attachments.unreadable[namespace] ?? []
        if namespace != rootNamespace { keys += attachments.unreadable[rootNamespace] ?? [] }
        return keys
    }

    /// Tells of selectors that reach no pod.
    mutating func tellOfIdlePolicies(_ used: Set<String>, _ attachments: Attachments) {
        for name in objects.authorizationPolicies.keys.sorted() {
            guard let source = objects.authorizationPolicies[name], source.selector != nil,
                attachments.selectors[name.namespace]?.contains(where: { $0.key == "\(name.namespace)/\(name.name)" })
                    ?? false, !used.contains("\(name.namespace)/\(name.name)")
            else { continue }
            tell(
                .warning, .selectsNothing, "AuthorizationPolicy", source.metadata,
                "its selector selects no pod: it protects nothing")
        }
        for name in objects.peerAuthentications.keys.sorted() where name.namespace != rootNamespace {
            guard let source = objects.peerAuthentications[name], let selector = source.selector else { continue }
            let isUsed = objects.pods.values.contains {
                $0.metadata.namespace == name.namespace && selector.matches($0.metadata.labels)
            }
            guard !isUsed else { continue }
            tell(
                .warning, .selectsNothing, "PeerAuthentication", source.metadata,
                "its selector selects no pod: it protects nothing")
        }
    }
}
