internal import HashTreeCollections

/// A namespace with a name in it.
struct QualifiedName: Hashable, Sendable {
    let namespace: String
    let name: String
}

/// The workloads of a snapshot under every key they are looked up by; a value that shares unchanged parts.
struct WorkloadIndex: Sendable {
    private(set) var byUID: TreeDictionary<String, Workload> = [:]
    /// Best first, see ``isPreferred(_:over:)``.
    private(set) var byAddress: TreeDictionary<NetworkAddress, [Workload]> = [:]
    /// Workloads on their nodes' own network, which share addresses that none of them owns.
    private(set) var byHostAddress: TreeDictionary<NetworkAddress, [Workload]> = [:]
    private(set) var byName: TreeDictionary<QualifiedName, [Workload]> = [:]
    private(set) var byHostname: TreeDictionary<QualifiedName, [Workload]> = [:]
    /// By uid; also for services that are not known (yet), which is what stages endpoints that come before them.
    private(set) var endpoints: TreeDictionary<ServiceName, EndpointList> = [:]

    /// Removes, then inserts or replaces; every touched service's endpoints are rebuilt once for the whole batch.
    mutating func apply(removed: [String], upserted: [Workload]) {
        var touched: [ServiceName: [String: Endpoint?]] = [:]
        for uid in removed {
            guard let old = byUID.removeValue(forKey: uid) else { continue }
            unindex(old)
            for name in old.fields.services.keys { touched[name, default: [:]][uid] = .some(nil) }
        }
        for workload in upserted {
            let uid = workload.fields.uid
            if let old = byUID.updateValue(workload, forKey: uid) {
                unindex(old)
                for name in old.fields.services.keys { touched[name, default: [:]][uid] = .some(nil) }
            }
            index(workload)
            for (name, ports) in workload.fields.services {
                touched[name, default: [:]][uid] = Endpoint(workload: workload, ports: ports)
            }
        }
        for (name, changes) in touched { merge(changes, into: name) }
    }

    private mutating func merge(_ changes: [String: Endpoint?], into name: ServiceName) {
        let old = endpoints[name]?.endpoints ?? []
        var fresh = changes.compactMap { $0.value }
        if fresh.count > 1 { fresh.sort { $0.workload.fields.uid < $1.workload.fields.uid } }
        var merged: [Endpoint] = []
        merged.reserveCapacity(old.count + fresh.count)
        var next = 0
        for endpoint in old {
            let uid = endpoint.workload.fields.uid
            while next < fresh.count, fresh[next].workload.fields.uid < uid {
                merged.append(fresh[next])
                next += 1
            }
            if changes[uid] == nil { merged.append(endpoint) }
        }
        merged.append(contentsOf: fresh[next...])
        endpoints[name] = merged.isEmpty ? nil : EndpointList(merged)
    }

    private mutating func index(_ workload: Workload) {
        let fields = workload.fields
        for ip in fields.addresses {
            let key = NetworkAddress(network: fields.network, ip: ip)
            if fields.networkMode == .hostNetwork {
                Self.insert(workload, into: &byHostAddress[key, default: []], before: Self.isPreferred)
            } else {
                Self.insert(workload, into: &byAddress[key, default: []], before: Self.isPreferred)
            }
        }
        let name = QualifiedName(namespace: fields.namespace, name: fields.name)
        Self.insert(workload, into: &byName[name, default: []]) { $0.fields.uid < $1.fields.uid }
        guard !fields.hostname.isEmpty else { return }
        let host = QualifiedName(namespace: fields.namespace, name: fields.hostname)
        Self.insert(workload, into: &byHostname[host, default: []]) { $0.fields.uid < $1.fields.uid }
    }

    private mutating func unindex(_ workload: Workload) {
        let fields = workload.fields
        for ip in fields.addresses {
            let key = NetworkAddress(network: fields.network, ip: ip)
            if fields.networkMode == .hostNetwork {
                Self.remove(workload, from: &byHostAddress, key: key)
            } else {
                Self.remove(workload, from: &byAddress, key: key)
            }
        }
        Self.remove(workload, from: &byName, key: QualifiedName(namespace: fields.namespace, name: fields.name))
        guard !fields.hostname.isEmpty else { return }
        Self.remove(workload, from: &byHostname, key: QualifiedName(namespace: fields.namespace, name: fields.hostname))
    }

    /// Whether an address that both claim means the first: a Pod before others, HBONE before plain, then by uid.
    static func isPreferred(_ a: Workload, over b: Workload) -> Bool {
        let podA = a.fields.uid.contains("//Pod/")
        let podB = b.fields.uid.contains("//Pod/")
        if podA != podB { return podA }
        if a.fields.tunnelProtocol != b.fields.tunnelProtocol { return a.fields.tunnelProtocol == .hbone }
        return a.fields.uid < b.fields.uid
    }

    private static func insert(
        _ workload: Workload, into list: inout [Workload], before: (Workload, Workload) -> Bool
    ) {
        // A workload may list one address twice; it still owns it once.
        guard !list.contains(where: { $0 === workload }) else { return }
        let position = list.firstIndex { before(workload, $0) } ?? list.endIndex
        list.insert(workload, at: position)
    }

    private static func remove<Key: Hashable & Sendable>(
        _ workload: Workload, from table: inout TreeDictionary<Key, [Workload]>, key: Key
    ) {
        guard var list = table[key] else { return }
        list.removeAll { $0 === workload }
        table[key] = list.isEmpty ? nil : list
    }
}
