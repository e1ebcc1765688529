internal import MeshModel

/// A workload to go to, and on which port.
private struct Upstream {
    var workload: Workload
    var port: UInt16
    /// The service it was chosen from.
    var service: Service?
    /// The address whose family (or which itself, when the workload owns it) to prefer.
    var dialled: IPAddress

    var expected: ExpectedIdentities {
        ExpectedIdentities(workload: workload.identity, serviceNames: service?.fields.subjectAltNames ?? [])
    }
}

/// What a gateway address stands for.
private enum GatewayRole: String {
    case waypoint, gateway = "network gateway"

    var unknown: Reason {
        switch self {
        case .waypoint: .waypointUnknown
        case .gateway: .gatewayUnknown
        }
    }
}

/// Makes an ``OutboundDecision`` step by step, in the order Istio's node proxy takes them.
struct OutboundResolver<Recorder: DecisionRecorder> {
    let request: OutboundDecision.Request
    let snapshot: MeshSnapshot
    var recorder: Recorder
    private var random: RandomDraws

    init(request: OutboundDecision.Request, snapshot: MeshSnapshot, recorder: Recorder) {
        self.request = request
        self.snapshot = snapshot
        self.recorder = recorder
        random = RandomDraws(seed: request.random)
    }

    private var source: Workload { request.source }
    private var destination: SocketAddress { request.destination }

    mutating func decide() -> OutboundDecision {
        do {
            let route = try route()
            try askNetworkPolicies(route)
            recorder.note("\(route.transport.rawValue) to \(route.via.rawValue) at \(route.nextHopText)")
            return .route(route)
        } catch {
            recorder.note("refused: \(error.reason.rawValue): \(error.detail)")
            return .refused(error)
        }
    }

    private mutating func route() throws(Refusal) -> OutboundRoute {
        let own =
            destination.ip.isLoopback || destination.ip.isUnspecified
            || source.fields.addresses.contains(destination.ip)
        if own, ProxyPorts.contains(destination.port) {
            throw Refusal(.recursiveCall, "\(destination) is a port of the proxy itself")
        }
        let service = addressedService()
        if let service, let route = try serviceWaypointRoute(service) { return route }
        guard let upstream = try destinationUpstream(service) else {
            if service == nil { try refuseUnknown() }
            return passthrough(service)
        }
        if upstream.workload.fields.network != source.fields.network {
            guard let service = service ?? upstream.service else {
                throw Refusal(
                    .gatewayUnknown,
                    "\(upstream.workload) is on network \"\(upstream.workload.fields.network)\"; only services lead there"
                )
            }
            return try gatewayRoute(to: upstream, service: service)
        }
        if service == nil, let route = try workloadWaypointRoute(upstream) { return route }
        return try directRoute(upstream, service: service)
    }

    private mutating func askNetworkPolicies(_ route: OutboundRoute) throws(Refusal) {
        guard !snapshot.networkPolicies.isEmpty else { return }
        guard let verdict = route.egress(from: source, dialled: destination, in: snapshot) else {
            recorder.note("egress: the waypoint asks the NetworkPolicies for the endpoint it chooses")
            return
        }
        recorder.note("egress: \(verdict)")
        if let refusal = verdict.egressRefusal { throw refusal }
    }

    // MARK: The steps

    /// The service that the client addressed; an address that a workload owns addresses that workload.
    private mutating func addressedService() -> Service? {
        let address = NetworkAddress(network: source.fields.network, ip: destination.ip)
        if let workload = snapshot.workload(at: address) {
            note { "\($0.request.destination.ip) is an address of workload \(workload)" }
            return nil
        }
        guard let service = snapshot.service(at: address, visibleTo: source.fields.namespace) else {
            note { "\($0.request.destination.ip) belongs to no known workload or service" }
            return nil
        }
        note { "\($0.request.destination.ip) is an address of service \(service.serviceName)" }
        return service
    }

    /// Refuses an address that nobody in the mesh has, where only known ones may be called.
    private mutating func refuseUnknown() throws(Refusal) {
        guard snapshot.settings.outboundTrafficPolicy == .registryOnly else { return }
        let address = NetworkAddress(network: source.fields.network, ip: destination.ip)
        // A workload's address is known, also where its service asks for PASSTHROUGH.
        guard snapshot.workload(at: address) == nil, !snapshot.isHostAddress(address) else { return }
        guard !OutboundTrafficPolicy.alwaysAdmits(destination) else {
            return recorder.note("REGISTRY_ONLY: a name server on a link-local address is let through")
        }
        throw Refusal(
            .destinationUnknown,
            "\(destination) belongs to no workload, service or ServiceEntry that namespace \(source.fields.namespace) sees, "
                + "and outboundTrafficPolicy is REGISTRY_ONLY")
    }

