internal import HashTreeCollections

extension MeshSnapshot {
    /// The workload with that uid.
    package func workload(uid: String) -> Workload? { workloads.byUID[uid] }

    /// The workload that owns an address: of several a Pod before others, then one that speaks HBONE, then the lowest
    /// uid. Host-network workloads own no address here.
    package func workload(at address: NetworkAddress) -> Workload? { workloads.byAddress[address]?.first }

    /// Whether some workload on its node's own network has the address; it owns it with all others there.
    package func isHostAddress(_ address: NetworkAddress) -> Bool { workloads.byHostAddress[address] != nil }

    /// All workloads that claim an address, best first.
    package func workloads(at address: NetworkAddress) -> [Workload] { workloads.byAddress[address] ?? [] }

    /// All workloads of that name in that namespace (clusters may share names), by uid.
    package func workloads(namespace: String, name: String) -> [Workload] {
        workloads.byName[QualifiedName(namespace: namespace, name: name)] ?? []
    }

    /// The workload an enrolled pod is: by namespace and name, and where given also by service account and node.
    package func workload(
        namespace: String, name: String, serviceAccount: String? = nil, node: String? = nil
    ) -> Workload? {
        workloads(namespace: namespace, name: name).first { workload in
            if let serviceAccount, workload.identity.serviceAccount != serviceAccount { return false }
            if let node, workload.fields.node != node { return false }
            return true
        }
    }

    /// The workload that itself carries a host name, in that namespace.
    package func workload(hostname: ServiceName) -> Workload? {
        workloads.byHostname[QualifiedName(namespace: hostname.namespace, name: hostname.hostname)]?.first
    }

    /// The workloads that name the service, healthy or not, by uid; also those of a service not known yet.
    package func endpoints(of service: ServiceName) -> [Endpoint] { workloads.endpoints[service]?.endpoints ?? [] }

    /// The same for choosing one of them.
    package func endpointList(of service: ServiceName) -> EndpointList { workloads.endpoints[service] ?? .empty }

    /// The endpoint that a workload is of a service; nil when it is none.
    package func endpoint(of service: ServiceName, uid: String) -> Endpoint? {
        guard let workload = workloads.byUID[uid], let ports = workload.fields.services[service] else { return nil }
        return Endpoint(workload: workload, ports: ports)
    }

    /// The service with that namespace and host name.
    package func service(_ name: ServiceName) -> Service? { services.byName[name] }

    /// The best service of a host name that a client namespace may see: its own, then a canonical one, then the first.
    package func service(host: String, visibleTo namespace: String) -> Service? {
        guard let candidates = services.byHost[host] else { return nil }
        return ServiceIndex.best(of: candidates, visibleTo: namespace)
    }

    /// All services of a host name, in the order they became known.
    package func services(host: String) -> [Service] { services.byHost[host] ?? [] }

    /// The best service at an address that a client namespace may see; ranges count only where no visible service has
    /// exactly that address, and among ranges: own namespace, then the longest prefix, then a canonical service.
    package func service(at address: NetworkAddress, visibleTo namespace: String) -> Service? {
        services.service(at: address, visibleTo: namespace)
    }

    /// The policy of that `namespace/name`.
    package func policy(_ key: String) -> AuthorizationPolicy? { policies.byKey[key] }

    /// Policies for every workload.
    package var globalPolicies: PolicySet { policies.global }

    /// Policies for every workload of a namespace; nil when there are none.
    package func policies(ofNamespace namespace: String) -> PolicySet? { policies.byNamespace[namespace] }

    package var workloadCount: Int { workloads.byUID.count }
    package var serviceCount: Int { services.byName.count }
    package var policyCount: Int { policies.byKey.count }
    /// All workloads, in no order; for status and tests, not for the data path.
    package var allWorkloads: [Workload] { workloads.byUID.map(\.value) }
    /// All services, in no order.
    package var allServices: [Service] { services.byName.map(\.value) }
    /// All policies, in no order.
    package var allPolicies: [AuthorizationPolicy] { policies.byKey.map(\.value) }
}
