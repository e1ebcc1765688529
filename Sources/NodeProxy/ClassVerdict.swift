internal import MeshModel
internal import RoutingCore
internal import StatusModel
internal import Telemetry

/// What a state would decide about connections like those of a class, by the code that decides about live ones.
enum ClassVerdict {
    /// Nil where an end is not known (any more), so that nothing can be told.
    static func decide(
        _ entry: FlowJournal.Entry, in snapshot: MeshSnapshot, admitsUnverifiedByNegation: Bool
    ) -> PolicyDiffReport.Verdict? {
        let sample = entry.sample
        switch entry.flows.direction {
        case .inbound:
            guard let pod = current(sample.destinationWorkload, in: snapshot) else { return nil }
            var request = AuthorizationRequest(
                source: sample.sourceIdentity, sourceIP: sample.source.ip,
                target: InboundTarget(destination: sample.target, dial: sample.target), workload: pod)
            request.admitsUnverifiedByNegation = admitsUnverifiedByNegation
            switch Authorizer.authorize(request, in: snapshot) {
            case .allowed(let authorized): return verdict(true, nil, authorized.policy, "destination node")
            case .refused(let refusal): return verdict(false, refusal.reason, refusal.policy, "destination node")
            }
        case .outbound:
            guard let source = current(sample.sourceWorkload, in: snapshot) else { return nil }
            // The same bits, the same endpoint of a service that did not change.
            let explanation = ConnectionExplanation(
                from: source, to: sample.target, random: 0x9e37_79b9_7f4a_7c15, in: snapshot)
            guard let refusal = explanation.refusal else { return verdict(true, nil, explanation.policy, "") }
            return verdict(false, refusal.reason, refusal.policy, refusal.place.rawValue)
        }
    }

    private static func current(_ workload: Workload?, in snapshot: MeshSnapshot) -> Workload? {
        guard let fields = workload?.fields else { return nil }
        return snapshot.workload(uid: fields.uid)
    }

    private static func verdict(
        _ allowed: Bool, _ reason: Reason?, _ policy: String?, _ place: String
    ) -> PolicyDiffReport.Verdict {
        var verdict = PolicyDiffReport.Verdict(allowed: allowed)
        verdict.reason = reason?.rawValue ?? ""
        verdict.decidedBy = PolicyResource.text(policy ?? "", reason)
        verdict.place = place
        return verdict
    }
}
