internal import MeshModel

/// One connection, as the fields of a policy rule are compared with it.
struct PolicySubject {
    let source: SpiffeID?
    private let sourceIP: IPAddress
    let destination: SocketAddress

    init(_ request: AuthorizationRequest) {
        source = request.source
        sourceIP = request.sourceIP
        destination = request.target.destination
    }

    /// Every clause must hold; a rule without clauses holds.
    func matches(_ rule: AuthorizationPolicy.Rule) -> Bool {
        for clause in rule where !matches(clause) { return false }
        return true
    }

    /// Some match must hold; a clause without matches holds, one with only empty matches does not.
    private func matches(_ clause: AuthorizationPolicy.Clause) -> Bool {
        if clause.isEmpty { return true }
        for match in clause where !match.isEmpty && matches(match) { return true }
        return false
    }

    /// Every field that is set must hold: of a positive list some value, of a negative list none.
    ///
    /// No identity matches no value, so that a positive field fails and a negative one holds for it.
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
