package import MeshModel

/// Finds what a person means by a name: a pod, a workload, a service, a host or an address.
package struct PartyName {
    package enum Party: Sendable {
        case workload(Workload)
        case service(Service)
        /// Nothing the mesh knows.
        case address(IPAddress)

        package var text: String {
            switch self {
            case .workload(let workload): "\(workload)"
            case .service(let service): "service \(service.serviceName)"
            case .address(let address): "\(address), which the mesh does not know"
            }
        }
    }

    /// The party without its port.
    package let name: String
    package let port: UInt16?

    /// Splits `NAME:PORT`, `[2001:db8::1]:PORT` or `NAME`.
    package init(_ text: String) {
        if IPAddress(text) == nil, let colon = text.lastIndex(of: ":"),
            let port = SocketAddress.port(Array(text[text.index(after: colon)...].utf8)[...]), port > 0
        {
            var name = text[..<colon]
            if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
            self.name = String(name)
            self.port = port
        } else {
            name = text
            port = nil
        }
    }

    /// What it means in a state; nil for a name that nothing has.
    /// - Parameter namespace: where a name without one is looked for.
    package func party(in snapshot: MeshSnapshot, network: String, namespace: String = "default") -> Party? {
        if let ip = IPAddress(name) {
            let address = NetworkAddress(network: network, ip: ip)
            if let workload = snapshot.workload(at: address) { return .workload(workload) }
            if let service = snapshot.service(at: address, visibleTo: namespace) { return .service(service) }
            return .address(ip)
        }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 2 { return party(parts[1], in: parts[0], snapshot) }
        guard parts.count == 1 else { return nil }
        if let found = party(name, in: namespace, snapshot) { return found }
        if let service = snapshot.service(host: name, visibleTo: namespace) { return .service(service) }
        // `server.default` and `server.default.svc`, as Kubernetes' own search path completes them.
        let labels = name.split(separator: ".").map(String.init)
        guard labels.count >= 2, labels.count == 2 || labels.count == 3 && labels[2] == "svc" else { return nil }
        return party(labels[0], in: labels[1], snapshot)
    }

    private func party(_ name: String, in namespace: String, _ snapshot: MeshSnapshot) -> Party? {
        if let workload = snapshot.workload(namespace: namespace, name: name) { return .workload(workload) }
        if let service = snapshot.service(ServiceName(namespace: namespace, hostname: name)) {
            return .service(service)
        }
        let services = snapshot.allServices.filter { $0.fields.namespace == namespace && $0.fields.name == name }
        if let service = services.min(by: { $0.fields.hostname < $1.fields.hostname }) { return .service(service) }
        let workloads = snapshot.allWorkloads.filter {
            $0.fields.namespace == namespace && $0.fields.workloadName == name
        }
        return workloads.min { $0.fields.uid < $1.fields.uid }.map { .workload($0) }
    }
}
