package import MeshModel

/// What policy says of a connection into a pod.
package enum Authorization: Sendable {
    case allowed(Authorized)
    case refused(PolicyRefusal)

    /// What dry-run policies would have said; empty where none applies. They change nothing.
    package var dryRuns: [DryRun] {
        switch self {
        case .allowed(let authorized): authorized.dryRuns
        case .refused(let refusal): refusal.dryRuns
        }
    }

    /// One thing the dry-run policies would have done.
    package enum DryRun: Hashable, Sendable {
        /// The DENY policy of this key would have refused.
        case denied(policy: String)
        /// The ALLOW policy of this key would have allowed.
        case allowed(policy: String)
        /// There are dry-run ALLOW policies and none matched.
        case notAllowed
        /// The NetworkPolicy of this key selects the pod in a namespace of mode audit, and none would have admitted it.
        case networkPolicy(policy: String)
    }
}

/// Proof that policy let a connection in. Only ``Authorizer`` makes one, and forwarding takes nothing else.
package struct Authorized: Sendable {
    package let request: AuthorizationRequest
    /// The policy that allowed it; nil where no ALLOW policy applies.
    package let policy: String?
    /// The snapshot it was decided in.
    package let generation: UInt64
    package let dryRuns: [Authorization.DryRun]

    /// Where to connect.
    package var dial: SocketAddress { request.target.dial }

    fileprivate init(
        request: AuthorizationRequest, policy: String?, generation: UInt64, dryRuns: [Authorization.DryRun]
    ) {
        self.request = request
        self.policy = policy
        self.generation = generation
        self.dryRuns = dryRuns
    }
}

/// Why policy refused a connection.
package struct PolicyRefusal: Error, Sendable {
    /// ``Reason/policyDenied``, ``Reason/policyNotAllowed`` or ``Reason/policyUnknown``.
    package let reason: Reason
    /// The `namespace/name` of the policy that denied or is not known; nil for ``Reason/policyNotAllowed``.
    package let policy: String?
    package let dryRuns: [Authorization.DryRun]

    /// The sentence for the log, in the words of Istio's node proxy where it has them.
    package var detail: String {
        switch (reason, policy) {
        case (.policyDenied, let policy?): "explicitly denied by: \(policy)"
        case (.policyUnknown, let policy?): "policy \(policy) applies to the workload but is not known"
        case (.networkPolicyDenied, let policy?):
            "NetworkPolicy \(policy) selects the workload and no NetworkPolicy admits the connection"
        default: "allow policies exist, but none allowed"
        }
    }
}

/// Evaluates L4 authorization policies: DENY before ALLOW, fail closed on a policy that is named but not known.
package struct Authorizer {
    /// Decides, on the data path.
    package static func authorize(_ request: AuthorizationRequest, in snapshot: MeshSnapshot) -> Authorization {
        var recorder = NoRecorder()
        return authorize(request, in: snapshot, &recorder)
    }

    /// Decides by the very same code and tells each step.
    package static func explain(
        _ request: AuthorizationRequest, in snapshot: MeshSnapshot
    ) -> (authorization: Authorization, trace: DecisionTrace) {
        var trace = DecisionTrace()
        return (authorize(request, in: snapshot, &trace), trace)
    }

    private static func authorize(
        _ request: AuthorizationRequest, in snapshot: MeshSnapshot, _ recorder: inout some DecisionRecorder
    ) -> Authorization {
        let evaluation = PolicyEvaluation(request, snapshot)
        var dryRuns: [Authorization.DryRun] = []
        if let policy = evaluation.match(.deny, dryRun: true) {
            recorder.note("dry-run: DENY policy \(policy.key) matches: \(evaluation.place(in: policy))")
            dryRuns.append(.denied(policy: policy.key))
        }
        if let policy = evaluation.match(.deny, dryRun: false) {
            recorder.note("DENY policy \(policy.key) matches: \(evaluation.place(in: policy))")
            return .refused(PolicyRefusal(reason: .policyDenied, policy: policy.key, dryRuns: dryRuns))
        }
        if let key = evaluation.unknownPolicy {
            recorder.note("policy \(key) applies to \(request.workload) but is not known: fails closed")
            return .refused(PolicyRefusal(reason: .policyUnknown, policy: key, dryRuns: dryRuns))
        }
        if let policy = evaluation.match(.allow, dryRun: true) {
            recorder.note("dry-run: ALLOW policy \(policy.key) matches: \(evaluation.place(in: policy))")
            dryRuns.append(.allowed(policy: policy.key))
        } else if evaluation.hasPolicy(.allow, dryRun: true) {
            recorder.note("dry-run: no ALLOW policy matches")
            dryRuns.append(.notAllowed)
        }
        guard evaluation.hasPolicy(.allow, dryRun: false) else {
            recorder.note("no DENY policy matches and there is no ALLOW policy: allowed")
            return admit(request, nil, dryRuns, snapshot, &recorder)
        }
        guard let policy = evaluation.match(.allow, dryRun: false) else {
            recorder.note(
                "there are ALLOW policies and none matches: refused (\(evaluation.keys(.allow, request, in: snapshot)))"
            )
            return .refused(PolicyRefusal(reason: .policyNotAllowed, policy: nil, dryRuns: dryRuns))
        }
        recorder.note("ALLOW policy \(policy.key) matches: \(evaluation.place(in: policy))")
        return admit(request, policy.key, dryRuns, snapshot, &recorder)
    }

    /// Asks the network policies about what the authorization policies let in.
    private static func admit(
        _ request: AuthorizationRequest, _ policy: String?, _ dryRuns: [Authorization.DryRun], _ snapshot: MeshSnapshot,
        _ recorder: inout some DecisionRecorder
    ) -> Authorization {
        let verdict = NetworkPolicyDecision(snapshot).ingress(
            to: request.workload, port: request.target.destination.port, from: request.sourceIP,
            identity: request.source)
        if !snapshot.networkPolicies.isEmpty { recorder.note("ingress: \(verdict)") }
        var dryRuns = dryRuns
        if case .refused(let policies, let isEnforced) = verdict {
            guard !isEnforced else {
                return .refused(
                    PolicyRefusal(reason: .networkPolicyDenied, policy: policies.first, dryRuns: dryRuns))
            }
            dryRuns.append(.networkPolicy(policy: policies.first ?? ""))
        }
        return .allowed(
            Authorized(request: request, policy: policy, generation: snapshot.generation, dryRuns: dryRuns))
    }
}
