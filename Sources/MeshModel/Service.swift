/// The key of a service: its namespace and host name.
package struct ServiceName: Hashable, Sendable, CustomStringConvertible {
    package let namespace: String
    package let hostname: String

    package init(namespace: String, hostname: String) {
        self.namespace = namespace
        self.hostname = hostname
    }

    /// Reads `namespace/hostname`; nil when a part is empty or there are more.
    package init?(_ text: some StringProtocol) {
        // By bytes: a large state has hundreds of thousands, and characters cost ten times as much.
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        self.init(
            namespace: String(decoding: parts[0], as: UTF8.self), hostname: String(decoding: parts[1], as: UTF8.self))
    }

    package var description: String { "\(namespace)/\(hostname)" }
}

/// An address on a named network; the empty name is the default network.
package struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    package let network: String
    package let ip: IPAddress

    package init(network: String, ip: IPAddress) {
        self.network = network
        self.ip = ip
    }

    package var description: String { "\(network)/\(ip)" }
}

/// Where a waypoint or a network gateway is.
package struct GatewayAddress: Hashable, Sendable {
    package enum Destination: Hashable, Sendable {
        case address(NetworkAddress)
        case hostname(ServiceName)
    }
    package var destination: Destination
    package var hboneMtlsPort: UInt16

    package init(destination: Destination, hboneMtlsPort: UInt16 = 15008) {
        self.destination = destination
        self.hboneMtlsPort = hboneMtlsPort
    }
}

/// A Kubernetes Service or ServiceEntry as the control plane describes it; immutable and shared by reference.
package final class Service: Sendable {
    package enum Visibility: String, Sendable, CaseIterable { case `public` = "Public", namespace = "Namespace" }
    package enum IPFamilies: String, Sendable, CaseIterable { case ipv4 = "IPv4", ipv6 = "IPv6", dual = "Dual" }
    /// One step of a locality preference; compared in the order the service lists them.
    package enum RoutingPreference: String, Sendable, CaseIterable {
        case region = "Region", zone = "Zone", subzone = "Subzone", node = "Node", cluster = "Cluster", network =
            "Network"
    }
    package struct LoadBalancer: Hashable, Sendable {
        package enum Mode: String, Sendable, CaseIterable {
            case standard = "Standard", strict = "Strict", failover = "Failover", passthrough = "Passthrough"
        }
        package enum HealthPolicy: String, Sendable, CaseIterable {
            case onlyHealthy = "OnlyHealthy", allowAll = "AllowAll"
        }
        package var routingPreferences: [RoutingPreference] = []
        package var mode = Mode.standard
        package var healthPolicy = HealthPolicy.onlyHealthy

        package init() {}
    }
    package struct WeightedWaypoint: Hashable, Sendable {
        package var waypoint: GatewayAddress
        package var weight: UInt32

        package init(waypoint: GatewayAddress, weight: UInt32) {
            self.waypoint = waypoint
            self.weight = weight
        }
    }
    package struct CIDRAddress: Hashable, Sendable {
        package var network: String
        package var prefix: IPPrefix

        package init(network: String, prefix: IPPrefix) {
            self.network = network
            self.prefix = prefix
        }
    }
    /// What a service is made of; ``Service`` is this, frozen.
    package struct Fields: Hashable, Sendable {
        package var name = ""
        package var namespace = ""
        package var hostname = ""
        package var vips: [NetworkAddress] = []
        package var cidrVips: [CIDRAddress] = []
        /// Service port → target port; target 0 means each endpoint says it.
        package var ports: [UInt16: UInt16] = [:]
        /// Extra SPIFFE identities, as URI text, that its endpoints may present.
        package var subjectAltNames: [String] = []
        package var waypoint: GatewayAddress?
        package var weightedWaypoints: [WeightedWaypoint] = []
        package var loadBalancer: LoadBalancer?
        package var ipFamilies: IPFamilies?
        package var canonical = false
        package var visibility = Visibility.public

        package init() {}
    }

    package let fields: Fields
    package let serviceName: ServiceName

    package init(_ fields: Fields) {
        self.fields = fields
        serviceName = ServiceName(namespace: fields.namespace, hostname: fields.hostname)
    }
}
