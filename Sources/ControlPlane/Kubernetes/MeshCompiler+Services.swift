internal import MeshModel

extension MeshCompiler {
    /// Finds which pods are endpoints of which services: from the endpoint slices of a service where it has any, else
    /// by its selector. Endpoints that are no pod become workloads of their own.
    mutating func joinPodsAndServices(_ others: inout [Workload.Fields]) {
        var sliced: Set<ObjectName> = []
        for name in objects.endpointSlices.keys.sorted() {
            if let owner = objects.endpointSlices[name]?.owner { sliced.insert(owner) }
            others += joinSlice(name)
        }
        let selecting = objects.services.filter { !sliced.contains($0.key) && $0.value.selects }
        let index = PodIndex(objects, selectors: selecting.values.compactMap(\.selector))
        for name in selecting.keys.sorted() {
            guard let service = selecting[name], let selector = service.selector else { continue }
            let pods = index.pods(in: name.namespace, selector)
            tellOfSelector(of: service, isIdle: pods.isEmpty)
            for pod in pods { join(service, pod) }
        }
    }

    /// Joins the endpoints of one slice to its service; returns those that are no pods.
    mutating func joinSlice(_ name: ObjectName) -> [Workload.Fields] {
        unit(.slice(name)) { compiler in
            guard let slice = compiler.objects.endpointSlices[name], let owner = slice.owner else { return [] }
            guard let service = compiler.objects.services[owner] else {
                compiler.tell(
                    .warning, .dangling, "EndpointSlice", slice.metadata,
                    "its label kubernetes.io/service-name names the Service \(slice.service.quoted), which does not exist"
                )
                return []
            }
            var others: [Workload.Fields] = []
            if !service.isExternalName { compiler.join(service, slice, &others) }
            return others
        }
    }

    /// Tells of a service without slices whose selector reaches no pod.
    mutating func tellOfSelector(of service: Kubernetes.Service, isIdle: Bool) {
        unit(.selectingService(ObjectName(service.metadata))) { compiler in
            guard isIdle else { return }
            compiler.tell(.warning, .selectsNothing, "Service", service.metadata, "its selector selects no pod")
        }
    }

    /// What slices and selectors say of one pod, when nothing else is compiled.
    /// - Parameters:
    ///   - slices: those that name the pod.
    ///   - services: those without slices, with a selector, of the pod's namespace.
    func membership(of pod: ObjectName, slices: [ObjectName], services: [ObjectName]) -> Membership? {
        var one = self
        // Only what is said of this pod is wanted: a copy of the small parts, sharing the objects.
        one.memberships = [:]
        for name in slices.sorted() {
            guard let slice = objects.endpointSlices[name], let owner = slice.owner,
                let service = objects.services[owner], !service.isExternalName
            else { continue }
            one.join(service, slice, only: pod.name)
        }
        guard let object = objects.pods[pod], !object.isOver else { return one.memberships[pod] }
        for name in services {
            guard let service = objects.services[name], let selector = service.selector,
                selector.labels.allSatisfy({ object.metadata.labels[$0.key] == $0.value })
            else { continue }
            one.join(service, object)
        }
        return one.memberships[pod]
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

    /// The ports of a service as one slice has them.
    private func ports(_ service: Kubernetes.Service, _ slice: Kubernetes.EndpointSlice) -> [UInt16: UInt16] {
        var ports: [UInt16: UInt16] = [:]
        for port in service.ports {
            guard let found = slice.ports.first(where: { $0.name == port.name }) else { continue }
            ports[port.port] = found.port ?? port.port
        }
        return ports
    }

    /// What an endpoint that is no pod is called.
    private func uid(_ slice: Kubernetes.EndpointSlice, _ address: IPAddress) -> String {
        "\(settings.clusterID)/discovery.k8s.io/EndpointSlice/\(slice.metadata.namespace)/\(slice.metadata.name)/\(address)"
    }

    /// What the endpoints of a slice that are no pods are called, where it has a service.
    func uids(of slice: Kubernetes.EndpointSlice) -> [String] {
        guard let owner = slice.owner, objects.services[owner]?.isExternalName == false else { return [] }
        return slice.endpoints.filter { $0.pod == nil }.compactMap(\.addresses.first).map { uid(slice, $0) }
    }

    /// The endpoints of one slice that are one pod.
    private mutating func join(_ service: Kubernetes.Service, _ slice: Kubernetes.EndpointSlice, only pod: String) {
        let name = ObjectName(slice.metadata.namespace, pod)
        guard objects.pods[name] != nil else { return }
        let key = serviceName(ObjectName(service.metadata))
        for endpoint in slice.endpoints where endpoint.pod == pod {
            memberships[name, default: Membership()].add(ports(service, slice), of: key)
            if endpoint.isReady == false, !service.publishesNotReady { memberships[name]?.isNotReady = true }
        }
    }

    /// The endpoints of one slice.
    private mutating func join(
        _ service: Kubernetes.Service, _ slice: Kubernetes.EndpointSlice, _ others: inout [Workload.Fields]
    ) {
        let ports = ports(service, slice)
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
                memberships[name, default: Membership()].add(ports, of: key)
                if !isReady, !service.publishesNotReady { memberships[name]?.isNotReady = true }
                continue
            }
            guard let first = endpoint.addresses.first else { continue }
            var fields = Workload.Fields()
            fields.uid = uid(slice, first)
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
            // An address that is listed twice is one endpoint, as it was said last.
            others.removeAll { $0.uid == fields.uid }
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
        for name in objects.pods.names.sorted() {
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

extension Kubernetes.EndpointSlice {
    /// The Service it says it belongs to; nil without one.
    var owner: ObjectName? { service.isEmpty ? nil : ObjectName(metadata.namespace, service) }
}

extension Kubernetes.Service {
    /// Whether its selector says what its endpoints are, where it has no slices.
    var selects: Bool { !isExternalName && selector != nil }
}
