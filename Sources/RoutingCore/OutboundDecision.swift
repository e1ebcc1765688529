package import MeshModel

/// What becomes of one connection that a pod opens: a pure function of who opens it, where to, the mesh, and chance.
package enum OutboundDecision: Sendable {
    case route(OutboundRoute)
    case refused(Refusal)

    /// What the decision depends on besides the snapshot.
    package struct Request: Sendable {
        package var source: Workload
        /// Where the application dialled.
        package var destination: SocketAddress
        /// 64 random bits; the same bits give the same decision.
        package var random: UInt64
        /// Uids of workloads whose dial failed in this connection (``OutboundRoute/peer``), for another try.
        package var excluding: [String]

        package init(source: Workload, destination: SocketAddress, random: UInt64, excluding: [String] = []) {
            self.source = source
            self.destination = destination
            self.random = random
            self.excluding = excluding
        }
    }

    /// Decides, on the data path.
    package static func decide(_ request: Request, in snapshot: MeshSnapshot) -> OutboundDecision {
        var resolver = OutboundResolver(request: request, snapshot: snapshot, recorder: NoRecorder())
        return resolver.decide()
    }

    /// Decides by the very same code and tells each step.
    package static func explain(
        _ request: Request, in snapshot: MeshSnapshot
    ) -> (decision: OutboundDecision, trace: DecisionTrace) {
        var resolver = OutboundResolver(request: request, snapshot: snapshot, recorder: DecisionTrace())
        let decision = resolver.decide()
        return (decision, resolver.recorder)
    }
}
