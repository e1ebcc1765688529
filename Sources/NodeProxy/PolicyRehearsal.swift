internal import AdminServer
internal import Capture
internal import EventLoop
internal import MeshModel
internal import RoutingCore
internal import StatusModel
internal import Telemetry

/// What a worker says of a state that is not in force: which of its open connections that would cut, and its journal.
struct PolicyRehearsal: Sendable {
    /// Most connections of one worker that are told.
    static let longest = 10_000

    var changes: [PolicyDiffReport.Change] = []
    /// Changed ones beyond ``longest``.
    var omitted = 0
    var considered = 0
    var journal = JournalAnswer(entries: [], overflow: 0)
}

extension NodeWorker {
    /// Asks the given state about every open connection, as an edit would; nothing is cut.
    func rehearse(_ candidate: MeshSnapshot) -> PolicyRehearsal {
        var rehearsal = PolicyRehearsal()
        for site in pods.values {
            let location = site.location
            let workload = candidate.workload(namespace: location.namespace, name: location.name)
            site.connections.forEach { connection in
                rehearsal.considered += 1
                var place = "destination node"
                var refusal = connection.refusal(in: candidate, workload: workload)
                if refusal == nil, connection.farRefusal(in: snapshot) == nil {
                    refusal = connection.farRefusal(in: candidate)
                } else if connection.isOutbound {
                    place = "source node"
                }
                guard let refusal, let live = connection.live(now: loop.now) else { return }
                guard rehearsal.changes.count < PolicyRehearsal.longest else {
                    rehearsal.omitted += 1
                    return
                }
                rehearsal.changes.append(change(live, refusal, place))
            }
        }
        rehearsal.journal = journalAnswer
        return rehearsal
    }

    private func change(_ live: LiveConnection, _ refusal: ReviewRefusal, _ place: String) -> PolicyDiffReport.Change {
        let network = settings.network
        func name(_ address: SocketAddress) -> String {
            snapshot.workload(at: NetworkAddress(network: network, ip: address.ip)).map { "\($0)" } ?? "\(address.ip)"
        }
        let isInbound = live.direction == .inbound
        var after = PolicyDiffReport.Verdict(allowed: false)
        after.reason = refusal.reason.rawValue
        after.decidedBy = PolicyResource.text(refusal.policy, refusal.reason)
        after.place = place
        var change = PolicyDiffReport.Change(
            kind: "open", direction: live.direction.rawValue, source: isInbound ? name(live.source) : live.pod,
            destination: isInbound ? live.pod : name(live.destination),
            port: isInbound ? live.destination.port : SocketAddress(live.target)?.port ?? live.destination.port,
            service: live.service, mutual: live.transport != .tcp,
            before: PolicyDiffReport.Verdict(allowed: true), after: after)
        change.cut = refusal.isCut
        change.sourceAddress = "\(live.source)"
        change.destinationAddress = "\(live.destination)"
        return change
    }
}

extension SiteConnection {
    fileprivate var isOutbound: Bool { self is OutboundConnection }
}

/// The resource that stands behind a policy's name.
enum PolicyResource {
    /// `AuthorizationPolicy app/web`, `NetworkPolicy app/web`, `PeerAuthentication app/strict`; empty where no policy decides.
    static func text(_ policy: String, _ reason: Reason?) -> String {
        guard !policy.isEmpty else {
            return reason == .policyNotAllowed ? "no ALLOW rule of the AuthorizationPolicies" : ""
        }
        if reason == .networkPolicyDenied { return "NetworkPolicy \(policy)" }
        let parts = policy.split(separator: "/", maxSplits: 1)
        if parts.count == 2, parts[1] == "istio_converted_static_strict" { return "PeerAuthentication: mTLS STRICT" }
        let prefix = "converted_peer_authentication_"
        if parts.count == 2, parts[1].hasPrefix(prefix) {
            return "PeerAuthentication \(parts[0])/\(parts[1].dropFirst(prefix.count))"
        }
        return "AuthorizationPolicy \(policy)"
    }
}
