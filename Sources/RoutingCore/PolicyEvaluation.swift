internal import MeshModel

/// The policies that apply to one connection, held against it.
struct PolicyEvaluation {
    private let connection: PolicySubject
    private let global: PolicySet
    private let namespace: PolicySet?
    /// Policies that the workload names; their scope does not matter.
    private let attached: [AuthorizationPolicy]
    /// A policy that the workload names and nobody knows.
    let unknownPolicy: String?

    init(_ request: AuthorizationRequest, _ snapshot: MeshSnapshot) {
        connection = PolicySubject(request)
        global = snapshot.globalPolicies
        namespace = snapshot.policies(ofNamespace: request.workload.fields.namespace)
        var attached: [AuthorizationPolicy] = []
        var unknown: String?
        for key in request.workload.fields.authorizationPolicies {
            if let policy = snapshot.policy(key) {
                attached.append(policy)
            } else if unknown == nil {
                unknown = key
            }
        }
        self.attached = attached
        unknownPolicy = unknown
    }

    /// The first policy of the kind with a rule that matches.
    func match(_ action: AuthorizationPolicy.Action, dryRun: Bool) -> AuthorizationPolicy? {
        let needsIdentity = connection.needsIdentity(action)
        for policy in attached where policy.action == action && policy.dryRun == dryRun {
            if policy.rules.contains(where: { connection.matches($0, needsIdentity: needsIdentity) }) { return policy }
        }
        if let found = match(in: namespace?.rules(action, dryRun: dryRun), needsIdentity) { return found }
        return match(in: global.rules(action, dryRun: dryRun), needsIdentity)
    }

    /// Where it is written what matches in a policy that ``match(_:dryRun:)`` has found.
    func place(in policy: AuthorizationPolicy) -> String { connection.place(in: policy) }

    /// The keys of the policies of the kind that apply, for people.
    func keys(_ action: AuthorizationPolicy.Action, _ request: AuthorizationRequest, in snapshot: MeshSnapshot)
        -> String
    {
        let workload = request.workload.fields
        let found = snapshot.allPolicies.filter { policy in
            guard policy.action == action, !policy.dryRun else { return false }
            if workload.authorizationPolicies.contains(policy.key) { return true }
            return policy.scope == .global || policy.scope == .namespace && policy.namespace == workload.namespace
        }
        let keys = found.map(\.key).sorted()
        return keys.prefix(8).joined(separator: ", ") + (keys.count > 8 ? " and \(keys.count - 8) more" : "")
    }

    /// Whether there is any policy of the kind, with or without rules.
    func hasPolicy(_ action: AuthorizationPolicy.Action, dryRun: Bool) -> Bool {
        namespace?.rules(action, dryRun: dryRun) != nil || global.rules(action, dryRun: dryRun) != nil
            || attached.contains { $0.action == action && $0.dryRun == dryRun }
    }

    private func match(in index: RuleIndex?, _ needsIdentity: Bool) -> AuthorizationPolicy? {
        index?.first(source: connection.source, port: connection.destination.port) {
            connection.matches($0.rule, needsIdentity: needsIdentity)
        }?.policy
    }
}
