internal import MeshModel
internal import StatusModel
internal import Telemetry

/// The answer to a ``ListQuery``: `{"program", "total", "matching", <kind>: [rows]}`.
///
/// Rows of the mesh have the shape of the configuration dump, so that what people wrote for that works here; keys of
/// ours are added. `matching` above the number of rows says that the answer was cut.
struct Listing: Sendable {
    let query: ListQuery
    let program: String
    /// Its place among those that replaced one another; nil for programs that are not replaced in this way.
    var generation: Int?
    let snapshot: MeshSnapshot
    /// What the workers said; empty when they were not asked.
    var answers: [WorkerAnswer] = []
    /// Workers that did not answer in time.
    var silentWorkers = 0
    /// Nanoseconds since 1970.
    let now: UInt64

    /// The document as text; takes time in proportion to the mesh.
    func bytes() -> [UInt8] {
        var bytes: [UInt8] = []
        document.write(into: &bytes)
        bytes.append(10)
        return bytes
    }

    var document: JSONValue {
        let (total, matching, rows): (Int, Int, [JSONValue]) =
            switch query.kind {
            case .workloads: workloads()
            case .services: services()
            case .policies: policies()
            case .connections: connections()
            case .denials: denials()
            }
        var members: [JSONValue.Member] = [
            .init("program", .string(program)), .init("total", .number(Int64(total))),
            .init("matching", .number(Int64(matching))),
        ]
        if let generation { members.append(.init("generation", .number(Int64(generation)))) }
        if silentWorkers > 0 { members.append(.init("silentWorkers", .number(Int64(silentWorkers)))) }
        members.append(.init(query.kind.rawValue, .array(rows)))
        return .object(members)
    }

    private func admits(_ namespace: String, _ name: String) -> Bool {
        (query.namespace.isEmpty || namespace == query.namespace) && (query.name.isEmpty || name == query.name)
    }

    // MARK: - The mesh

    private func workloads() -> (Int, Int, [JSONValue]) {
        let all = snapshot.allWorkloads
        let found = all.filter { workload in
            let fields = workload.fields
            return admits(fields.namespace, fields.name) && (query.node.isEmpty || fields.node == query.node)
                && (query.address.isEmpty || fields.addresses.contains { "\($0)".contains(query.address) })
        }
        let shown = found.smallest(query.limit) { a, b in
            let (a, b) = (a.fields, b.fields)
            if a.namespace != b.namespace { return a.namespace < b.namespace }
            if a.name != b.name { return a.name < b.name }
            return (a.node, a.uid) < (b.node, b.uid)
        }
        let rows = shown.map { workload in
            ConfigDump.workload(workload).adding([
                .init("waypointName", .string(waypointName(workload.fields.waypoint)))
            ])
        }
        return (all.count, found.count, rows)
    }

    private func services() -> (Int, Int, [JSONValue]) {
        let all = snapshot.allServices
        let found = all.filter { service in
            let fields = service.fields
            return admits(fields.namespace, query.name == fields.hostname ? fields.hostname : fields.name)
                && (query.address.isEmpty || fields.vips.contains { "\($0)".contains(query.address) })
        }
        let shown = found.smallest(query.limit) {
            ($0.fields.namespace, $0.fields.name, $0.fields.hostname)
                < ($1.fields.namespace, $1.fields.name, $1.fields.hostname)
        }
        let dump = ConfigDump(snapshot: snapshot)
        let rows = shown.map { service in
            let endpoints = snapshot.endpoints(of: service.serviceName)
            let healthy = endpoints.count { $0.workload.fields.health == .healthy }
            // The endpoints themselves only where one service is asked for: some have thousands.
            return dump.service(service, withEndpoints: !query.name.isEmpty).adding([
                .init("waypointName", .string(waypointName(service.fields.waypoint))),
                .init("endpointsHealthy", .number(Int64(healthy))),
                .init("endpointsTotal", .number(Int64(endpoints.count))),
            ])
        }
        return (all.count, found.count, rows)
    }

    private func policies() -> (Int, Int, [JSONValue]) {
        let all = snapshot.allPolicies
        let found = all.filter { admits($0.namespace, $0.name) }
        return (all.count, found.count, found.smallest(query.limit) { $0.key < $1.key }.map(ConfigDump.policy))
    }

