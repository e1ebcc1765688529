internal import MeshModel

/// A namespace with a name in it.
struct ObjectName: Hashable, Sendable, Comparable {
    let namespace: String
    let name: String

    init(_ namespace: String, _ name: String) {
        self.namespace = namespace
        self.name = name
    }

    init(_ metadata: Kubernetes.Metadata) {
        self.init(metadata.namespace, metadata.name)
    }

    static func < (a: Self, b: Self) -> Bool { (a.namespace, a.name) < (b.namespace, b.name) }
}

/// All objects that are in force, by kind and name.
struct ObjectSet: Sendable {
    var namespaces: [String: Kubernetes.Namespace] = [:]
    var nodes: [String: Kubernetes.Node] = [:]
    var serviceAccounts: [ObjectName: Kubernetes.ServiceAccount] = [:]
    var pods = PodTable()
    var services: [ObjectName: Kubernetes.Service] = [:]
    var endpointSlices: [ObjectName: Kubernetes.EndpointSlice] = [:]
    var gateways: [ObjectName: Kubernetes.Gateway] = [:]
    var httpRoutes: [ObjectName: Kubernetes.HTTPRoute] = [:]
    var virtualServices: [ObjectName: Kubernetes.VirtualService] = [:]
    var serviceEntries: [ObjectName: Kubernetes.ServiceEntry] = [:]
    var workloadEntries: [ObjectName: Kubernetes.WorkloadEntry] = [:]
    var authorizationPolicies: [ObjectName: Kubernetes.AuthorizationPolicy] = [:]
    var peerAuthentications: [ObjectName: Kubernetes.PeerAuthentication] = [:]
    var networkPolicies: [ObjectName: (policy: NetworkPolicy, metadata: Kubernetes.Metadata)] = [:]
    var meshConfig: Kubernetes.MeshConfig?
    /// Policies that are known by name only: what they may reach is closed.
    var unreadablePolicies: [ManifestFile.Refused] = []

    init(_ objects: some Sequence<KubernetesObject> = []) {
        for object in objects { insert(object) }
    }

    /// Leaves out what decides about connections and describes nothing else.
    mutating func removePolicies() {
        authorizationPolicies = [:]
        peerAuthentications = [:]
        networkPolicies = [:]
        unreadablePolicies = []
    }

    /// Puts an object in the place of one of its name.
    mutating func insert(_ object: KubernetesObject) {
        switch object {
        case .namespace(let object): namespaces[object.metadata.name] = object
        case .node(let object): nodes[object.metadata.name] = object
        case .serviceAccount(let object): serviceAccounts[ObjectName(object.metadata)] = object
        case .pod(let object): pods[ObjectName(object.metadata)] = object
        case .service(let object): services[ObjectName(object.metadata)] = object
        case .endpointSlice(let object): endpointSlices[ObjectName(object.metadata)] = object
        case .gateway(let object): gateways[ObjectName(object.metadata)] = object
        case .httpRoute(let object): httpRoutes[ObjectName(object.metadata)] = object
        case .virtualService(let object): virtualServices[ObjectName(object.metadata)] = object
        case .serviceEntry(let object): serviceEntries[ObjectName(object.metadata)] = object
        case .workloadEntry(let object): workloadEntries[ObjectName(object.metadata)] = object
        case .authorizationPolicy(let object): authorizationPolicies[ObjectName(object.metadata)] = object
        case .peerAuthentication(let object): peerAuthentications[ObjectName(object.metadata)] = object
        case .networkPolicy(let policy, let metadata): networkPolicies[ObjectName(metadata)] = (policy, metadata)
        case .meshConfig(let config): meshConfig = config
        }
    }

    /// Takes an object out.
    mutating func remove(_ reference: ObjectReference) {
        let name = ObjectName(reference.namespace, reference.name)
        switch reference.kind {
        case "Namespace": namespaces[reference.name] = nil
        case "Node": nodes[reference.name] = nil
        case "ServiceAccount": serviceAccounts[name] = nil
        case "Pod": pods[name] = nil
        case "Service": services[name] = nil
        case "EndpointSlice": endpointSlices[name] = nil
        case "Gateway": gateways[name] = nil
        case "HTTPRoute": httpRoutes[name] = nil
        case "VirtualService": virtualServices[name] = nil
        case "ServiceEntry": serviceEntries[name] = nil
        case "WorkloadEntry": workloadEntries[name] = nil
        case "AuthorizationPolicy": authorizationPolicies[name] = nil
        case "PeerAuthentication": peerAuthentications[name] = nil
        case "NetworkPolicy": networkPolicies[name] = nil
        case "MeshConfig": meshConfig = nil
        default: break
        }
    }

    /// The object of that name; nil without one.
    subscript(reference: ObjectReference) -> KubernetesObject? {
        let name = ObjectName(reference.namespace, reference.name)
        switch reference.kind {
        case "Namespace": return namespaces[reference.name].map { .namespace($0) }
        case "Node": return nodes[reference.name].map { .node($0) }
        case "ServiceAccount": return serviceAccounts[name].map { .serviceAccount($0) }
        case "Pod": return pods[name].map { .pod($0) }
        case "Service": return services[name].map { .service($0) }
        case "EndpointSlice": return endpointSlices[name].map { .endpointSlice($0) }
        case "Gateway": return gateways[name].map { .gateway($0) }
        case "HTTPRoute": return httpRoutes[name].map { .httpRoute($0) }
        case "VirtualService": return virtualServices[name].map { .virtualService($0) }
        case "ServiceEntry": return serviceEntries[name].map { .serviceEntry($0) }
        case "WorkloadEntry": return workloadEntries[name].map { .workloadEntry($0) }
        case "AuthorizationPolicy": return authorizationPolicies[name].map { .authorizationPolicy($0) }
        case "PeerAuthentication": return peerAuthentications[name].map { .peerAuthentication($0) }
        case "NetworkPolicy": return networkPolicies[name].map { .networkPolicy($0.policy, $0.metadata) }
        case "MeshConfig": return meshConfig.map { .meshConfig($0) }
        default: return nil
        }
    }

    /// The names of all objects of a kind.
    func references(of kind: String) -> [ObjectReference] {
        func all(_ names: some Sequence<ObjectName>) -> [ObjectReference] {
            names.map { ObjectReference(kind: kind, namespace: $0.namespace, name: $0.name) }
        }
        switch kind {
        case "Namespace": return all(namespaces.keys.map { ObjectName("", $0) })
        case "Node": return all(nodes.keys.map { ObjectName("", $0) })
        case "ServiceAccount": return all(serviceAccounts.keys)
        case "Pod": return all(pods.names)
        case "Service": return all(services.keys)
        case "EndpointSlice": return all(endpointSlices.keys)
        case "Gateway": return all(gateways.keys)
        case "HTTPRoute": return all(httpRoutes.keys)
        case "VirtualService": return all(virtualServices.keys)
        case "ServiceEntry": return all(serviceEntries.keys)
        case "WorkloadEntry": return all(workloadEntries.keys)
        case "AuthorizationPolicy": return all(authorizationPolicies.keys)
        case "PeerAuthentication": return all(peerAuthentications.keys)
        case "NetworkPolicy": return all(networkPolicies.keys)
        case "MeshConfig": return meshConfig == nil ? [] : [ObjectReference(kind: kind, namespace: "", name: "istio")]
        default: return []
        }
    }
}
