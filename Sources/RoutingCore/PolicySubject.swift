internal import MeshModel

/// One connection, as the fields of a policy rule are compared with it.
struct PolicySubject {
    let source: SpiffeID?
    /// The identity without `spiffe://`; empty without identity.
    private let principal: String
    private let sourceIP: IPAddress
    let destination: SocketAddress

    init(_ request: AuthorizationRequest) {
        source = request.source
        principal = request.source?.path ?? ""
        sourceIP = request.sourceIP
        destination = request.target.destination
    }

    /// Every clause must hold; a rule without clauses holds.
    func matches(_ rule: AuthorizationPolicy.Rule) -> Bool { rule.allSatisfy(matches) }

    /// Some match must hold; a clause without matches holds, one with only empty matches does not.
    private func matches(_ clause: AuthorizationPolicy.Clause) -> Bool {
        clause.isEmpty || clause.contains { !$0.isEmpty && matches($0) }
    }

    /// Every field that is set must hold: of a positive list some value, of a negative list none.
    private func matches(_ match: AuthorizationPolicy.Match) -> Bool {
        holds(match.destinationPorts, match.notDestinationPorts) { $0 == destination.port }
            && holds(match.principals, match.notPrincipals) { matches($0, principal) }
            && holds(match.namespaces, match.notNamespaces) { matches($0, source?.namespace ?? "") }
            && holds(match.serviceAccounts, match.notServiceAccounts, isSource)
            && holds(match.sourceIPs, match.notSourceIPs) { $0.contains(sourceIP) }
            && holds(match.destinationIPs, match.notDestinationIPs) { $0.contains(destination.ip) }
    }

    private func holds<Value>(_ positive: [Value], _ negative: [Value], _ test: (Value) -> Bool) -> Bool {
        (positive.isEmpty || positive.contains(where: test)) && !negative.contains(where: test)
    }

    private func isSource(_ account: ServiceAccountMatch) -> Bool {
        guard let source else { return false }
        return source.namespace.utf8.elementsEqual(account.namespace.utf8)
            && source.serviceAccount.utf8.elementsEqual(account.serviceAccount.utf8)
    }

    /// Compares bytes. No identity matches nothing, so that a negative field holds for it.
    private func matches(_ match: StringMatch, _ text: String) -> Bool {
        guard source != nil else { return false }
        switch match {
        case .exact(let value): return value.utf8.elementsEqual(text.utf8)
        case .prefix(let value): return text.utf8.starts(with: value.utf8)
        case .suffix(let value):
            return text.utf8.count >= value.utf8.count && text.utf8.suffix(value.utf8.count).elementsEqual(value.utf8)
        case .presence: return !text.isEmpty
        }
    }
}
