import MeshModel
import RoutingCore

/// Short ways to write down workloads and services of a test.
enum Fixture {
    static func ip(_ text: String) -> IPAddress {
        guard let ip = IPAddress(text) else { preconditionFailure("\(text) is no address") }
        return ip
    }

    static func socket(_ text: String) -> SocketAddress {
        guard let address = SocketAddress(text) else { preconditionFailure("\(text) is no socket address") }
        return address
    }

    /// A workload on network "" in namespace ns1, node local-node, with service account of its own name.
    static func workload(
        _ name: String, _ addresses: [String] = [], _ change: (inout Workload.Fields) -> Void = { _ in }
    ) -> Workload {
        var fields = Workload.Fields()
        fields.uid = "cluster1//Pod/ns1/\(name)"
        fields.name = name
        fields.namespace = "ns1"
        fields.trustDomain = "cluster.local"
        fields.serviceAccount = name
        fields.node = "local-node"
        fields.addresses = addresses.map(ip)
        change(&fields)
        return Workload(fields)
    }

    /// A service ns1/NAME.ns1.svc with the VIPs and port 80 to 8080.
    static func service(
        _ name: String, _ vips: [String] = [], _ change: (inout Service.Fields) -> Void = { _ in }
    ) -> Service {
        var fields = Service.Fields()
        fields.name = name
        fields.namespace = "ns1"
        fields.hostname = "\(name).ns1.svc"
        fields.vips = vips.map { NetworkAddress(network: "", ip: ip($0)) }
        fields.ports = [80: 8080]
        change(&fields)
        return Service(fields)
    }

    static func name(_ service: String) -> ServiceName {
        ServiceName(namespace: "ns1", hostname: "\(service).ns1.svc")
    }

    static func waypoint(at address: String, port: UInt16 = 15008, network: String = "") -> GatewayAddress {
        GatewayAddress(destination: .address(NetworkAddress(network: network, ip: ip(address))), hboneMtlsPort: port)
    }

    static func waypoint(named service: String, port: UInt16 = 15008) -> GatewayAddress {
        GatewayAddress(destination: .hostname(name(service)), hboneMtlsPort: port)
    }
}

extension OutboundDecision {
    /// One line: `HBONE 127.0.0.2:15008 auth 127.0.0.2:80`, `TCP 1.2.3.4:80` or `refused: reason`.
    var summary: String {
        switch self {
        case .refused(let refusal): return "refused: \(refusal.reason.rawValue)"
        case .route(let route):
            let kind: String
            switch route.transport {
            case .tcp: kind = "TCP"
            case .hbone: kind = "HBONE"
            case .doubleHBONE: kind = "DOUBLE"
            }
            return "\(kind) \(route.nextHopText)" + (route.authority.map { " auth \($0)" } ?? "")
        }
    }

    var route: OutboundRoute? {
        if case .route(let route) = self { return route }
        return nil
    }

    var refusal: Refusal? {
        if case .refused(let refusal) = self { return refusal }
        return nil
    }
}
