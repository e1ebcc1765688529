internal import MeshModel

/// A refusal with the status it is sent with.
///
/// Not nested in the generic resolver: the optimiser of Swift 6.3.1 crashes on typed errors of such types.
private struct Rejection: Error {
    var status: Int
    var refusal: Refusal

    init(_ status: Int, _ reason: Reason, _ detail: String) {
        self.status = status
        refusal = Refusal(reason, detail)
    }

    init(_ refusal: Refusal) {
        status = 400
        self.refusal = refusal
    }
}

/// Makes an ``InboundDecision`` step by step.
struct InboundResolver<Recorder: DecisionRecorder> {
    let request: InboundDecision.Request
    let snapshot: MeshSnapshot
    var recorder: Recorder

    private var workload: Workload { request.workload }

    mutating func decide(_ authority: [UInt8]) -> InboundDecision {
        do {
            let target = try target(parse(authority))
            recorder.note("forwarded to \(target.dial)")
            return .forward(target)
        } catch {
            recorder.note("refused with \(error.status): \(error.refusal.reason.rawValue): \(error.refusal.detail)")
            return .refused(status: error.status, error.refusal)
        }
    }

    private func parse(_ authority: [UInt8]) throws(Rejection) -> TunnelAuthority {
        do { return try TunnelAuthority.parse(authority) } catch { throw Rejection(error) }
    }

    private mutating func target(_ authority: TunnelAuthority) throws(Rejection) -> InboundTarget {
        let target =
            switch authority {
            case .address(let address): try target(address)
            case .hostname(let name, let port): try target(name, port)
            }
        guard !ProxyPorts.contains(target.destination.port) else {
            throw Rejection(503, .recursiveCall, "\(target.destination) is a port of the proxy itself")
        }
        return target
    }

    // MARK: An address

    private mutating func target(_ asked: SocketAddress) throws(Rejection) -> InboundTarget {
        let local = request.localAddress.ip
        if asked.ip == local {
            recorder.note("\(asked.ip) is the address that the tunnel arrived at")
        } else if asked.ip.isSpecialPurpose {
            throw Rejection(400, .authorityInvalid, "\(asked) is a loopback, link-local, multicast or reserved address")
        } else if workload.fields.applicationTunnel != nil {
            note { "\($0.request.workload) has an application tunnel: any address may be asked for" }
        } else if isWaypoint(for: asked.ip) {
            note { "\($0.request.workload) is the waypoint of \(asked.ip)" }
        } else {
            throw Rejection(
                400, .destinationMismatch,
                "\(asked) is neither \(local), where the tunnel arrived, nor behind this workload as waypoint")
        }
        return forward(to: asked.port, header: asked, service: nil)
    }

    /// Whether the address belongs to a workload or service that has this workload as its waypoint.
    private func isWaypoint(for ip: IPAddress) -> Bool {
        let address = NetworkAddress(network: workload.fields.network, ip: ip)
        if let owner = snapshot.workload(at: address) {
            return owner.fields.waypoint?.leads(to: workload, in: snapshot) ?? false
        }
        guard let service = snapshot.service(at: address, visibleTo: workload.fields.namespace) else { return false }
        return isWaypoint(of: service)
    }

    private func isWaypoint(of service: Service) -> Bool {
        if let waypoint = service.fields.waypoint, waypoint.leads(to: workload, in: snapshot) { return true }
        return service.fields.weightedWaypoints.contains { $0.waypoint.leads(to: workload, in: snapshot) }
    }

    // MARK: A host name

    private mutating func target(_ host: String, _ port: UInt16) throws(Rejection) -> InboundTarget {
        guard let service = service(host) else {
            if !workload.fields.hostname.isEmpty, workload.fields.hostname == host {
                note { "\(host) is the host name of \($0.request.workload)" }
                return forward(to: port, header: SocketAddress(request.localAddress.ip, port), service: nil)
            }
            throw Rejection(503, .serviceUnknown, "no service or workload is known for host name \(host)")
        }
        recorder.note("\(host) is service \(service.serviceName)")
        let header = proxyDestination(of: service, port)
        if let ports = workload.fields.services[service.serviceName] {
            guard let target = targetPort(of: port, service, ports) else {
                throw Rejection(
                    503, .servicePortUnknown,
                    "service \(service.serviceName) has no target for port \(port) at \(workload)")
            }
            return try forward(to: target, header: header, service: service)
        }
        if isWaypoint(of: service) {
            note { "\($0.request.workload) is its waypoint" }
            return try forward(to: port, header: header, service: service)
        }
        throw Rejection(
            400, .destinationMismatch, "\(workload) is neither an endpoint nor the waypoint of \(service.serviceName)")
    }

