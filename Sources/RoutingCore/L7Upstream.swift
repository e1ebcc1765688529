package import MeshModel

/// The endpoint that a waypoint sends one request or connection to.
package struct L7Upstream: Sendable {
    package let workload: Workload
    /// The workload's address and the application's port.
    package let address: SocketAddress
    /// Whether the workload is reached by HBONE.
    package let isTunnelled: Bool
    /// The identities of which the workload must prove one.
    package let expected: [SpiffeID]
    /// The service it was chosen from.
    package let service: Service?

    /// Whether a failed dial may be tried at another endpoint.
    package var mayTryAnother: Bool { service != nil }

    /// Chooses an endpoint of a backend.
    ///
    /// - Parameters:
    ///   - called: what the client called, for a backend that is just that.
    ///   - waypoint: the workload this waypoint runs as; its network and locality count.
    ///   - excluding: uids of workloads whose dial failed for this request.
    /// - Throws: a refusal that names what is missing.
    package static func choose(
        _ backend: HTTPRoute.Backend.Destination, called: L7Destination, waypoint: Workload, excluding: [String],
        in snapshot: MeshSnapshot, random: inout RandomDraws
    ) throws(Refusal) -> L7Upstream {
        switch backend {
        case .called:
            switch called {
            case .service(let service, let address):
                return try endpoint(
                    of: service, port: address.port, near: address.ip, waypoint, excluding, snapshot, &random)
            case .workload(let workload, let address):
                return try upstream(workload, port: address.port, near: address.ip, service: nil, waypoint)
            }
        case .service(let name, let port):
            guard let service = snapshot.service(name) else {
                throw Refusal(.serviceUnknown, "the route leads to service \(name), which is not known")
            }
            return try endpoint(
                of: service, port: port, near: called.address.ip, waypoint, excluding, snapshot, &random)
        case .workload(let namespace, let name, let port):
            guard let workload = snapshot.workload(namespace: namespace, name: name) else {
                throw Refusal(.workloadUnknown, "the route leads to workload \(namespace)/\(name), which is not known")
            }
            guard workload.fields.health == .healthy else {
                throw Refusal(.noHealthyUpstream, "the route leads to workload \(workload), which is unhealthy")
            }
            return try upstream(workload, port: port, near: called.address.ip, service: nil, waypoint)
        }
    }

    private static func endpoint(
        of service: Service, port: UInt16, near ip: IPAddress, _ waypoint: Workload, _ excluding: [String],
        _ snapshot: MeshSnapshot, _ random: inout RandomDraws
    ) throws(Refusal) -> L7Upstream {
        let picker = EndpointPicker(service: service, port: port, source: waypoint, excluding: excluding)
        let endpoints = snapshot.endpoints(of: service.serviceName)
        guard let choice = picker.pick(from: endpoints, random: &random) else { throw picker.refusal(endpoints) }
        return try upstream(choice.workload, port: choice.port, near: ip, service: service, waypoint)
    }

    private static func upstream(
        _ workload: Workload, port: UInt16, near ip: IPAddress, service: Service?, _ waypoint: Workload
    ) throws(Refusal) -> L7Upstream {
        let fields = workload.fields
        guard fields.network == waypoint.fields.network else {
            throw Refusal(
                .gatewayUnknown, "\(workload) is on network \"\(fields.network)\", out of this waypoint's reach")
        }
        let same = fields.addresses.first { $0.isIPv4 == ip.isIPv4 }
        guard let address = same ?? fields.addresses.first else {
            throw Refusal(.noHealthyUpstream, "\(workload) has no address")
        }
        guard !workload.isSame(as: waypoint) else {
            throw Refusal(.recursiveCall, "\(workload) is this waypoint itself")
        }
        let names = service?.fields.subjectAltNames ?? []
        return L7Upstream(
            workload: workload, address: SocketAddress(address, port),
            isTunnelled: fields.tunnelProtocol == .hbone,
            expected: names.isEmpty ? [workload.identity] : [workload.identity] + names.compactMap { SpiffeID($0) },
            service: service)
    }
}