    private mutating func serviceWaypointRoute(_ service: Service) throws(Refusal) -> OutboundRoute? {
        guard let gateway = chooseWaypoint(of: service) else { return nil }
        guard !isWaypoint(source, gateway) else {
            recorder.note("the source is the waypoint of service \(service.serviceName): not sent to itself")
            return nil
        }
        let waypoint = try upstream(of: gateway, role: .waypoint)
        recorder.note("service \(service.serviceName) has the waypoint \(waypoint.workload)")
        if waypoint.workload.fields.network != source.fields.network {
            return try gatewayRoute(to: waypoint, service: service)
        }
        return try waypointRoute(waypoint, destination: nil, service: service)
    }

    /// The waypoint of a service for this connection: by weight where it has weighted ones with any weight.
    private mutating func chooseWaypoint(of service: Service) -> GatewayAddress? {
        let weighted = service.fields.weightedWaypoints
        var total: UInt64 = 0
        for entry in weighted { total += UInt64(entry.weight) }
        guard total > 0 else { return service.fields.waypoint }
        var left = random.next(below: total)
        for entry in weighted {
            if left < UInt64(entry.weight) {
                recorder.note("its waypoints go by weight: \(entry.weight) of \(total) for this one")
                return entry.waypoint
            }
            left -= UInt64(entry.weight)
        }
        return service.fields.waypoint
    }

    /// The endpoint or workload that the destination means; nil when it is to be passed through.
    private mutating func destinationUpstream(_ addressed: Service?) throws(Refusal) -> Upstream? {
        let address = NetworkAddress(network: source.fields.network, ip: destination.ip)
        if let service = snapshot.service(at: address, visibleTo: source.fields.namespace) {
            if service.fields.loadBalancer?.mode == .passthrough {
                recorder.note("service \(service.serviceName) asks for PASSTHROUGH")
                return nil
            }
            return try pick(from: service, port: destination.port, purpose: .traffic, dialled: destination.ip)
        }
        guard let workload = snapshot.workload(at: address) else { return nil }
        return Upstream(workload: workload, port: destination.port, service: nil, dialled: destination.ip)
    }

    private mutating func workloadWaypointRoute(_ upstream: Upstream) throws(Refusal) -> OutboundRoute? {
        guard let gateway = upstream.workload.fields.waypoint else { return nil }
        guard !isWaypoint(source, gateway) else {
            recorder.note("the source is the waypoint of workload \(upstream.workload): not sent to itself")
            return nil
        }
        let waypoint = try self.upstream(of: gateway, role: .waypoint)
        recorder.note("workload \(upstream.workload) has the waypoint \(waypoint.workload)")
        return try waypointRoute(waypoint, destination: upstream.workload, service: nil)
    }

    // MARK: The routes

    private func passthrough(_ service: Service?) -> OutboundRoute {
        OutboundRoute(
            transport: .tcp, via: .passthrough, nextHop: .address(destination), authority: nil,
            expected: ExpectedIdentities(workload: nil), innerExpected: nil, peer: nil, destination: nil,
            service: service, targetPort: destination.port)
    }

    private func waypointRoute(
        _ waypoint: Upstream, destination workload: Workload?, service: Service?
    ) throws(Refusal) -> OutboundRoute {
        OutboundRoute(
            transport: .hbone, via: .waypoint, nextHop: try nextHop(to: waypoint, port: waypoint.port),
            authority: .address(destination), expected: waypoint.expected, innerExpected: nil, peer: waypoint.workload,
            destination: workload, service: service, targetPort: destination.port)
    }

    private mutating func gatewayRoute(to upstream: Upstream, service: Service) throws(Refusal) -> OutboundRoute {
        let remote = upstream.workload
        guard let address = remote.fields.networkGateway else {
            throw Refusal(
                .gatewayUnknown,
                "\(remote) is on network \"\(remote.fields.network)\" and names no gateway to it")
        }
        let gateway = try self.upstream(of: address, role: .gateway)
        recorder.note("\(remote) is on network \"\(remote.fields.network)\", behind the gateway \(gateway.workload)")
        return OutboundRoute(
            transport: .doubleHBONE, via: .gateway, nextHop: try nextHop(to: gateway, port: gateway.port),
            authority: .hostname(service.fields.hostname, port: destination.port), expected: gateway.expected,
            innerExpected: ExpectedIdentities(
                workload: nil, serviceNames: upstream.service?.fields.subjectAltNames ?? []),
            peer: gateway.workload, destination: nil, service: service, targetPort: destination.port)
    }

