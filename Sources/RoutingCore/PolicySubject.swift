internal import MeshModel

/// One connection, as the fields of a policy rule are compared with it.
struct PolicySubject {
    let source: SpiffeID?
    private let sourceIP: IPAddress
    let destination: SocketAddress
    /// Whether an ALLOW rule that names only who may not come holds for a peer without identity.
    private let admitsUnverifiedByNegation: Bool

    init(_ request: AuthorizationRequest) {
        source = request.source
        sourceIP = request.sourceIP
        destination = request.target.destination
        admitsUnverifiedByNegation = request.admitsUnverifiedByNegation
    }

    /// Whether rules of this action may only match in favour of, or against, a verified peer where they speak of
    /// identity at all: an ALLOW rule that needs an identity never matches in favour of a peer without one
    /// (ISTIO-SECURITY-2021-004).
    func needsIdentity(_ action: AuthorizationPolicy.Action) -> Bool {
        source == nil && action == .allow && !admitsUnverifiedByNegation
    }

    /// Every clause must hold; a rule without clauses holds.
    /// - Parameter needsIdentity: what ``needsIdentity(_:)`` says of the rule's action.
    func matches(_ rule: AuthorizationPolicy.Rule, needsIdentity: Bool) -> Bool {
        for clause in rule where !matches(clause, needsIdentity) { return false }
        return true
    }

    /// Some match must hold; a clause without matches holds, one with only empty matches does not.
    private func matches(_ clause: AuthorizationPolicy.Clause, _ needsIdentity: Bool) -> Bool {
        clause.isEmpty || firstMatch(of: clause, needsIdentity) != nil
    }

    /// The position of the first match that holds.
    private func firstMatch(of clause: AuthorizationPolicy.Clause, _ needsIdentity: Bool) -> Int? {
        clause.firstIndex { !$0.isEmpty && !(needsIdentity && $0.excludesIdentities) && matches($0) }
    }

    /// Where it is written what matches: `spec.rules[1].to[0], from[2]`; for people.
    func place(in policy: AuthorizationPolicy) -> String {
        let needsIdentity = needsIdentity(policy.action)
        guard let index = policy.rules.firstIndex(where: { matches($0, needsIdentity: needsIdentity) }) else {
            return ""
        }
        let rule = policy.rules[index]
        let origin = policy.origins.indices.contains(index) ? policy.origins[index] : nil
        let name = origin?.rule ?? "rules[\(index)]"
        guard !rule.isEmpty else { return "\(name), which everything matches" }
        let parts = rule.enumerated().map { position, clause in
            let match = firstMatch(of: clause, needsIdentity) ?? 0
            guard let origin, origin.clauses.indices.contains(position) else { return "[\(position)][\(match)]" }
            let clause = origin.clauses[position]
            return clause.hasPrefix("when") ? clause : "\(clause)[\(match)]"
        }
        return origin == nil ? name + parts.joined(separator: " and ") : "\(name).\(parts.joined(separator: " and "))"
    }

    /// Every field that is set must hold: of a positive list some value, of a negative list none.
    ///
    /// No identity matches no value, so that a positive field fails and a negative one holds for it;
    /// in an ALLOW rule the latter is not enough.
    private func matches(_ match: AuthorizationPolicy.Match) -> Bool {
        holds(match.destinationPorts, match.notDestinationPorts) { $0 == destination.port }
            && holds(match.principals, match.notPrincipals) { isPrincipal($0) }
            && holds(match.namespaces, match.notNamespaces) { isNamespace($0) }
            && holds(match.serviceAccounts, match.notServiceAccounts) { isAccount($0) }
            && holds(match.sourceIPs, match.notSourceIPs) { $0.contains(sourceIP) }
            && holds(match.destinationIPs, match.notDestinationIPs) { $0.contains(destination.ip) }
    }

    private func holds<Value>(_ positive: [Value], _ negative: [Value], _ test: (Value) -> Bool) -> Bool {
        (positive.isEmpty || positive.contains(where: test)) && (negative.isEmpty || !negative.contains(where: test))
    }

    private func isPrincipal(_ match: StringMatch) -> Bool {
        guard let source else { return false }
        return match.matches(pathOf: source)
    }

    private func isNamespace(_ match: StringMatch) -> Bool {
        guard let source else { return false }
        return match.matches(source.namespace)
    }

    private func isAccount(_ account: ServiceAccountMatch) -> Bool {
        guard let source else { return false }
        return StringMatch.exact(account.serviceAccount).matches(source.serviceAccount)
            && StringMatch.exact(account.namespace).matches(source.namespace)
    }
}

extension AuthorizationPolicy.Match {
    /// Whether it names identities that it does not match.
    fileprivate var excludesIdentities: Bool {
        !notPrincipals.isEmpty || !notNamespaces.isEmpty || !notServiceAccounts.isEmpty
    }
}