    /// The visible service of the host name; of several one that this workload is an endpoint of, else the best.
    private func service(_ host: String) -> Service? {
        let namespace = workload.fields.namespace
        for service in snapshot.services(host: host) where workload.isEndpoint(of: service) {
            if service.fields.visibility == .public || service.fields.namespace == namespace { return service }
        }
        return snapshot.service(host: host, visibleTo: namespace)
    }

    /// The target port by the pod's own map, then the service's, then as asked where an application tunnel has a port.
    private func targetPort(of port: UInt16, _ service: Service, _ own: [UInt16: UInt16]) -> UInt16? {
        if let target = own[port], target != 0 { return target }
        if let target = service.fields.ports[port], target != 0 { return target }
        return workload.fields.applicationTunnel?.port == nil ? nil : port
    }

    /// A VIP of the service: of the own network before others, IPv4 before IPv6.
    private func proxyDestination(of service: Service, _ port: UInt16) -> SocketAddress? {
        var best: (score: Int, ip: IPAddress)?
        for vip in service.fields.vips {
            let score = (vip.network == workload.fields.network ? 2 : 0) + (vip.ip.isIPv4 ? 1 : 0)
            if best.map({ score > $0.score }) ?? true { best = (score, vip.ip) }
        }
        return best.map { SocketAddress($0.ip, port) }
    }

    private mutating func note(_ text: (Self) -> String) {
        // The copy keeps the closure from reading the resolver while its recorder changes; without recording, nothing of
        // this remains.
        let copy = self
        recorder.note(text(copy))
    }

    // MARK: The application tunnel

    private func forward(
        to port: UInt16, header: SocketAddress?, service: Service
    ) throws(Rejection) -> InboundTarget {
        guard let header else {
            guard workload.fields.applicationTunnel?.kind != .proxy else {
                throw Rejection(
                    503, .serviceUnknown, "service \(service.serviceName) has no address for the PROXY protocol header")
            }
            let here = SocketAddress(request.localAddress.ip, port)
            return forward(to: port, header: here, service: service.serviceName)
        }
        return forward(to: port, header: header, service: service.serviceName)
    }

    private func forward(to port: UInt16, header: SocketAddress, service: ServiceName?) -> InboundTarget {
        let local = request.localAddress.ip
        let tunnel = workload.fields.applicationTunnel
        let destination = SocketAddress(local, tunnel?.port ?? port)
        guard let tunnel, tunnel.kind == .proxy else {
            return InboundTarget(destination: destination, dial: destination, service: service)
        }
        let loopback: IPAddress = local.isIPv4 ? .loopbackV4 : .loopbackV6
        let dial = SocketAddress(request.localhostApplicationTunnel ? loopback : local, destination.port)
        return InboundTarget(
            destination: destination, dial: dial, preface: .proxyProtocol(destination: header), service: service)
    }
}

extension IPAddress {
    /// Addresses that a tunnel never leads to unless it arrived at that very address: unspecified, loopback, link-local
    /// (cloud metadata among them), multicast, IPv4 class E with broadcast, and IPv6 forms of these.
    var isSpecialPurpose: Bool {
        if isIPv4 {
            let bits = v4Bits
            return bits >> 24 == 0 || isLoopback || bits >> 16 == 0xa9fe || bits >> 28 >= 0xe
        }
        // IPv4-compatible addresses are long gone; `::` and `::1` are among them.
        if high == 0, low >> 32 == 0 { return true }
        // NAT64 leads to the IPv4 address in its last 32 bits.
        if high == 0x0064_ff9b_0000_0000, low >> 32 == 0 { return IPAddress(v4: v4Bits).isSpecialPurpose }
        // fd00:ec2::254 is the metadata address of one cloud over IPv6.
        let metadata = high == 0xfd00_0ec2_0000_0000 && low == 0x254
        return high >> 54 == 0x3fa || high >> 56 == 0xff || metadata
    }
}
