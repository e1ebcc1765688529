internal import HashTreeCollections

/// The policies of a snapshot by key, and the sets that apply without being named; a value that shares unchanged parts.
struct PolicyIndex: Sendable {
    private(set) var byKey: TreeDictionary<String, AuthorizationPolicy> = [:]
    private(set) var global = PolicySet.empty
    private(set) var byNamespace: TreeDictionary<String, PolicySet> = [:]

    /// What a batch does to one set.
    private struct Delta {
        var removed: [AuthorizationPolicy] = []
        var inserted: [AuthorizationPolicy] = []
    }

    /// Removes, then inserts or replaces; every touched set is made anew once for the whole batch.
    mutating func apply(removed: [String], upserted: [AuthorizationPolicy]) {
        var latest: [String: AuthorizationPolicy] = [:]
        for policy in upserted { latest[policy.key] = policy }
        // By namespace; nil is the global set.
        var deltas: [String?: Delta] = [:]
        for key in removed {
            guard let old = byKey.removeValue(forKey: key) else { continue }
            Self.add(old, to: &deltas, \.removed)
        }
        for policy in upserted {
            // Of several entries with one key only the last is filed.
            guard latest[policy.key] === policy else { continue }
            if let old = byKey.updateValue(policy, forKey: policy.key) {
                // The same object twice in one list was filed the first time.
                guard old !== policy else { continue }
                Self.add(old, to: &deltas, \.removed)
            }
            Self.add(policy, to: &deltas, \.inserted)
        }
        for (namespace, delta) in deltas {
            guard let namespace else {
                global = global.applying(removed: delta.removed, inserted: delta.inserted)
                continue
            }
            let set = (byNamespace[namespace] ?? .empty).applying(removed: delta.removed, inserted: delta.inserted)
            byNamespace[namespace] = set.isEmpty ? nil : set
        }
    }

    private static func add(
        _ policy: AuthorizationPolicy, to deltas: inout [String?: Delta],
        _ list: WritableKeyPath<Delta, [AuthorizationPolicy]>
    ) {
        switch policy.scope {
        case .global: deltas[nil, default: Delta()][keyPath: list].append(policy)
        case .namespace: deltas[policy.namespace, default: Delta()][keyPath: list].append(policy)
        case .workloadSelector: break
        }
    }
}
