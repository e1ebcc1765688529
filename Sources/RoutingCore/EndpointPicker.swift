package import MeshModel

/// Chooses an endpoint of a service: by health, port, reachability, locality, and then by chance in proportion to capacity.
package struct EndpointPicker {
    /// What the service is looked up for.
    package enum Purpose: Sendable {
        /// Ordinary traffic: the service must declare the port.
        case traffic
        /// As a waypoint or gateway: the port may be missing where the endpoint has an application tunnel.
        case waypoint
    }
    package struct Choice: Sendable {
        package let workload: Workload
        /// The port on the workload.
        package let port: UInt16
    }
    /// How the endpoints of a service fared; for messages.
    package struct Census: Hashable, Sendable {
        package var endpoints = 0
        package var unhealthy = 0
        package var withoutPort = 0
        package var withoutAddress = 0
        /// On another network without a gateway to it.
        package var withoutGateway = 0
        /// Set aside because a dial to them failed.
        package var failed = 0
        /// Not where the service's STRICT locality preference wants them.
        package var elsewhere = 0

        package init() {}
    }

    package let service: Service
    package let port: UInt16
    package let purpose: Purpose
    package let source: Workload
    /// Uids of endpoints whose dial failed and that are not to be chosen again.
    package let excluding: [String]
    // What the loop over the endpoints asks of the service, looked up once.
    private let declared: UInt16?
    private let admitsUnhealthy: Bool
    private let families: Service.IPFamilies?
    private let mode: Service.LoadBalancer.Mode
    private let preferences: [Service.RoutingPreference]

    package init(
        service: Service, port: UInt16, purpose: Purpose = .traffic, source: Workload, excluding: [String] = []
    ) {
        self.service = service
        self.port = port
        self.purpose = purpose
        self.source = source
        self.excluding = excluding
        declared = service.fields.ports[port]
        families = service.fields.ipFamilies
        let balancer = service.fields.loadBalancer
        admitsUnhealthy = balancer?.healthPolicy == .allowAll
        mode = balancer?.mode ?? .standard
        preferences = balancer?.routingPreferences ?? []
    }

    /// One endpoint by weighted chance; nil when none is usable. Allocates nothing.
    ///
    /// Of many endpoints that weigh the same some are tried at random before all are looked at: as fair, and most often
    /// it takes one look whatever their number.
    package func pick(from list: EndpointList, random: inout RandomDraws) -> Choice? {
        guard declared != nil || purpose == .waypoint else { return nil }
        let endpoints = list.endpoints
        if endpoints.count > Self.triesAtRandom, mode == .standard, let capacity = list.uniformCapacity, capacity > 0 {
            for _ in 0..<Self.triesAtRandom {
                let endpoint = endpoints[Int(random.next(below: UInt64(endpoints.count)))]
                guard rank(of: endpoint) >= 0, let port = targetPort(of: endpoint) else { continue }
                return Choice(workload: endpoint.workload, port: port)
            }
        }
        return scan(endpoints, &random)
    }

    /// The same from endpoints of which nothing is known beforehand.
    package func pick(from endpoints: [Endpoint], random: inout RandomDraws) -> Choice? {
        guard declared != nil || purpose == .waypoint else { return nil }
        return scan(endpoints, &random)
    }

    private static let triesAtRandom = 8

    private func scan(_ endpoints: [Endpoint], _ random: inout RandomDraws) -> Choice? {
        var best = -1
        var total: UInt64 = 0
        for endpoint in endpoints {
            let rank = rank(of: endpoint)
            if rank > best { (best, total) = (rank, 0) }
            if rank >= 0, rank == best { total += UInt64(endpoint.workload.fields.capacity) }
        }
        guard total > 0 else { return nil }
        var left = random.next(below: total)
        for endpoint in endpoints where rank(of: endpoint) == best {
            let weight = UInt64(endpoint.workload.fields.capacity)
            if left < weight, let port = targetPort(of: endpoint) {
                return Choice(workload: endpoint.workload, port: port)
            }
            left -= min(weight, left)
        }
        return nil
    }

    /// All endpoints ``pick(from:random:)`` chooses between.
    package func candidates(in endpoints: [Endpoint]) -> [Endpoint] {
        let best = bestRank(in: endpoints)
        return best < 0 ? [] : endpoints.filter { rank(of: $0) == best }
    }

    /// The target port on an endpoint: its own map, then the service's, then the service port itself where the endpoint
    /// has an application tunnel with a port; nil when it has none.
    package func targetPort(of endpoint: Endpoint) -> UInt16? {
        guard declared != nil || purpose == .waypoint else { return nil }
        if !endpoint.ports.isEmpty, let own = endpoint.ports[port], own != 0 { return own }
        if let declared, declared != 0 { return declared }
        return endpoint.workload.fields.applicationTunnel?.port == nil ? nil : port
    }

    /// Counts why endpoints are not candidates.
    package func census(of endpoints: [Endpoint]) -> Census {
        var census = Census()
        for endpoint in endpoints {
            census.endpoints += 1
            if isUnhealthy(endpoint) {
                census.unhealthy += 1
            } else if targetPort(of: endpoint) == nil {
                census.withoutPort += 1
            } else if isCutOff(endpoint.workload) {
                census.withoutGateway += 1
            } else if !hasAddress(endpoint.workload) {
                census.withoutAddress += 1
            } else if isExcluded(endpoint) {
                census.failed += 1
            } else if rank(of: endpoint) < 0 {
                census.elsewhere += 1
            }
        }
        return census
    }

    private func bestRank(in endpoints: [Endpoint]) -> Int {
        var best = -1
        for endpoint in endpoints {
            let rank = rank(of: endpoint)
            if rank > best { best = rank }
        }
        return best
    }

    private func isUnhealthy(_ endpoint: Endpoint) -> Bool {
        endpoint.workload.fields.health == .unhealthy && !admitsUnhealthy
    }

    private func isExcluded(_ endpoint: Endpoint) -> Bool {
        !excluding.isEmpty && excluding.contains(endpoint.workload.fields.uid)
    }

    private func isRemote(_ workload: Workload) -> Bool { workload.fields.network != source.fields.network }

    private func isCutOff(_ workload: Workload) -> Bool {
        isRemote(workload) && workload.fields.networkGateway == nil
    }

    private func hasAddress(_ workload: Workload) -> Bool {
        // The gateway of another network needs no address of the workload behind it.
        if isRemote(workload) { return true }
        // Through the class, not a copy: a copy of all fields costs twenty reference counts.
        if workload.fields.addresses.isEmpty { return !workload.fields.hostname.isEmpty }
        switch families {
        case .ipv4: return workload.fields.addresses.contains { $0.isIPv4 }
        case .ipv6: return workload.fields.addresses.contains { !$0.isIPv4 }
        case .dual, nil: return true
        }
    }

    /// How well the endpoint suits, higher is better; -1 when it may not be chosen.
    private func rank(of endpoint: Endpoint) -> Int {
        let workload = endpoint.workload
        guard !isUnhealthy(endpoint), targetPort(of: endpoint) != nil, !isCutOff(workload), hasAddress(workload),
            !isExcluded(endpoint)
        else { return -1 }
        switch mode {
        case .standard, .passthrough: return 0
        case .strict: return preferences.allSatisfy { matches($0, workload) } ? 0 : -1
        case .failover: return localityRank(of: workload)
        }
    }

    /// Consecutive matches from the front. A leading NETWORK outweighs all that follows it but does not end the count, so
    /// that among endpoints of other networks the nearest still wins.
    private func localityRank(of workload: Workload) -> Int {
        var rank = 0
        for (position, preference) in preferences.enumerated() {
            let leadingNetwork = position == 0 && preference == .network
            if matches(preference, workload) {
                rank += leadingNetwork ? preferences.count : 1
            } else if !leadingNetwork {
                break
            }
        }
        return rank
    }

    private func matches(_ preference: Service.RoutingPreference, _ workload: Workload) -> Bool {
        let a = source
        let b = workload
        switch preference {
        case .region: return a.fields.locality.region == b.fields.locality.region
        case .zone: return a.fields.locality.zone == b.fields.locality.zone
        case .subzone: return a.fields.locality.subzone == b.fields.locality.subzone
        case .node: return a.fields.node == b.fields.node
        case .cluster: return a.fields.clusterID == b.fields.clusterID
        case .network: return a.fields.network == b.fields.network
        }
    }
}
