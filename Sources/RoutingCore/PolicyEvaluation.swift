internal import MeshModel

/// The policies that apply to one connection, held against it.
struct PolicyEvaluation {
    private let connection: PolicySubject
    private let global: PolicySet
    private let namespace: PolicySet?
    /// Policies that the workload names; their scope does not matter.
    private var attached: [AuthorizationPolicy] = []
    /// A policy that the workload names and nobody knows.
    private(set) var unknownPolicy: String?

    init(_ request: AuthorizationRequest, _ snapshot: MeshSnapshot) {
        connection = PolicySubject(request)
        global = snapshot.globalPolicies
        namespace = snapshot.policies(ofNamespace: request.workload.fields.namespace)
        for key in request.workload.fields.authorizationPolicies {
            if let policy = snapshot.policy(key) {
                attached.append(policy)
            } else if unknownPolicy == nil {
                unknownPolicy = key
            }
        }
    }

    /// The first policy of the kind with a rule that matches.
    func match(_ action: AuthorizationPolicy.Action, dryRun: Bool) -> AuthorizationPolicy? {
        for policy in attached where policy.action == action && policy.dryRun == dryRun {
            if policy.rules.contains(where: connection.matches) { return policy }
        }
        if let found = match(in: index(of: namespace, action, dryRun)) { return found }
        return match(in: index(of: global, action, dryRun))
    }

    /// Whether there is any policy of the kind, with or without rules.
    func hasPolicy(_ action: AuthorizationPolicy.Action, dryRun: Bool) -> Bool {
        attached.contains { $0.action == action && $0.dryRun == dryRun }
            || (index(of: namespace, action, dryRun)?.policyCount ?? 0) > 0
            || (index(of: global, action, dryRun)?.policyCount ?? 0) > 0
    }

    private func match(in index: RuleIndex?) -> AuthorizationPolicy? {
        guard let index, index.policyCount > 0 else { return nil }
        return index.first(source: connection.source, port: connection.destination.port) {
            connection.matches($0.rule)
        }?.policy
    }

    private func index(of set: PolicySet?, _ action: AuthorizationPolicy.Action, _ dryRun: Bool) -> RuleIndex? {
        guard let set else { return nil }
        switch (action, dryRun) {
        case (.deny, false): return set.deny
        case (.allow, false): return set.allow
        case (.deny, true): return set.dryRunDeny
        case (.allow, true): return set.dryRunAllow
        }
    }
}
