internal import MeshModel

extension Kubernetes {
    /// `gateway.networking.k8s.io` Gateway; only those that can be waypoints matter.
    struct Gateway: Hashable, Sendable {
        var metadata: Metadata
        var className: String
        /// Host names and addresses of its status.
        var hostnames: [String]
        var addresses: [IPAddress]
        /// `Same`, `All` or `Selector` of its HBONE listener; `Same` where it is not said.
        var allowedNamespaces: String
        var allowedSelector: LabelSelector?
        /// Whether a listener speaks HBONE.
        var speaksHBONE: Bool
    }

    /// `networking.istio.io` ServiceEntry.
    struct ServiceEntry: Hashable, Sendable {
        struct Port: Hashable, Sendable {
            var name: String
            var port: UInt16
            var target: UInt16
        }
        var metadata: Metadata
        var hosts: [String]
        var addresses: [IPPrefix]
        var ports: [Port]
        /// `NONE`, `STATIC`, `DNS` or `DNS_ROUND_ROBIN`.
        var resolution: String
        var endpoints: [WorkloadEntry]
        var selector: LabelSelector?
        /// Whether only its own namespace sees it.
        var isPrivate: Bool
        var subjectAltNames: [String]
    }

    /// `networking.istio.io` WorkloadEntry, also inside a ServiceEntry.
    struct WorkloadEntry: Hashable, Sendable {
        var metadata: Metadata
        var address: String
        var ports: [String: UInt16]
        var network: String
        /// `region/zone/subzone`.
        var locality: String
        var weight: UInt32
        var serviceAccount: String
    }
}

extension Kubernetes.Gateway {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        let spec = try root.required("spec").mapping()
        className = try spec.text("gatewayClassName")
        (allowedNamespaces, allowedSelector, speaksHBONE) = ("Same", nil, false)
        for item in try spec.items("listeners") {
            let listener = try item.mapping()
            guard try listener.text("protocol") == "HBONE" else { continue }
            speaksHBONE = true
            guard let from = try listener.mapping("allowedRoutes")?.mapping("namespaces") else { continue }
            let named = try from.text("from")
            if !named.isEmpty { allowedNamespaces = named }
            allowedSelector = try from.labelSelector("selector")
        }
        (hostnames, addresses) = ([], [])
        for item in try root.mapping("status")?.items("addresses") ?? [] {
            let entry = try item.mapping()
            let value = try entry.text("value")
            if try entry.text("type") == "Hostname" {
                hostnames.append(value)
            } else if let address = IPAddress(value) {
                addresses.append(address)
            }
        }
    }
}

extension ManifestMapping {
    /// A `metav1.LabelSelector`; nil where there is none.
    func labelSelector(_ key: String) throws(ConfigurationError) -> LabelSelector? {
        guard let selector = try mapping(key) else { return nil }
        try selector.onlyKnown(["matchLabels", "matchExpressions"])
        var expressions: [LabelSelector.Requirement] = []
        for item in try selector.items("matchExpressions") {
            let entry = try item.mapping()
            try entry.onlyKnown(["key", "operator", "values"])
            let condition: LabelSelector.Requirement.Operator = try entry.required("operator").oneOf()
            let values = try entry.texts("values")
            let needsValues = condition == .isIn || condition == .notIn
            guard needsValues != values.isEmpty else {
                throw entry.error("\(condition.rawValue) takes \(needsValues ? "values" : "no values")")
            }
            expressions.append(.init(key: try entry.requiredText("key"), condition: condition, values: values))
        }
        return LabelSelector(labels: try selector.textMap("matchLabels"), expressions: expressions)
    }
}

extension Kubernetes.ServiceEntry {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        let spec = try root.required("spec").mapping()
        hosts = try spec.texts("hosts")
        if hosts.isEmpty { throw spec.error("the field 'hosts' is missing or empty") }
        addresses = []
        for item in try spec.items("addresses") {
            addresses.append(try item.parsed("an address or a CIDR range") { IPPrefix($0) })
        }
        if addresses.isEmpty {
            for item in try root.mapping("status")?.items("addresses") ?? [] {
                guard let address = IPPrefix(try item.mapping().text("value")) else { continue }
                addresses.append(address)
            }
        }
        ports = []
        for item in try spec.items("ports") {
            let entry = try item.mapping()
            guard try entry.text("protocol") != "UDP" else { continue }
            let number = try entry.required("number").port()
            ports.append(
                Port(
                    name: try entry.text("name"), port: number, target: try entry["targetPort"]?.port() ?? number))
        }
        resolution = try spec.text("resolution")
        if resolution.isEmpty { resolution = "NONE" }
        endpoints = []
        for item in try spec.items("endpoints") {
            endpoints.append(try .init(endpoint: try item.mapping(), of: metadata))
        }
        selector = try spec.mapping("workloadSelector").map { mapping throws(ConfigurationError) in
            LabelSelector(labels: try mapping.textMap("labels"))
        }
        let exports = try spec.texts("exportTo")
        let namespace = metadata.namespace
        isPrivate = !exports.isEmpty && exports.allSatisfy { $0 == "." || $0 == namespace }
        subjectAltNames = try spec.texts("subjectAltNames").filter { SpiffeID($0) != nil }
    }
}

extension Kubernetes.WorkloadEntry {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        try self.init(
            spec: try root.required("spec").mapping(), metadata: try Kubernetes.Metadata(root, isNamespaced: true))
    }

    /// An endpoint written inside a ServiceEntry, which lends it its name.
    init(endpoint mapping: ManifestMapping, of owner: Kubernetes.Metadata) throws(ConfigurationError) {
        try self.init(spec: mapping, metadata: owner)
    }

    private init(spec: ManifestMapping, metadata: Kubernetes.Metadata) throws(ConfigurationError) {
        self.metadata = metadata
        let own = try spec.textMap("labels")
        if !own.isEmpty { self.metadata.labels = LabelSet(own) }
        address = try spec.text("address")
        ports = [:]
        for entry in try spec.mapping("ports")?.entries ?? [] {
            let value = ManifestValue(node: entry.value, path: spec.value.path.child("ports").child(entry.key.pathStep))
            ports[entry.key] = try value.port()
        }
        network = try spec.text("network")
        locality = try spec.text("locality")
        weight = UInt32(try spec["weight"]?.integer(0...Int(UInt32.max)) ?? 1)
        if weight == 0 { weight = 1 }
        serviceAccount = try spec.text("serviceAccount")
    }
}
