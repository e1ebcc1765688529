package import MeshModel

extension GatewayAddress {
    /// Whether a workload is what the address means: the workload it names, or an endpoint of the service it names.
    ///
    /// Two workloads of one identity that share an address are taken for one.
    package func leads(to workload: Workload, in snapshot: MeshSnapshot) -> Bool {
        switch destination {
        case .address(let address):
            if let owner = snapshot.workload(at: address) { return owner.isSame(as: workload) }
            guard let service = snapshot.service(at: address, visibleTo: workload.fields.namespace) else {
                return false
            }
            return workload.isEndpoint(of: service)
        case .hostname(let name):
            if let service = snapshot.service(name) { return workload.isEndpoint(of: service) }
            return snapshot.workload(hostname: name)?.isSame(as: workload) ?? false
        }
    }
}

extension Workload {
    func isSame(as other: Workload) -> Bool {
        if self === other || fields.uid == other.fields.uid { return true }
        return identity == other.identity && fields.network == other.fields.network
            && fields.addresses.contains { other.fields.addresses.contains($0) }
    }

    func isEndpoint(of service: Service) -> Bool {
        fields.services[service.serviceName] != nil
    }
}
