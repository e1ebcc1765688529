internal import MeshModel

/// One object of a manifest, decoded.
enum KubernetesObject: Hashable, Sendable {
    case namespace(Kubernetes.Namespace)
    case serviceAccount(Kubernetes.ServiceAccount)
    case node(Kubernetes.Node)
    case pod(Kubernetes.Pod)
    case service(Kubernetes.Service)
    case endpointSlice(Kubernetes.EndpointSlice)
    case gateway(Kubernetes.Gateway)
    case httpRoute(Kubernetes.HTTPRoute)
    case virtualService(Kubernetes.VirtualService)
    case serviceEntry(Kubernetes.ServiceEntry)
    case workloadEntry(Kubernetes.WorkloadEntry)
    case authorizationPolicy(Kubernetes.AuthorizationPolicy)
    case peerAuthentication(Kubernetes.PeerAuthentication)
    case networkPolicy(NetworkPolicy, Kubernetes.Metadata)
    case meshConfig(Kubernetes.MeshConfig)

    /// What can be known of an object before it is decoded.
    struct Kind: Hashable, Sendable {
        let group: String
        let version: String
        let kind: String

        /// From `apiVersion` and `kind`.
        init(apiVersion: String, kind: String) {
            let parts = apiVersion.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            group = parts.count == 2 ? String(parts[0]) : ""
            version = String(parts.last ?? "")
            self.kind = kind
        }
    }

    /// Kinds that are read, by `group/kind`, with their versions.
    static let versions: [String: Set<String>] = [
        "/Namespace": ["v1"], "/ServiceAccount": ["v1"], "/Node": ["v1"], "/Pod": ["v1"], "/Service": ["v1"],
        "/ConfigMap": ["v1"], "discovery.k8s.io/EndpointSlice": ["v1", "v1beta1"],
        "networking.k8s.io/NetworkPolicy": ["v1"],
        "gateway.networking.k8s.io/Gateway": ["v1", "v1beta1"],
        "gateway.networking.k8s.io/HTTPRoute": ["v1", "v1beta1"],
        "networking.istio.io/VirtualService": ["v1", "v1beta1", "v1alpha3"],
        "networking.istio.io/ServiceEntry": ["v1", "v1beta1", "v1alpha3"],
        "networking.istio.io/WorkloadEntry": ["v1", "v1beta1", "v1alpha3"],
        "security.istio.io/AuthorizationPolicy": ["v1", "v1beta1"],
        "security.istio.io/PeerAuthentication": ["v1", "v1beta1"],
    ]

    /// Kinds of whole groups that a mesh has nothing to do with, and that therefore need no word.
    static func isForeign(_ kind: Kind) -> Bool {
        let silent: Set<String> = [
            "", "apps", "batch", "autoscaling", "policy", "rbac.authorization.k8s.io", "storage.k8s.io",
            "apiextensions.k8s.io", "coordination.k8s.io", "events.k8s.io", "scheduling.k8s.io", "node.k8s.io",
            "admissionregistration.k8s.io", "apiregistration.k8s.io", "certificates.k8s.io",
        ]
        return silent.contains(kind.group)
    }

    /// Kinds whose names say nothing of a namespace.
    static let clusterKinds: Set<String> = ["Namespace", "Node"]

    /// Decodes an object; nil for a ConfigMap that is not the mesh's.
    static func decode(_ kind: Kind, _ root: ManifestMapping) throws(ConfigurationError) -> KubernetesObject? {
        switch kind.kind {
        case "Namespace":
            .namespace(.init(metadata: try Kubernetes.Metadata(root, isNamespaced: false)))
        case "ServiceAccount":
            .serviceAccount(.init(metadata: try Kubernetes.Metadata(root, isNamespaced: true)))
        case "Node": .node(try .init(root))
        case "Pod": .pod(try .init(root))
        case "Service": .service(try .init(root))
        case "EndpointSlice": .endpointSlice(try .init(root))
        case "Gateway": .gateway(try .init(root))
        case "HTTPRoute": .httpRoute(try .init(root))
        case "VirtualService": .virtualService(try .init(root))
        case "ServiceEntry": .serviceEntry(try .init(root))
        case "WorkloadEntry": .workloadEntry(try .init(root))
        case "AuthorizationPolicy": .authorizationPolicy(try .init(root))
        case "PeerAuthentication": .peerAuthentication(try .init(root))
        case "NetworkPolicy":
            .networkPolicy(
                try NetworkPolicy(reading: root), try Kubernetes.Metadata(root, isNamespaced: true))
        case "ConfigMap": try meshConfig(root).map { .meshConfig($0) }
        default: nil
        }
    }

    /// The MeshConfig in the ConfigMap `istio` (or `istio-REVISION`), key `mesh`.
    private static func meshConfig(_ root: ManifestMapping) throws(ConfigurationError) -> Kubernetes.MeshConfig? {
        let metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        guard metadata.name == "istio", let text = try root.mapping("data")?["mesh"] else { return nil }
        let path = text.path
        let bytes = Array(try text.text().utf8)
        // Its own lines begin one below the key in the usual block form.
        let inner = ManifestPath(file: path.file, lineOffset: Int(text.node.line) + path.lineOffset)
        do throws(ConfigurationError) {
            guard let node = try YAMLDocument.parseAll(bytes, file: path.file).first else { return nil }
            return try Kubernetes.MeshConfig(try ManifestValue(node: node, path: inner).mapping())
        } catch {
            throw text.error("the mesh configuration is not usable: \(error.problem)", hint: error.hint)
        }
    }

    /// Nil for the mesh configuration.
    var metadata: Kubernetes.Metadata? {
        switch self {
        case .namespace(let object): object.metadata
        case .serviceAccount(let object): object.metadata
        case .node(let object): object.metadata
        case .pod(let object): object.metadata
        case .service(let object): object.metadata
        case .endpointSlice(let object): object.metadata
        case .gateway(let object): object.metadata
        case .httpRoute(let object): object.metadata
        case .virtualService(let object): object.metadata
        case .serviceEntry(let object): object.metadata
        case .workloadEntry(let object): object.metadata
        case .authorizationPolicy(let object): object.metadata
        case .peerAuthentication(let object): object.metadata
        case .networkPolicy(_, let metadata): metadata
        case .meshConfig: nil
        }
    }

    private var kind: String {
        switch self {
        case .namespace: "Namespace"
        case .serviceAccount: "ServiceAccount"
        case .node: "Node"
        case .pod: "Pod"
        case .service: "Service"
        case .endpointSlice: "EndpointSlice"
        case .gateway: "Gateway"
        case .httpRoute: "HTTPRoute"
        case .virtualService: "VirtualService"
        case .serviceEntry: "ServiceEntry"
        case .workloadEntry: "WorkloadEntry"
        case .authorizationPolicy: "AuthorizationPolicy"
        case .peerAuthentication: "PeerAuthentication"
        case .networkPolicy: "NetworkPolicy"
        case .meshConfig: "MeshConfig"
        }
    }

    var reference: ObjectReference {
        guard let metadata else { return ObjectReference(kind: kind, namespace: "", name: "istio") }
        return ObjectReference(kind: kind, namespace: metadata.namespace, name: metadata.name)
    }

    var place: ManifestPlace {
        if case .meshConfig(let config) = self { return config.place }
        return metadata?.place ?? ManifestPlace(file: "", line: 0)
    }
}
