internal import MeshModel

extension Kubernetes {
    /// What a mesh is told as a whole, from the ConfigMap `istio`.
    struct MeshConfig: Hashable, Sendable {
        var place: ManifestPlace
        var rootNamespace: String?
        var trustDomain: String?
        /// As written; nil where it is not said.
        var outboundMode: String?
        /// Keys that would matter to a node proxy and are not obeyed, as paths.
        var ignored: [String]
    }
}

extension Kubernetes.MeshConfig {
    /// MeshConfig's keys that a mesh at layer 4 would go by, and that nothing here obeys. The others concern Envoy's
    /// listeners and filters, istiod itself or ingress, and are passed over in silence.
    static let ignoredKeys: Set<String> = [
        "accessLogEncoding", "accessLogFile", "accessLogFormat", "caCertificates", "connectTimeout",
        "defaultServiceExportTo", "discoverySelectors", "dnsRefreshRate", "hboneIdleTimeout", "inboundTrafficPolicy",
        "localityLbSetting", "meshMTLS", "serviceSettings", "tcpKeepalive", "tlsDefaults", "trustDomainAliases",
    ]

    /// Reads the configuration's own keys.
    init(_ mapping: ManifestMapping) throws(ConfigurationError) {
        place = ManifestPlace(
            file: mapping.value.path.file, line: Int(mapping.value.node.line) + mapping.value.path.lineOffset)
        rootNamespace = try mapping["rootNamespace"]?.text()
        trustDomain = try mapping["trustDomain"]?.parsed("a trust domain") { SpiffeID.isTrustDomain($0) ? $0 : nil }
        let outbound = try mapping.mapping("outboundTrafficPolicy")
        outboundMode = try outbound?["mode"]?.scalarText()
        ignored = mapping.entries.filter { !$0.value.isNull && Self.ignoredKeys.contains($0.key) }.map(\.key)
        for entry in outbound?.entries ?? [] where !entry.isKey("mode") {
            ignored.append("outboundTrafficPolicy.\(entry.key)")
        }
    }
}
