internal import MeshModel

extension Kubernetes {
    /// `security.istio.io` AuthorizationPolicy as written, before it means anything.
    struct AuthorizationPolicy: Hashable, Sendable {
        enum Action: String, Hashable, Sendable, CaseIterable {
            case allow = "ALLOW", deny = "DENY", audit = "AUDIT", custom = "CUSTOM"
        }
        /// One `source`; a list that is not written is empty.
        struct Source: Hashable, Sendable {
            var principals: [String] = []
            var notPrincipals: [String] = []
            var namespaces: [String] = []
            var notNamespaces: [String] = []
            var serviceAccounts: [String] = []
            var notServiceAccounts: [String] = []
            var ipBlocks: [String] = []
            var notIPBlocks: [String] = []
            var trustDomains: [String] = []
            var notTrustDomains: [String] = []
            /// Fields that only a waypoint can check.
            var requestFields: [String] = []
        }
        /// One `operation`.
        struct Operation: Hashable, Sendable {
            var ports: [String] = []
            var notPorts: [String] = []
            /// Fields that only a waypoint can check.
            var requestFields: [String] = []
        }
        struct Condition: Hashable, Sendable {
            var key: String
            var values: [String] = []
            var notValues: [String] = []
        }
        struct Rule: Hashable, Sendable {
            var from: [Source] = []
            var to: [Operation] = []
            var when: [Condition] = []
        }
        var metadata: Metadata
        var action: Action
        /// Nil without a selector.
        var selector: LabelSelector?
        /// What it is attached to instead of pods: `Service default/web`; such a policy is the waypoint's.
        var targets: [String]
        var rules: [Rule]
    }

    /// `security.istio.io` PeerAuthentication.
    struct PeerAuthentication: Hashable, Sendable {
        enum Mode: String, Hashable, Sendable, CaseIterable {
            case unset = "UNSET", disable = "DISABLE", permissive = "PERMISSIVE", strict = "STRICT"

            /// Whether plaintext is let in where this is in force.
            var admitsPlaintext: Bool { self == .permissive || self == .disable }
        }
        var metadata: Metadata
        /// Nil without a selector, and with one that names no label.
        var selector: LabelSelector?
        var mode: Mode
        var ports: [UInt16: Mode]
    }
}

extension ManifestMapping {
    /// A selector that has `matchLabels` only, as Istio's have.
    func labelsSelector(_ key: String) throws(ConfigurationError) -> LabelSelector? {
        guard let selector = try mapping(key) else { return nil }
        try selector.onlyKnown(["matchLabels"])
        return LabelSelector(labels: try selector.textMap("matchLabels"))
    }
}

extension Kubernetes.AuthorizationPolicy {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        action = .allow
        selector = nil
        targets = []
        rules = []
        guard let spec = try root.mapping("spec") else { return }
        try spec.onlyKnown(["action", "selector", "targetRef", "targetRefs", "rules", "provider"])
        action = try spec["action"]?.oneOf() ?? .allow
        selector = try spec.labelsSelector("selector")
        var references = try spec.items("targetRefs")
        if references.isEmpty, let single = spec["targetRef"] { references = [single] }
        for item in references {
            let reference = try item.mapping()
            let namespace = try reference.text("namespace")
            targets.append(
                "\(try reference.requiredText("kind")) "
                    + "\(namespace.isEmpty ? metadata.namespace : namespace)/\(try reference.requiredText("name"))")
        }
        for item in try spec.items("rules") { rules.append(try Rule(try item.mappingOrNothing())) }
    }
}

extension ManifestValue {
    /// A mapping, or nothing at all (`-`), which is an empty one.
    func mappingOrNothing() throws(ConfigurationError) -> ManifestMapping {
        node.isNull ? ManifestMapping(entries: [], value: self) : try mapping()
    }
}

extension Kubernetes.AuthorizationPolicy.Rule {
    init(_ mapping: ManifestMapping) throws(ConfigurationError) {
        try mapping.onlyKnown(["from", "to", "when"])
        for item in try mapping.items("from") {
            let entry = try item.mapping()
            try entry.onlyKnown(["source"])
            from.append(try .init(try entry.required("source").mapping()))
        }
        for item in try mapping.items("to") {
            let entry = try item.mapping()
            try entry.onlyKnown(["operation"])
            to.append(try .init(try entry.required("operation").mapping()))
        }
        for item in try mapping.items("when") {
            let entry = try item.mapping()
            try entry.onlyKnown(["key", "values", "notValues"])
            when.append(
                .init(
                    key: try entry.requiredText("key"), values: try entry.texts("values"),
                    notValues: try entry.texts("notValues")))
        }
    }
}

extension Kubernetes.AuthorizationPolicy.Source {
    private static let requestKeys = [
        "requestPrincipals", "notRequestPrincipals", "remoteIpBlocks", "notRemoteIpBlocks",
    ]

    init(_ mapping: ManifestMapping) throws(ConfigurationError) {
        try mapping.onlyKnown(
            [
                "principals", "notPrincipals", "namespaces", "notNamespaces", "serviceAccounts", "notServiceAccounts",
                "ipBlocks", "notIpBlocks", "trustDomains", "notTrustDomains",
            ] + Self.requestKeys)
        principals = try mapping.texts("principals")
        notPrincipals = try mapping.texts("notPrincipals")
        namespaces = try mapping.texts("namespaces")
        notNamespaces = try mapping.texts("notNamespaces")
        serviceAccounts = try mapping.texts("serviceAccounts")
        notServiceAccounts = try mapping.texts("notServiceAccounts")
        ipBlocks = try mapping.texts("ipBlocks")
        notIPBlocks = try mapping.texts("notIpBlocks")
        trustDomains = try mapping.texts("trustDomains")
        notTrustDomains = try mapping.texts("notTrustDomains")
        for key in Self.requestKeys {
            if try !mapping.texts(key).isEmpty { requestFields.append(key) }
        }
    }
}

extension Kubernetes.AuthorizationPolicy.Operation {
    private static let requestKeys = ["hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"]

    init(_ mapping: ManifestMapping) throws(ConfigurationError) {
        try mapping.onlyKnown(["ports", "notPorts"] + Self.requestKeys)
        ports = try mapping.texts("ports")
        notPorts = try mapping.texts("notPorts")
        for key in Self.requestKeys {
            if try !mapping.texts(key).isEmpty { requestFields.append(key) }
        }
    }
}

extension Kubernetes.PeerAuthentication {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        selector = nil
        mode = .unset
        ports = [:]
        guard let spec = try root.mapping("spec") else { return }
        try spec.onlyKnown(["selector", "mtls", "portLevelMtls"])
        selector = try spec.labelsSelector("selector")
        // A selector without labels counts as none, at both places where it matters.
        if selector?.isEmpty == true { selector = nil }
        mode = try Self.mode(try spec.mapping("mtls"))
        for entry in try spec.mapping("portLevelMtls")?.entries ?? [] {
            let value = ManifestValue(
                node: entry.value, path: spec.value.path.child("portLevelMtls").child(entry.key.pathStep))
            guard let port = UInt16(entry.key), port > 0 else {
                throw value.error("\(entry.key.quoted) is not a port from 1 to 65535")
            }
            ports[port] = try Self.mode(try value.mappingOrNothing())
        }
    }

    private static func mode(_ mapping: ManifestMapping?) throws(ConfigurationError) -> Mode {
        guard let mapping else { return .unset }
        try mapping.onlyKnown(["mode"])
        return try mapping["mode"]?.oneOf() ?? .unset
    }
}
