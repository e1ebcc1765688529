internal import HashTreeCollections

/// What a ``RuleIndex`` is made of, while it is changed.
struct RuleTable: Sendable {
    private(set) var policyCount = 0
    private var byPrincipal: TreeDictionary<SpiffeID, [PolicyRule]> = [:]
    private var byServiceAccount: TreeDictionary<ServiceAccountMatch, [PolicyRule]> = [:]
    private var byNamespace: TreeDictionary<String, [PolicyRule]> = [:]
    private var byPort: TreeDictionary<UInt16, [PolicyRule]> = [:]
    private var unfiled: [PolicyRule] = []

    /// See ``RuleIndex/first(source:port:where:)``.
    func first(source: SpiffeID?, port: UInt16, where test: (PolicyRule) -> Bool) -> PolicyRule? {
        guard policyCount > 0 else { return nil }
        if let source {
            if !byPrincipal.isEmpty, let found = byPrincipal[source]?.first(where: test) { return found }
            if !byServiceAccount.isEmpty {
                let account = ServiceAccountMatch(namespace: source.namespace, serviceAccount: source.serviceAccount)
                if let found = byServiceAccount[account]?.first(where: test) { return found }
            }
            if !byNamespace.isEmpty, let found = byNamespace[source.namespace]?.first(where: test) { return found }
        }
        if !byPort.isEmpty, let found = byPort[port]?.first(where: test) { return found }
        return unfiled.first(where: test)
    }

    mutating func insert(_ policy: AuthorizationPolicy) {
        policyCount += 1
        for (position, rule) in policy.rules.enumerated() {
            let entry = PolicyRule(policy: policy, position: position)
            update(rule) { Self.insert(entry, into: &$0) }
        }
    }

    mutating func remove(_ policy: AuthorizationPolicy) {
        policyCount -= 1
        for rule in policy.rules {
            update(rule) { $0.removeAll { $0.policy === policy } }
        }
    }

    /// What a rule is filed under.
    private enum Requirement {
        case principal(SpiffeID)
        case serviceAccount(ServiceAccountMatch)
        case namespace(String)
        case port(UInt16)
    }

    private mutating func update(_ rule: AuthorizationPolicy.Rule, _ change: (inout [PolicyRule]) -> Void) {
        guard !rule.contains(where: Self.cannotMatch) else { return }
        guard let requirements = rule.lazy.compactMap(Self.requirements).first else {
            change(&unfiled)
            return
        }
        for requirement in requirements {
            switch requirement {
            case .principal(let key): Self.update(&byPrincipal, key, change)
            case .serviceAccount(let key): Self.update(&byServiceAccount, key, change)
            case .namespace(let key): Self.update(&byNamespace, key, change)
            case .port(let key): Self.update(&byPort, key, change)
            }
        }
    }

    private static func update<Key: Hashable & Sendable>(
        _ table: inout TreeDictionary<Key, [PolicyRule]>, _ key: Key, _ change: (inout [PolicyRule]) -> Void
    ) {
        change(&table[key, default: []])
        if table[key]?.isEmpty == true { table[key] = nil }
    }

    private static func insert(_ entry: PolicyRule, into list: inout [PolicyRule]) {
        // Almost always at the end: policies come sorted more often than not.
        var position = list.endIndex
        while position > 0, isBefore(entry, list[position - 1]) { position -= 1 }
        if position > 0, list[position - 1].policy === entry.policy, list[position - 1].position == entry.position {
            return
        }
        list.insert(entry, at: position)
    }

    private static func isBefore(_ a: PolicyRule, _ b: PolicyRule) -> Bool {
        a.policy === b.policy ? a.position < b.position : a.policy.key < b.policy.key
    }

    /// A clause whose matches are all empty holds for no connection, and so does its rule.
    private static func cannotMatch(_ clause: AuthorizationPolicy.Clause) -> Bool {
        !clause.isEmpty && clause.allSatisfy(\.isEmpty)
    }

    /// What the clause requires, one of these at least; nil when some connection can pass it without.
    private static func requirements(of clause: AuthorizationPolicy.Clause) -> [Requirement]? {
        var all: [Requirement] = []
        for match in clause where !match.isEmpty {
            guard let keys = requirements(of: match) else { return nil }
            all += keys
        }
        return all.isEmpty ? nil : all
    }

    private static func requirements(of match: AuthorizationPolicy.Match) -> [Requirement]? {
        if let principals = exactPrincipals(match.principals) { return principals.map { .principal($0) } }
        if !match.serviceAccounts.isEmpty { return match.serviceAccounts.map { .serviceAccount($0) } }
        if let names = exactTexts(match.namespaces) { return names.map { .namespace($0) } }
        if !match.destinationPorts.isEmpty { return match.destinationPorts.map { .port($0) } }
        return nil
    }

    private static func exactTexts(_ list: [StringMatch]) -> [String]? {
        guard !list.isEmpty else { return nil }
        var all: [String] = []
        for item in list {
            guard case .exact(let text) = item else { return nil }
            all.append(text)
        }
        return all
    }

    private static func exactPrincipals(_ list: [StringMatch]) -> [SpiffeID]? {
        guard let texts = exactTexts(list) else { return nil }
        var all: [SpiffeID] = []
        for text in texts {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 5, parts[1] == "ns", parts[3] == "sa" else { return nil }
            all.append(
                SpiffeID(
                    trustDomain: String(parts[0]), namespace: String(parts[2]), serviceAccount: String(parts[4])))
        }
        return all
    }
}
