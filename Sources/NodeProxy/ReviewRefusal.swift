internal import HBONE
internal import MeshModel
internal import RoutingCore

/// Why a state does not let an open connection go on.
struct ReviewRefusal {
    let reason: Reason
    /// `namespace/name`; empty where none is to be named.
    let policy: String
    /// False where the namespace lets edits keep what is open.
    let isCut: Bool

    /// What the connection is told.
    var failure: TunnelFailure {
        reason == .podRemoved
            ? TunnelFailure(.podRemoved, "connection closed: the pod is no longer in the state")
            : TunnelFailure(.policyChanged, "connection closed due to policy change")
    }

    /// Asks about a connection into a pod, with the pod's workload of that state; nil when it may go on.
    static func inbound(
        _ request: AuthorizationRequest, workload: Workload?, in snapshot: MeshSnapshot
    ) -> ReviewRefusal? {
        guard let workload else { return ReviewRefusal(reason: .podRemoved, policy: "", isCut: true) }
        var request = request
        request.workload = workload
        guard case .refused(let refusal) = Authorizer.authorize(request, in: snapshot) else { return nil }
        return ReviewRefusal(
            reason: refusal.reason, policy: refusal.policy ?? "",
            isCut: snapshot.settings.policyEdits(ofNamespace: workload.fields.namespace) == .cut)
    }
}
