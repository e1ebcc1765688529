internal import MeshModel

/// The Kubernetes objects a mesh is made from, each with only the fields that are used.
enum Kubernetes {
    /// What every object carries.
    struct Metadata: Hashable, Sendable {
        var name: String
        /// Empty for objects of the cluster.
        var namespace: String
        var labels: LabelSet
        /// Only those of Istio and ztun.
        var annotations: [String: String]
        /// RFC 3339 in UTC, so that comparing texts compares times; empty where it is not said.
        var created: String
        var isDeleting: Bool
        var place: ManifestPlace

        /// Whether an annotation is kept in memory.
        static func isKept(annotation: String) -> Bool {
            annotation.contains("istio.io/") || annotation.hasPrefix("ztun.io/")
        }
    }

    struct Namespace: Hashable, Sendable {
        var metadata: Metadata
    }

    struct ServiceAccount: Hashable, Sendable {
        var metadata: Metadata
    }

    /// Where pods may be.
    struct Node: Hashable, Sendable {
        var metadata: Metadata
        var addresses: [IPAddress]
    }

    struct Pod: Hashable, Sendable {
        var metadata: Metadata
        var serviceAccount: String
        var node: String
        var isHostNetwork: Bool
        var addresses: [IPAddress]
        /// `Running` and the like; empty where it is not said.
        var phase: String
        /// Nil where no condition says it.
        var isReady: Bool?
        /// Named TCP ports of its containers.
        var ports: [String: UInt16]
        /// The name of the Deployment, StatefulSet or Job it belongs to; its own without one.
        var workloadName: String

        /// True for a pod that will not run again.
        var isOver: Bool { phase == "Succeeded" || phase == "Failed" }
    }

    /// A port number or the name of one.
    enum PortReference: Hashable, Sendable {
        case number(UInt16)
        case named(String)
    }

    struct Service: Hashable, Sendable {
        struct Port: Hashable, Sendable {
            var name: String
            var port: UInt16
            var target: PortReference
        }
        var metadata: Metadata
        /// Cluster addresses, without `None`.
        var addresses: [IPAddress]
        var isExternalName: Bool
        var families: MeshModel.Service.IPFamilies?
        /// TCP ports.
        var ports: [Port]
        var selector: LabelSet?
        var trafficDistribution: String
        var isInternalLocal: Bool
        var publishesNotReady: Bool
    }

    struct EndpointSlice: Hashable, Sendable {
        struct Endpoint: Hashable, Sendable {
            var addresses: [IPAddress]
            /// As the slice says; nil means ready.
            var isReady: Bool?
            /// The pod it is; nil for anything else.
            var pod: String?
            var node: String
            var zone: String
        }
        struct Port: Hashable, Sendable {
            var name: String
            /// Nil for all ports.
            var port: UInt16?
        }
        var metadata: Metadata
        /// The Service of its label `kubernetes.io/service-name`; empty without one.
        var service: String
        var endpoints: [Endpoint]
        var ports: [Port]
    }
}
