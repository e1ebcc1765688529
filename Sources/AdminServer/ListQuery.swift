/// What a list of the control socket is to hold: `GET /connections?pod=app/web&limit=100`.
struct ListQuery: Equatable, Sendable {
    enum Kind: String, Sendable, CaseIterable { case workloads, services, policies, connections, denials }

    /// Most rows of one answer, whatever is asked for.
    static let longest = 10_000

    let kind: Kind
    var limit = 1000
    var namespace = ""
    var name = ""
    var node = ""
    /// An address or part of one.
    var address = ""
    /// `namespace/name` of a pod of this node.
    var pod = ""
    var reason = ""
    /// `inbound` or `outbound`.
    var direction = ""
    /// Part of a peer's identity.
    var identity = ""
    /// Not older than this many seconds; 0 for any age.
    var since: UInt64 = 0

    init(_ kind: Kind) {
        self.kind = kind
    }

    init(_ kind: Kind, _ query: AdminQuery) {
        self.kind = kind
        if let text = query["limit"], let value = Int(text), value >= 0 { limit = min(value, Self.longest) }
        namespace = query["namespace"] ?? ""
        name = query["name"] ?? ""
        node = query["node"] ?? ""
        address = query["address"] ?? ""
        pod = query["pod"] ?? ""
        reason = query["reason"] ?? ""
        direction = query["direction"] ?? ""
        identity = query["identity"] ?? ""
        since = query["since"].flatMap { UInt64($0) } ?? 0
    }

    /// What the workers are asked, if anything.
    var question: WorkerQuestion? {
        switch kind {
        case .workloads, .services, .policies: nil
        case .denials: WorkerQuestion(refusals: .max)
        case .connections:
            // Each worker may hold all that is asked for; filters the worker does not know are applied behind it.
            WorkerQuestion(
                refusals: 0,
                connections: direction.isEmpty && identity.isEmpty && address.isEmpty ? limit : Self.longest,
                pod: pod.isEmpty ? nil : pod)
        }
    }
}
