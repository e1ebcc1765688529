internal import MeshModel

extension MeshCompiler {
    /// Says per namespace what becomes of open connections that a policy edit no longer allows.
    static let policyEditsKey = "ztun.io/policy-edits"

    /// What the mesh is told as a whole: MeshConfig, and what namespaces say of themselves.
    mutating func compileSettings() -> MeshSettings {
        var settings = MeshSettings()
        if let config = objects.meshConfig {
            settings.outboundTrafficPolicy = outboundTrafficPolicy(config)
            if !config.ignored.isEmpty {
                tell(
                    .warning, .ignored, config,
                    "not obeyed: \(config.ignored.sorted().joined(separator: ", ")) (docs/kubernetes.md, MeshConfig)")
            }
        }
        for name in objects.namespaces.keys.sorted() {
            guard let metadata = objects.namespaces[name]?.metadata,
                let text = metadata.annotations[Self.policyEditsKey] ?? metadata.labels[Self.policyEditsKey]
            else { continue }
            guard let edits = PolicyEdits(rawValue: text) else {
                tell(
                    .error, .invalid, "Namespace", metadata,
                    "\(Self.policyEditsKey) \(text.quoted) is not known and not obeyed; cut and keep are known")
                continue
            }
            settings.policyEditsByNamespace[name] = edits
        }
        return settings
    }

    /// A word that is not known is taken for the stricter one.
    private mutating func outboundTrafficPolicy(_ config: Kubernetes.MeshConfig) -> OutboundTrafficPolicy {
        guard let text = config.outboundMode else { return .allowAny }
        if let policy = OutboundTrafficPolicy(rawValue: text) { return policy }
        if text == "ALLOW_ANY_DYNAMIC_DNS" {
            tell(.warning, .unsupported, config, "outboundTrafficPolicy.mode \(text.quoted) means ALLOW_ANY here")
            return .allowAny
        }
        tell(
            .error, .invalid, config,
            "outboundTrafficPolicy.mode \(text.quoted) is not known: REGISTRY_ONLY is in force; ALLOW_ANY and REGISTRY_ONLY "
                + "are known")
        return .registryOnly
    }

    private mutating func tell(
        _ severity: ManifestDiagnostic.Severity, _ code: ManifestDiagnostic.Code, _ config: Kubernetes.MeshConfig,
        _ text: String
    ) {
        let reference = ObjectReference(kind: "MeshConfig", namespace: "", name: "istio")
        diagnostics.append(ManifestDiagnostic(severity, code, reference, at: config.place, text))
    }
}
