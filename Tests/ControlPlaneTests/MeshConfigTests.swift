import MeshModel
import Testing

@testable import ControlPlane

/// The ConfigMap `istio`: what is obeyed, what is told, and what a bad one does.
@Suite struct MeshConfigTests {
    private func config(_ mesh: String, namespace: String = "istio-system", name: String = "istio") -> String {
        let lines = mesh.split(separator: "\n", omittingEmptySubsequences: false).map { "    \($0)" }
        return
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \(name), namespace: \(namespace)}\ndata:\n  mesh: |-\n"
            + lines.joined(separator: "\n") + "\n---\n"
    }

    @Test(
        arguments: [
            ("", OutboundTrafficPolicy.allowAny, nil),
            ("outboundTrafficPolicy: {}", .allowAny, nil),
            ("outboundTrafficPolicy: {mode: ALLOW_ANY}", .allowAny, nil),
            ("outboundTrafficPolicy: {mode: REGISTRY_ONLY}", .registryOnly, nil),
            ("outboundTrafficPolicy:\n  mode: \"REGISTRY_ONLY\"", .registryOnly, nil),
            ("outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}", .allowAny, "means ALLOW_ANY here"),
            ("outboundTrafficPolicy: {mode: REGISTRY_ONYL}", .registryOnly, "is not known: REGISTRY_ONLY is in force"),
            ("outboundTrafficPolicy: {mode: 1}", .registryOnly, "'1' is not known"),
            ("outboundTrafficPolicy: {mode: REGISTRY_ONLY, egressProxy: {host: x}}", .registryOnly, "egressProxy"),
        ] as [(String, OutboundTrafficPolicy, String?)])
    func outboundTrafficPolicy(_ item: (text: String, policy: OutboundTrafficPolicy, told: String?)) {
        let mesh = compiled(config("rootNamespace: istio-system\n\(item.text)"))
        #expect(mesh.settings.outboundTrafficPolicy == item.policy, "\(item.text)")
        let told = mesh.diagnostics.map(\.description)
        if let expected = item.told {
            #expect(told.count == 1 && told[0].contains(expected) && told[0].contains("m.yaml:"), "\(told)")
        } else {
            #expect(told.isEmpty, "\(told)")
        }
    }

    /// What istiod writes by default needs no word; keys that a node proxy would go by do.
    @Test func keysThatAreNotObeyedAreTold() {
        let standard = """
            defaultConfig: {discoveryAddress: "istiod.istio-system.svc:15012"}
            defaultProviders: {metrics: [prometheus]}
            enablePrometheusMerge: true
            extensionProviders: [{name: otel, opentelemetry: {port: 4317, service: x}}]
            rootNamespace: istio-system
            trustDomain: cluster.local
            """
        #expect(compiled(config(standard)).diagnostics.isEmpty)
        let told = compiled(config("trustDomainAliases: [old]\nconnectTimeout: 5s\ntcpKeepalive: null")).told(.ignored)
        #expect(told.count == 1 && told[0].contains("not obeyed: connectTimeout, trustDomainAliases"), "\(told)")
    }

    @Test func otherConfigMapsAreNobodysBusiness() {
        let mesh = compiled(config("outboundTrafficPolicy: {mode: REGISTRY_ONLY}", name: "other"))
        #expect(mesh.settings == MeshSettings() && mesh.diagnostics.isEmpty)
        let empty = compiled("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: n}\n")
        #expect(empty.settings == MeshSettings() && empty.diagnostics.isEmpty)
    }

    @Test(arguments: [
        "outboundTrafficPolicy: [REGISTRY_ONLY]", "outboundTrafficPolicy: {mode: {}}", "trustDomain: \"UPPER CASE\"",
        "[]", "a: b: c",
    ]) func aConfigurationThatCannotBeReadIsRefusedWithItsPlace(_ text: String) {
        let mesh = compiled(config(text))
        let told = mesh.told(.invalid)
        #expect(told.count == 1 && told[0].contains("m.yaml:") && told[0].contains("error"), "\(told)")
        #expect(mesh.settings == MeshSettings())
    }

    @Test func namespacesSayWhatBecomesOfOpenConnections() {
        func namespace(_ name: String, _ value: String, labels: Bool = false) -> String {
            let where_ = labels ? "labels" : "annotations"
            return
                "apiVersion: v1\nkind: Namespace\nmetadata: {name: \(name), \(where_): {ztun.io/policy-edits: \(value)}}\n---\n"
        }
        let mesh = compiled(
            namespace("a", "keep") + namespace("b", "cut", labels: true) + namespace("c", "never"))
        #expect(mesh.settings.policyEditsByNamespace == ["a": .keep, "b": .cut])
        #expect(mesh.told(.invalid).contains { $0.contains("Namespace c: ztun.io/policy-edits 'never' is not known") })
    }
}
