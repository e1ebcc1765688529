internal import MeshModel
internal import Telemetry

/// What flows somebody wants to see: `GET /flows?from=app/web&verdict=refused&follow`.
struct FlowQuery: Equatable, Sendable {
    /// Most flows that are shown of those held.
    static let longest = 10_000

    /// Parts of either end's names, addresses or identity.
    var from = ""
    var to = ""
    /// Of either end.
    var namespace = ""
    var verdict = ""
    var reason = ""
    /// The port that was asked for; 0 for any.
    var port: UInt16 = 0
    /// Host name or name of the called service, or `namespace/name`.
    var service = ""
    /// Whether to go on with new ones.
    var follow = false
    /// How many of those held are shown first.
    var last = 20
    /// Whether those open now are shown too.
    var open = false

    init() {}

    init(_ query: AdminQuery) {
        from = query["from"] ?? ""
        to = query["to"] ?? ""
        namespace = query["namespace"] ?? ""
        verdict = query["verdict"] ?? ""
        reason = query["reason"] ?? ""
        port = query["port"].flatMap { UInt16($0) } ?? 0
        service = query["service"] ?? ""
        follow = query["follow"] != nil
        open = query["open"] != nil
        last = min(query["last"].flatMap { Int($0) }.map { max(0, $0) } ?? (follow ? 0 : 20), Self.longest)
    }

    func admits(_ flow: FlowRecord) -> Bool {
        if !verdict.isEmpty, flow.verdict.rawValue != verdict { return false }
        if !reason.isEmpty, (flow.reason?.rawValue ?? "") != reason { return false }
        if port != 0, flow.port != port { return false }
        if !namespace.isEmpty, !flow.namespaces.contains(namespace) { return false }
        if !service.isEmpty {
            guard let fields = flow.service?.fields else { return false }
            guard [fields.hostname, fields.name, "\(fields.namespace)/\(fields.name)"].contains(service) else {
                return false
            }
        }
        return Self.means(from, flow.sourceWorkload, flow.source, flow.sourceIdentity)
            && Self.means(to, flow.destinationWorkload, flow.destination, flow.destinationIdentity, flow)
    }

    /// Whether the text names this end: `namespace/name` or the name of the workload or its deployment, a part of the address
    /// or of the identity; for the destination also what was asked for.
    private static func means(
        _ text: String, _ workload: Workload?, _ address: SocketAddress, _ identity: SpiffeID?,
        _ flow: FlowRecord? = nil
    ) -> Bool {
        guard !text.isEmpty else { return true }
        if let fields = workload?.fields {
            for name in [fields.name, fields.workloadName] where !name.isEmpty {
                if name == text || "\(fields.namespace)/\(name)" == text { return true }
            }
        }
        if "\(address)".contains(text) || (identity.map { "\($0)".contains(text) } ?? false) { return true }
        guard let flow else { return false }
        return flow.target.contains(text) || (flow.service?.fields.hostname.contains(text) ?? false)
    }
}

extension FlowRecord {
    /// The namespaces of both ends and of the service, as far as they are known.
    fileprivate var namespaces: [String] {
        [
            sourceWorkload?.fields.namespace ?? sourceIdentity?.namespace,
            destinationWorkload?.fields.namespace ?? destinationIdentity?.namespace, service?.fields.namespace,
        ].compactMap(\.self)
    }
}
