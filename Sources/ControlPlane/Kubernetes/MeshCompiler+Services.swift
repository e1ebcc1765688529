internal import MeshModel

extension MeshCompiler {
    /// Finds which pods are endpoints of which services: from the endpoint slices of a service where it has any, else
    /// by its selector. Endpoints that are no pod become workloads of their own.
    mutating func joinPodsAndServices(_ others: inout [Workload.Fields]) {
        var slices: [ObjectName: [Kubernetes.EndpointSlice]] = [:]
        for name in objects.endpointSlices.keys.sorted() {
            guard let slice = objects.endpointSlices[name], !slice.service.isEmpty else { continue }
            let owner = ObjectName(slice.metadata.namespace, slice.service)
            if objects.services[owner] == nil {
                tell(
                    .warning, .dangling, "EndpointSlice", slice.metadata,
                    "its label kubernetes.io/service-name names the Service \(slice.service.quoted), which does not exist"
                )
            }
            slices[owner, default: []].append(slice)
        }
        let index = PodIndex(objects, selectors: objects.services.values.compactMap(\.selector))
        for name in objects.services.keys.sorted() {
            guard let service = objects.services[name], !service.isExternalName else { continue }
            if let slices = slices[name] {
                for slice in slices { join(service, slice, &others) }
            } else if let selector = service.selector {
                let pods = index.pods(in: name.namespace, selector)
                if pods.isEmpty {
                    tell(
                        .warning, .selectsNothing, "Service", service.metadata, "its selector selects no pod")
                }
                for pod in pods { join(service, pod) }
            }
        }
    }

    /// A pod that a service selects.
    private mutating func join(_ service: Kubernetes.Service, _ pod: Kubernetes.Pod) {
        var ports: [UInt16: UInt16] = [:]
        for port in service.ports {
            switch port.target {
            case .number(let target): ports[port.port] = target
            case .named(let name): ports[port.port] = pod.ports[name]
            }
        }
        let key = serviceName(ObjectName(service.metadata))
        memberships[ObjectName(pod.metadata), default: Membership()].services[key] = ports
    }

    /// The endpoints of one slice.
    private mutating func join(
        _ service: Kubernetes.Service, _ slice: Kubernetes.EndpointSlice, _ others: inout [Workload.Fields]
    ) {
        var ports: [UInt16: UInt16] = [:]
        for port in service.ports {
            guard let found = slice.ports.first(where: { $0.name == port.name }) else { continue }
            ports[port.port] = found.port ?? port.port
        }
        let key = serviceName(ObjectName(service.metadata))
        for endpoint in slice.endpoints {
            let isReady = endpoint.isReady ?? true
            if let pod = endpoint.pod {
                let name = ObjectName(slice.metadata.namespace, pod)
                guard objects.pods[name] != nil else {
                    tell(
                        .warning, .dangling, "EndpointSlice", slice.metadata,
                        "its endpoint \(endpoint.addresses.map(\.description).joined(separator: ", ")) is the Pod "
                            + "\(pod.quoted), which does not exist")
                    continue
                }
                memberships[name, default: Membership()].services[key, default: [:]].merge(ports) { $1 }
                if !isReady, !service.publishesNotReady { memberships[name]?.isNotReady = true }
                continue
            }
            guard let first = endpoint.addresses.first else { continue }
            var fields = Workload.Fields()
            fields.uid =
                "\(settings.clusterID)/discovery.k8s.io/EndpointSlice/\(slice.metadata.namespace)/"
                + "\(slice.metadata.name)/\(first)"
            fields.name = slice.metadata.name
            fields.namespace = slice.metadata.namespace
            fields.addresses = endpoint.addresses
            fields.network = settings.network
            fields.trustDomain = trustDomain
            fields.node = endpoint.node
            fields.clusterID = settings.clusterID
            fields.health = isReady ? .healthy : .unhealthy
            fields.locality = locality(ofNode: endpoint.node)
            fields.services = [key: ports]
            others.append(fields)
        }
    }

    /// A Service as the mesh sees it; nil for one that has no endpoints of its own.
    mutating func compile(_ service: Kubernetes.Service) -> MeshModel.Service.Fields? {
        guard !service.isExternalName else {
            tell(.warning, .ignored, "Service", service.metadata, "ExternalName services are not part of a mesh")
            return nil
        }
        let name = ObjectName(service.metadata)
        var fields = MeshModel.Service.Fields()
        fields.name = name.name
        fields.namespace = name.namespace
        fields.hostname = hostname(name)
        fields.vips = service.addresses.map { NetworkAddress(network: settings.network, ip: $0) }
        for port in service.ports {
            if case .number(let target) = port.target {
                fields.ports[port.port] = target
            } else {
                fields.ports[port.port] = 0
            }
        }
        fields.ipFamilies = service.families
        fields.canonical = true
        fields.loadBalancer = loadBalancer(service)
        fields.waypoint = waypoint(of: service)
        fields.weightedWaypoints = weightedWaypoints(of: service, beside: fields.waypoint)
        return fields
    }

    private mutating func loadBalancer(_ service: Kubernetes.Service) -> MeshModel.Service.LoadBalancer? {
        var balancer = MeshModel.Service.LoadBalancer()
        if service.isInternalLocal {
            balancer.mode = .strict
            balancer.routingPreferences = [.node]
        } else {
            switch service.trafficDistribution {
            case "": break
            case "PreferClose", "PreferSameZone":
                balancer.mode = .failover
                balancer.routingPreferences = [.network, .region, .zone]
            case "PreferSameNode":
                balancer.mode = .failover
                balancer.routingPreferences = [.network, .region, .zone, .subzone, .node]
            default:
                tell(
                    .warning, .ignored, "Service", service.metadata,
                    "trafficDistribution \(service.trafficDistribution.quoted) is not known; "
                        + "PreferSameZone, PreferSameNode and PreferClose are")
            }
        }
        if service.publishesNotReady { balancer.healthPolicy = .allowAll }
        return balancer == MeshModel.Service.LoadBalancer() ? nil : balancer
    }

    func locality(ofNode name: String) -> Workload.Locality {
        guard let labels = objects.nodes[name]?.metadata.labels else { return Workload.Locality() }
        return Workload.Locality(
            region: labels["topology.kubernetes.io/region"] ?? "", zone: labels["topology.kubernetes.io/zone"] ?? "",
            subzone: labels["topology.istio.io/subzone"] ?? "")
    }
}

/// The pods of each namespace, findable by the labels that selectors ask for.
struct PodIndex {
    private struct Key: Hashable {
        let namespace: String
        let label: LabelSet.Label
    }
    private var byLabel: [Key: [Kubernetes.Pod]] = [:]

    /// - Parameter selectors: only what these ask for first can be looked up.
    init(_ objects: ObjectSet, selectors: [LabelSet]) {
        let keys = Set(selectors.compactMap { $0.labels.first?.key })
        for name in objects.pods.keys.sorted() {
            guard let pod = objects.pods[name], !pod.isOver else { continue }
            for label in pod.metadata.labels.labels where keys.contains(label.key) {
                byLabel[Key(namespace: name.namespace, label: label), default: []].append(pod)
            }
        }
    }

    /// The pods that carry all labels of a selector that the index was made for, by name.
    func pods(in namespace: String, _ selector: LabelSet) -> [Kubernetes.Pod] {
        guard let first = selector.labels.first else { return [] }
        let candidates = byLabel[Key(namespace: namespace, label: first)] ?? []
        return candidates.filter { pod in
            selector.labels.allSatisfy { pod.metadata.labels[$0.key] == $0.value }
        }
    }
}
