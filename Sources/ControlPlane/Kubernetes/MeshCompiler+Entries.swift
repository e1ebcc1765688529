internal import MeshModel

extension MeshCompiler {
    /// Services and workloads of ServiceEntries and WorkloadEntries: what is known of the world outside Kubernetes.
    mutating func compileEntries(_ workloads: inout [Workload.Fields]) -> [MeshModel.Service.Fields] {
        var services: [MeshModel.Service.Fields] = []
        var entries: [ObjectName: Workload.Fields] = [:]
        for (name, entry) in objects.workloadEntries {
            entries[name] = compile(
                entry, uid: "\(settings.clusterID)/networking.istio.io/WorkloadEntry/\(name.namespace)/\(name.name)")
        }
        for name in objects.serviceEntries.keys.sorted() {
            guard let entry = objects.serviceEntries[name] else { continue }
            for host in entry.hosts { services.append(compile(entry, host: host)) }
            join(entry, &entries, &workloads)
        }
        workloads += entries.keys.sorted().compactMap { entries[$0] }
        return services
    }

    private mutating func compile(_ entry: Kubernetes.ServiceEntry, host: String) -> MeshModel.Service.Fields {
        var fields = MeshModel.Service.Fields()
        fields.name = entry.metadata.name
        fields.namespace = entry.metadata.namespace
        fields.hostname = host
        for range in entry.addresses {
            if range.length == (range.address.isIPv4 ? 32 : 128) {
                fields.vips.append(NetworkAddress(network: settings.network, ip: range.address))
            } else {
                fields.cidrVips.append(.init(network: settings.network, prefix: range))
            }
        }
        for port in entry.ports { fields.ports[port.port] = port.target }
        fields.subjectAltNames = entry.subjectAltNames
        fields.visibility = entry.isPrivate ? .namespace : .public
        if entry.resolution == "NONE" {
            var balancer = MeshModel.Service.LoadBalancer()
            balancer.mode = .passthrough
            fields.loadBalancer = balancer
        }
        fields.waypoint = waypoint("ServiceEntry", entry.metadata) { $0.servesServices }
        return fields
    }

    /// Makes the endpoints of an entry: those written in it, the hosts themselves where DNS finds them, and what its
    /// selector selects.
    private mutating func join(
        _ entry: Kubernetes.ServiceEntry, _ entries: inout [ObjectName: Workload.Fields],
        _ workloads: inout [Workload.Fields]
    ) {
        let namespace = entry.metadata.namespace
        let base = "\(settings.clusterID)/networking.istio.io/ServiceEntry/\(namespace)/\(entry.metadata.name)"
        func ports(_ own: [String: UInt16]) -> [UInt16: UInt16] {
            Dictionary(entry.ports.map { ($0.port, own[$0.name] ?? $0.target) }) { $1 }
        }
        for endpoint in entry.endpoints {
            guard var fields = compile(endpoint, uid: "\(base)/\(endpoint.address)") else { continue }
            for host in entry.hosts {
                fields.services[ServiceName(namespace: namespace, hostname: host)] = ports(endpoint.ports)
            }
            workloads.append(fields)
        }
        if entry.endpoints.isEmpty, entry.selector == nil, entry.resolution.hasPrefix("DNS") {
            for host in entry.hosts where !host.contains("*") {
                var fields = outside(entry.metadata, uid: "\(base)/\(host)")
                fields.hostname = host
                fields.services = [ServiceName(namespace: namespace, hostname: host): ports([:])]
                workloads.append(fields)
            }
        }
        guard let selector = entry.selector else { return }
        var isUsed = false
        for (name, source) in objects.workloadEntries
        where name.namespace == namespace && selector.matches(source.metadata.labels) {
            for host in entry.hosts {
                entries[name]?.services[ServiceName(namespace: namespace, hostname: host)] = ports(source.ports)
            }
            isUsed = true
        }
        for (name, pod) in objects.pods
        where name.namespace == namespace && !pod.isOver && selector.matches(pod.metadata.labels) {
            for host in entry.hosts {
                memberships[name, default: Membership()].services[ServiceName(namespace: namespace, hostname: host)] =
                    ports([:])
            }
            isUsed = true
        }
        if !isUsed {
            tell(
                .warning, .selectsNothing, "ServiceEntry", entry.metadata, "its workloadSelector selects nothing")
        }
    }

    /// A WorkloadEntry as the mesh sees it; nil for one without an address.
    private mutating func compile(_ entry: Kubernetes.WorkloadEntry, uid: String) -> Workload.Fields? {
        var fields = outside(entry.metadata, uid: uid)
        if let address = IPAddress(entry.address) {
            fields.addresses = [address]
        } else if !entry.address.isEmpty {
            fields.hostname = entry.address
        } else {
            tell(.warning, .ignored, "WorkloadEntry", entry.metadata, "it has no address: nobody can reach it")
            return nil
        }
        fields.serviceAccount = entry.serviceAccount
        fields.capacity = entry.weight
        if !entry.network.isEmpty { fields.network = entry.network }
        let place = entry.locality.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        fields.locality = Workload.Locality(
            region: place.first ?? "", zone: place.count > 1 ? place[1] : "", subzone: place.count > 2 ? place[2] : "")
        if entry.metadata.labels["networking.istio.io/tunnel"] == "http" {
            fields.tunnelProtocol = .hbone
            fields.nativeTunnel = true
        }
        return fields
    }

    private func outside(_ metadata: Kubernetes.Metadata, uid: String) -> Workload.Fields {
        var fields = Workload.Fields()
        fields.uid = uid
        fields.name = metadata.name
        fields.namespace = metadata.namespace
        fields.workloadName = metadata.name
        fields.canonicalName = metadata.labels["app"] ?? metadata.name
        fields.network = settings.network
        fields.trustDomain = trustDomain
        fields.clusterID = settings.clusterID
        fields.labels = metadata.labels
        return fields
    }
}
