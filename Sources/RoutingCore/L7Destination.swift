package import MeshModel

/// What a tunnel to a waypoint leads to: something that the control plane has bound to this waypoint, and nothing else.
package enum L7Destination: Sendable {
    /// A service, called at one of its addresses on a port that it declares.
    case service(Service, SocketAddress)
    /// A workload, called at its own address.
    case workload(Workload, SocketAddress)

    /// The address that was called.
    package var address: SocketAddress {
        switch self {
        case .service(_, let address), .workload(_, let address): address
        }
    }

    package var service: Service? {
        if case .service(let service, _) = self { return service }
        return nil
    }

    /// Decides about the bytes of a CONNECT's `:authority`.
    ///
    /// The waypoint's own address is not bound to it, so its admin port cannot be reached through it; and a waypoint does
    /// not serve its own identity, so that two of its replicas can never pass a request round.
    /// - Parameters:
    ///   - waypoint: the workload this waypoint runs as.
    ///   - peer: the verified identity at the other end of the tunnel.
    /// - Throws: a refusal with ``Reason/authorityInvalid``, ``Reason/destinationMismatch``, ``Reason/servicePortUnknown``
    ///   or ``Reason/recursiveCall``.
    package static func decide(
        authority: some Collection<UInt8>, waypoint: Workload, peer: SpiffeID, in snapshot: MeshSnapshot
    ) throws(Refusal) -> L7Destination {
        guard peer != waypoint.identity else {
            throw Refusal(.recursiveCall, "the tunnel comes from this waypoint's own identity \(peer)")
        }
        guard case .address(let asked) = try TunnelAuthority.parse(authority) else {
            throw Refusal(.destinationMismatch, "\(EscapedText(authority)) is a name; a waypoint is called by address")
        }
        let address = NetworkAddress(network: waypoint.fields.network, ip: asked.ip)
        if let workload = snapshot.workload(at: address) {
            guard workload.fields.waypoint?.leads(to: waypoint, in: snapshot) == true else {
                throw Refusal(.destinationMismatch, "\(asked) is workload \(workload), not bound to this waypoint")
            }
            return .workload(workload, asked)
        }
        guard let service = snapshot.service(at: address, visibleTo: waypoint.fields.namespace) else {
            throw Refusal(.destinationMismatch, "\(asked) belongs to no known service or workload")
        }
        let isBound =
            service.fields.waypoint?.leads(to: waypoint, in: snapshot) == true
            || service.fields.weightedWaypoints.contains { $0.waypoint.leads(to: waypoint, in: snapshot) }
        guard isBound else {
            throw Refusal(
                .destinationMismatch, "\(asked) is service \(service.serviceName), not bound to this waypoint")
        }
        guard service.fields.ports[asked.port] != nil else {
            throw Refusal(.servicePortUnknown, "service \(service.serviceName) declares no port \(asked.port)")
        }
        return .service(service, asked)
    }
}