    private func directRoute(_ upstream: Upstream, service: Service?) throws(Refusal) -> OutboundRoute {
        let workload = upstream.workload
        let tunnelled = workload.fields.tunnelProtocol == .hbone
        let hop = try nextHop(to: upstream, port: tunnelled ? ProxyPorts.hbone : upstream.port)
        var authority: TunnelAuthority?
        if tunnelled, case .address(let address) = hop {
            authority = .address(SocketAddress(address.ip, upstream.port))
        }
        return OutboundRoute(
            transport: tunnelled ? .hbone : .tcp, via: .destination, nextHop: hop, authority: authority,
            expected: tunnelled ? upstream.expected : ExpectedIdentities(workload: nil), innerExpected: nil,
            peer: workload, destination: workload, service: service ?? upstream.service, targetPort: upstream.port)
    }

    // MARK: Waypoints and gateways

    /// Where a waypoint or gateway is reached; one that is named but not known refuses the connection.
    private mutating func upstream(of gateway: GatewayAddress, role: GatewayRole) throws(Refusal) -> Upstream {
        let port = gateway.hboneMtlsPort
        switch gateway.destination {
        case .hostname(let name):
            if let service = snapshot.service(name) {
                return try pick(from: service, port: port, purpose: .waypoint, dialled: destination.ip)
            }
            if let workload = snapshot.workload(hostname: name) {
                return Upstream(workload: workload, port: port, service: nil, dialled: destination.ip)
            }
            throw Refusal(role.unknown, "the \(role.rawValue) \(name) is not known")
        case .address(let address):
            if let service = snapshot.service(at: address, visibleTo: source.fields.namespace) {
                return try pick(from: service, port: port, purpose: .waypoint, dialled: address.ip)
            }
            if let workload = snapshot.workload(at: address) {
                return Upstream(workload: workload, port: port, service: nil, dialled: address.ip)
            }
            throw Refusal(role.unknown, "the \(role.rawValue) \(address) is not known")
        }
    }

    /// Whether a workload is what a waypoint address means: its owner, or an endpoint of its service, with the same
    /// identity and an address in common.
    private func isWaypoint(_ workload: Workload, _ gateway: GatewayAddress) -> Bool {
        gateway.leads(to: workload, in: snapshot)
    }

    // MARK: Endpoints

    private mutating func pick(
        from service: Service, port: UInt16, purpose: EndpointPicker.Purpose, dialled: IPAddress
    ) throws(Refusal) -> Upstream {
        let picker = EndpointPicker(
            service: service, port: port, purpose: purpose, source: source, excluding: request.excluding)
        let list = snapshot.endpointList(of: service.serviceName)
        guard let choice = picker.pick(from: list, random: &random) else {
            throw picker.refusal(list.endpoints)
        }
        recorder.note("service \(service.serviceName) port \(port): \(choice.workload) port \(choice.port) chosen")
        return Upstream(workload: choice.workload, port: choice.port, service: service, dialled: dialled)
    }

    /// The address to dial: the one the client dialled where the workload owns it, else one of its addresses that the
    /// service's families admit, of the dialled family where there is one; else its host name.
    private func nextHop(to upstream: Upstream, port: UInt16) throws(Refusal) -> OutboundRoute.NextHop {
        // Read through the class: a copy of all fields costs twenty reference counts.
        let workload = upstream.workload
        if workload.fields.addresses.contains(upstream.dialled) {
            return .address(SocketAddress(upstream.dialled, port))
        }
        var best: IPAddress?
        for ip in workload.fields.addresses {
            switch upstream.service?.fields.ipFamilies {
            case .ipv4: if !ip.isIPv4 { continue }
            case .ipv6: if ip.isIPv4 { continue }
            case .dual, nil: break
            }
            if ip.isIPv4 == upstream.dialled.isIPv4 { return .address(SocketAddress(ip, port)) }
            if best == nil { best = ip }
        }
        if let best { return .address(SocketAddress(best, port)) }
        guard workload.fields.addresses.isEmpty, !workload.fields.hostname.isEmpty else {
            throw Refusal(.noHealthyUpstream, "\(workload) has no address and no host name to reach it by")
        }
        return .hostname(workload.fields.hostname, port: port, prefersIPv4: upstream.dialled.isIPv4)
    }

    private mutating func note(_ text: (Self) -> String) {
        // The copy keeps the closure from reading the resolver while its recorder changes; without recording, nothing of
        // this remains.
        let copy = self
        recorder.note(text(copy))
    }
}
