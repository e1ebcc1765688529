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
    var pods: [ObjectName: Kubernetes.Pod] = [:]
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
}
