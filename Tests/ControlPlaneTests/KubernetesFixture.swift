import MeshModel

@testable import ControlPlane

/// The mesh that a text of manifests amounts to.
func compiled(_ text: String, _ change: (inout KubernetesSettings) -> Void = { _ in }) -> CompiledMesh {
    var settings = KubernetesSettings()
    change(&settings)
    var labels: Set<LabelSet> = []
    let file = ManifestFile(Array(text.utf8), file: "m.yaml", labels: &labels)
    var compiler = MeshCompiler(ObjectSet(file.objects), settings)
    var mesh = compiler.compile()
    mesh.diagnostics = (mesh.diagnostics + file.diagnostics).sorted()
    return mesh
}

extension CompiledMesh {
    func workload(_ name: String) -> Workload? { workloads.first { $0.fields.name == name } }

    func policy(_ key: String) -> AuthorizationPolicy? { policies.first { $0.key == key } }

    /// The diagnostics as text, those of one code.
    func told(_ code: ManifestDiagnostic.Code) -> [String] { diagnostics.filter { $0.code == code }.map(\.description) }
}

/// A policy in the notation of the conversion tables: `NAMESPACE ALLOW name@ns; G1 = [{…}] & [… or …]`.
func notation(_ policy: AuthorizationPolicy) -> String {
    let scope =
        switch policy.scope {
        case .global: "GLOBAL"
        case .namespace: "NAMESPACE"
        case .workloadSelector: "WORKLOAD_SELECTOR"
        }
    let head =
        "\(scope) \(policy.action == .allow ? "ALLOW" : "DENY") \(policy.name)@\(policy.namespace)"
        + (policy.dryRun ? " dryRun" : "")
    guard !policy.rules.isEmpty else { return "\(head); no groups" }
    let groups = policy.rules.enumerated().map { index, rule in
        let clauses = rule.map { "[\($0.map(notation).joined(separator: " or "))]" }
        return "G\(index + 1) = \(clauses.isEmpty ? "always" : clauses.joined(separator: " & "))"
    }
    return "\(head); \(groups.joined(separator: "; "))"
}

private func notation(_ match: AuthorizationPolicy.Match) -> String {
    var fields: [String] = []
    func add(_ name: String, _ values: [String]) {
        if !values.isEmpty { fields.append("\(name): \(values.joined(separator: ", "))") }
    }
    func text(_ match: StringMatch) -> String {
        switch match {
        case .exact(let text): "=\(text)"
        case .prefix(let text): "\(text)~"
        case .suffix(let text): "~\(text)"
        case .presence: "ANY"
        }
    }
    add("namespaces", match.namespaces.map(text))
    add("notNamespaces", match.notNamespaces.map(text))
    add("serviceAccounts", match.serviceAccounts.map { "\($0.namespace)/\($0.serviceAccount)" })
    add("notServiceAccounts", match.notServiceAccounts.map { "\($0.namespace)/\($0.serviceAccount)" })
    add("principals", match.principals.map(text))
    add("notPrincipals", match.notPrincipals.map(text))
    add("sourceIps", match.sourceIPs.map(\.description))
    add("notSourceIps", match.notSourceIPs.map(\.description))
    add("destinationIps", match.destinationIPs.map(\.description))
    add("notDestinationIps", match.notDestinationIPs.map(\.description))
    add("destinationPorts", match.destinationPorts.map(\.description))
    add("notDestinationPorts", match.notDestinationPorts.map(\.description))
    return "{\(fields.joined(separator: "; "))}"
}
