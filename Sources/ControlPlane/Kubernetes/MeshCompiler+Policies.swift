internal import MeshModel

extension MeshCompiler {
    /// Which policies are attached to workloads by their labels.
    struct Attachments: Sendable {
        /// Selector policies by namespace, sorted by key; those of the root namespace are for all.
        var selectors: [String: [(key: String, selector: LabelSelector)]] = [:]
        var peers: PeerAuthenticationConversion
        /// Keys of policies that could not be read, by namespace: they are known to nobody and close what they reach.
        var unreadable: [String: [String]] = [:]
    }

    /// The policies of the mesh; what attaches them is kept.
    mutating func compilePolicies() -> [AuthorizationPolicy] {
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
        self.attachments = attachments
        return policies
    }

    /// The keys of the policies attached to a workload.
    func policyKeys(namespace: String, labels: LabelSet) -> [String] {
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

    /// Whether any pod of a namespace, or of the mesh, is selected.
    private func reaches(_ selector: LabelSelector, _ namespace: String?) -> Bool {
        guard let namespace else {
            return labelsInUse.values.contains { $0.keys.contains { selector.matches($0) } }
        }
        return labelsInUse[namespace]?.keys.contains { selector.matches($0) } ?? false
    }

    /// Tells of the selectors of a namespace's policies, and of its services without slices, that reach no pod.
    mutating func tellOfSelectors(in namespace: String) {
        unit(.selectors(namespace)) { compiler in
            for (name, source) in compiler.objects.authorizationPolicies where name.namespace == namespace {
                guard let selector = source.selector,
                    compiler.attachments.selectors[namespace]?.contains(where: { $0.key == "\(namespace)/\(name.name)" }
                    )
                        ?? false,
                    !compiler.reaches(selector, namespace == compiler.rootNamespace ? nil : namespace)
                else { continue }
                compiler.tellOfIdle("AuthorizationPolicy", source.metadata, "its selector selects no pod")
            }
            for (name, source) in compiler.objects.peerAuthentications
            where name.namespace == namespace && namespace != compiler.rootNamespace {
                guard let selector = source.selector, !compiler.reaches(selector, namespace) else { continue }
                compiler.tellOfIdle("PeerAuthentication", source.metadata, "its selector selects no pod")
            }
            for (name, source) in compiler.objects.networkPolicies
            where name.namespace == namespace && !compiler.reaches(source.policy.pods, namespace) {
                compiler.tellOfIdle("NetworkPolicy", source.metadata, "its podSelector selects no pod")
            }
        }
    }

    private mutating func tellOfIdle(_ kind: String, _ metadata: Kubernetes.Metadata, _ what: String) {
        tell(.warning, .selectsNothing, kind, metadata, "\(what): it protects nothing")
    }
}

extension ObjectSet {
    /// The policies that carry a status.
    var statusPolicies: [ObjectReference] {
        authorizationPolicies.keys.map {
            ObjectReference(kind: "AuthorizationPolicy", namespace: $0.namespace, name: $0.name)
        }
            + peerAuthentications.keys.map {
                ObjectReference(kind: "PeerAuthentication", namespace: $0.namespace, name: $0.name)
            }
    }

    /// The namespaces that hold policies.
    var selectorNamespaces: Set<String> {
        var names = Set(authorizationPolicies.keys.map(\.namespace))
        names.formUnion(peerAuthentications.keys.map(\.namespace))
        names.formUnion(networkPolicies.keys.map(\.namespace))
        return names
    }
}