    /// istioctl's WAYPOINT column: the name of the service that is the waypoint, `None`, or `NA` when it is not known.
    private func waypointName(_ gateway: GatewayAddress?) -> String {
        switch gateway?.destination {
        case nil: "None"
        case .hostname(let name): snapshot.service(name)?.fields.name ?? "NA"
        case .address(let address):
            snapshot.service(at: address, visibleTo: "")?.fields.name
                ?? snapshot.workload(at: address)?.fields.name ?? "NA"
        }
    }

    // MARK: - The workers

    private func connections() -> (Int, Int, [JSONValue]) {
        let total = answers.reduce(0) { $0 + Int(clamping: $1.connections) }
        let live = answers.flatMap(\.live)
        let found = live.filter { connection in
            (query.pod.isEmpty || connection.pod == query.pod)
                && (query.direction.isEmpty || connection.direction.rawValue == query.direction)
                && (query.identity.isEmpty || connection.peer.map { "\($0)".contains(query.identity) } ?? false)
                && (query.address.isEmpty
                    || ["\(connection.source)", "\(connection.destination)", connection.target].contains {
                        $0.contains(query.address)
                    })
        }
        .sorted {
            ($0.pod, $0.direction.rawValue, $1.ageNanoseconds) < ($1.pod, $1.direction.rawValue, $0.ageNanoseconds)
        }
        // A worker that had more than it was asked for leaves the rest uncounted unless nothing is filtered.
        let isWhole = query.pod.isEmpty && query.direction.isEmpty && query.identity.isEmpty && query.address.isEmpty
        return (total, isWhole ? max(total, found.count) : found.count, found.prefix(query.limit).map(row))
    }

    private func row(_ connection: LiveConnection) -> JSONValue {
        let isInbound = connection.direction == .inbound
        let local = isInbound ? connection.destination : connection.source
        let remote = isInbound ? connection.source : connection.destination
        return .object([
            .init("pod", .string(connection.pod)), .init("direction", .string(connection.direction.rawValue)),
            .init("protocol", .string(connection.transport.rawValue)),
            .init("local", .string("\(local)")), .init("localName", .string(name(of: local))),
            .init("remote", .string("\(remote)")), .init("remoteName", .string(name(of: remote))),
            .init("target", .string(connection.target)), .init("service", .string(connection.service)),
            .init("identity", .string(connection.peer.map { "\($0)" } ?? "")),
            .init("ageSeconds", .number(Int64(connection.ageNanoseconds / 1_000_000_000))),
            .init("bytesSent", .number(Int64(clamping: connection.bytesSent))),
            .init("bytesReceived", .number(Int64(clamping: connection.bytesReceived))),
        ])
    }

    /// The address as istioctl shows it: `name.namespace:port` of the workload that has it, or as it is.
    private func name(of address: SocketAddress) -> String {
        let key = NetworkAddress(network: "", ip: address.ip)
        guard let workload = snapshot.workload(at: key) else { return "\(address)" }
        return "\(workload.fields.name).\(workload.fields.namespace):\(address.port)"
    }

    private func denials() -> (Int, Int, [JSONValue]) {
        let all = answers.flatMap(\.refusals)
        let age = query.since > UInt64.max / 1_000_000_000 ? UInt64.max : query.since * 1_000_000_000
        let oldest = query.since == 0 || now < age ? 0 : now - age
        let found = all.filter { refusal in
            refusal.time >= oldest && (query.reason.isEmpty || refusal.reason.rawValue == query.reason)
                && (query.direction.isEmpty || refusal.direction.rawValue == query.direction)
                && (query.pod.isEmpty || refusal.pod == query.pod)
                && (query.identity.isEmpty || refusal.peer.map { "\($0)".contains(query.identity) } ?? false)
                && (query.address.isEmpty || "\(refusal.source)".contains(query.address)
                    || "\(refusal.destination)".contains(query.address))
        }
        .sorted { $0.time > $1.time }
        return (all.count, found.count, found.prefix(query.limit).map(Self.row))
    }

    private static func row(_ refusal: Telemetry.Refusal) -> JSONValue {
        .object([
            .init("time", .string("\(StatusTime(unixNanoseconds: refusal.time))")),
            .init("reason", .string(refusal.reason.rawValue)),
            .init("direction", .string(refusal.direction.rawValue)),
            .init("pod", .string(refusal.pod)),
            .init("source", .string("\(refusal.source)")), .init("destination", .string("\(refusal.destination)")),
            .init("peer", .string(refusal.peer.map { "\($0)" } ?? "")),
            .init("policy", .string(refusal.policy)), .init("detail", .string(refusal.detail)),
            .init("nextStep", .string(refusal.reason.explanation.nextStep)),
        ])
    }
}
