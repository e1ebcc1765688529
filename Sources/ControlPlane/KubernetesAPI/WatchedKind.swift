/// A kind of objects that is listed and watched.
package struct WatchedKind: Hashable, Sendable {
    package let group: String
    /// API versions that are read, best first.
    package let versions: [String]
    package let kind: String
    /// As in the path: lower case, plural.
    package let plural: String
    /// Only in this namespace; nil for all.
    package var namespace: String?
    /// Only the object of this name; nil for all.
    package var name: String?
    /// Whether a cluster may do without the kind: its absence is no fault.
    package let isOptional: Bool

    init(_ group: String, _ versions: [String], _ kind: String, _ plural: String, isOptional: Bool = false) {
        (self.group, self.versions, self.kind) = (group, versions, kind)
        (self.plural, self.isOptional) = (plural, isOptional)
    }

    /// All kinds that a mesh is made from: a node proxy reads routes too, for `ztun why`.
    package static func all(rootNamespace: String) -> [WatchedKind] {
        var config = WatchedKind("", ["v1"], "ConfigMap", "configmaps")
        (config.namespace, config.name) = (rootNamespace, "istio")
        return [
            WatchedKind("", ["v1"], "Namespace", "namespaces"), WatchedKind("", ["v1"], "Node", "nodes"),
            WatchedKind("", ["v1"], "Pod", "pods"), WatchedKind("", ["v1"], "Service", "services"), config,
            WatchedKind("discovery.k8s.io", ["v1"], "EndpointSlice", "endpointslices"),
            WatchedKind("networking.k8s.io", ["v1"], "NetworkPolicy", "networkpolicies"),
            WatchedKind("gateway.networking.k8s.io", ["v1", "v1beta1"], "Gateway", "gateways", isOptional: true),
            WatchedKind("gateway.networking.k8s.io", ["v1", "v1beta1"], "HTTPRoute", "httproutes", isOptional: true),
            WatchedKind(
                "networking.istio.io", ["v1", "v1beta1"], "VirtualService", "virtualservices", isOptional: true),
            WatchedKind("networking.istio.io", ["v1", "v1beta1"], "ServiceEntry", "serviceentries", isOptional: true),
            WatchedKind(
                "networking.istio.io", ["v1", "v1beta1"], "WorkloadEntry", "workloadentries", isOptional: true),
            WatchedKind(
                "security.istio.io", ["v1", "v1beta1"], "AuthorizationPolicy", "authorizationpolicies", isOptional: true
            ),
            WatchedKind(
                "security.istio.io", ["v1", "v1beta1"], "PeerAuthentication", "peerauthentications", isOptional: true),
        ]
    }

    /// `group/version`, or the version alone for the core group.
    func apiVersion(_ index: Int) -> String { group.isEmpty ? versions[index] : "\(group)/\(versions[index])" }

    /// The path of the collection, with a `?` and what selects its objects.
    func target(_ index: Int) -> String {
        var path = group.isEmpty ? "/api/\(versions[index])" : "/apis/\(group)/\(versions[index])"
        if let namespace { path += "/namespaces/\(namespace)" }
        path += "/\(plural)?"
        if let name { path += "fieldSelector=metadata.name%3D\(name)&" }
        return path
    }

    /// Parts of these objects that nobody looks at.
    var unread: Set<String> {
        var unread: Set<String> = ["managedFields"]
        if kind == "Pod" {
            unread.formUnion([
                "env", "envFrom", "volumeMounts", "volumes", "resources", "command", "args", "tolerations", "affinity",
                "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "containerStatuses",
                "initContainerStatuses", "securityContext", "imagePullSecrets",
            ])
        }
        if kind == "Node" { unread.formUnion(["images", "conditions", "nodeInfo", "volumesInUse", "volumesAttached"]) }
        return unread
    }
}
