internal import HashTreeCollections

/// The policies of a snapshot by key, and the sets that apply without being named; a value that shares unchanged parts.
struct PolicyIndex: Sendable {
    private(set) var byKey: TreeDictionary<String, AuthorizationPolicy> = [:]
    private(set) var global = PolicySet()
    private(set) var byNamespace: TreeDictionary<String, PolicySet> = [:]

    mutating func upsert(_ policy: AuthorizationPolicy) {
        if let old = byKey.updateValue(policy, forKey: policy.key) { unindex(old) }
        switch policy.scope {
        case .global: global.insert(policy)
        case .namespace: byNamespace[policy.namespace, default: PolicySet()].insert(policy)
        case .workloadSelector: break
        }
    }

    mutating func remove(_ key: String) {
        if let old = byKey.removeValue(forKey: key) { unindex(old) }
    }

    private mutating func unindex(_ policy: AuthorizationPolicy) {
        switch policy.scope {
        case .global: global.remove(policy)
        case .namespace:
            byNamespace[policy.namespace, default: PolicySet()].remove(policy)
            if byNamespace[policy.namespace]?.isEmpty == true { byNamespace[policy.namespace] = nil }
        case .workloadSelector: break
        }
    }
}
