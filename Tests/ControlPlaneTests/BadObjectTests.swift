import FoundationEssentials
import MeshModel
import Testing

@testable import ControlPlane

/// What a bad edit of each kind of object does: it is told with its place, the last good version of the object stays, and
/// everything else in the folder is taken.
@Suite struct BadObjectTests {
    /// A folder of manifests as the daemons read it.
    private final class Bench {
        let folder: String
        private var store = ManifestStore()
        private var now: Int64 = 1_000_000_000_000_000

        init() throws { folder = try Fixture.folder() }

        deinit { Fixture.remove(folder) }

        func write(_ name: String, _ text: String) throws {
            try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"), options: .atomic)
        }

        func remove(_ name: String) { Fixture.remove("\(folder)/\(name)") }

        func load() -> CompiledMesh {
            for _ in 0..<3 {
                now += 1_000_000_000
                if store.look(at: ManifestTree(path: folder), now: now) == .read {
                    return store.load(KubernetesSettings())
                }
            }
            Issue.record("the folder is not read")
            return CompiledMesh()
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// The kind and name that messages use.
        var object: String
        var good: String
        /// What is wrong with each, and what is told.
        var bad: [(edit: (from: String, to: String), told: String)]
        /// What shows that the good version is in force.
        var isInForce: @Sendable (CompiledMesh) -> Bool
    }

    static let cases: [Case] = [
        Case(
            testDescription: "VirtualService", object: "VirtualService n/vs",
            good: """
                apiVersion: networking.istio.io/v1
                kind: VirtualService
                metadata: {name: vs, namespace: n}
                spec: {hosts: [s], http: [{match: [{uri: {exact: /x}}], route: [{destination: {host: s}}]}]}
                """,
            bad: [
                (("hosts: [s]", "hosts: s"), "spec.hosts: expected a list"),
                (("match: [", "matches: ["), "spec.http[0]: unknown field 'matches'"),
                (("{exact: /x}", "{exact: 7}"), "spec.http[0].match[0].uri.exact: expected a text"),
                (("host: s}", "host: s, port: {number: 70000}}"), "expected a whole number from 1 to 65535"),
                (("istio.io/v1\n", "istio.io/v7\n"), "the version 'v7' is not known"),
            ], isInForce: { $0.routes.first?.rules.first?.matches.first?.path == .exact("/x") }),
        Case(
            testDescription: "HTTPRoute", object: "HTTPRoute n/r",
            good: """
                apiVersion: gateway.networking.k8s.io/v1
                kind: HTTPRoute
                metadata: {name: r, namespace: n}
                spec: {parentRefs: [{kind: Service, name: s}], rules: [{matches: [{path: {type: Exact, value: /x}}]}]}
                """,
            bad: [
                (("rules: [{matches", "rules: [{match"), "unknown field 'match'; did you mean 'matches'?"),
                (("value: /x", "value: [x]"), "path.value: expected a text"),
                (("{kind: Service, name: s}", "{kind: Service}"), "spec.parentRefs[0]: the field 'name' is missing"),
                (("rules: [{", "rules: [{backendRefs: [{name: s}], "), "the field 'port' is missing"),
            ], isInForce: { $0.routes.first?.rules.first?.matches.first?.path == .exact("/x") }),
        Case(
            testDescription: "ConfigMap istio", object: "MeshConfig istio",
            good: """
                apiVersion: v1
                kind: ConfigMap
                metadata: {name: istio, namespace: istio-system}
                data: {mesh: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
                """,
            bad: [
                (("{mode: REGISTRY_ONLY}", "REGISTRY_ONLY"), "not usable: expected a mapping"),
                (("{mode: REGISTRY_ONLY}", "{mode: {}}"), "expected a text"),
                (("\"outbound", "\"trustDomain: Ü, outbound"), "the mesh configuration is not usable"),
                (("data: {mesh: ", "data: {mesh: {}, x: "), "data.mesh: expected a text"),
            ], isInForce: { $0.settings.outboundTrafficPolicy == .registryOnly }),
        Case(
            testDescription: "Service with a canary", object: "Service n/s2",
            good: """
                apiVersion: v1
                kind: Service
                metadata: {name: s2, namespace: n, labels: {istio.io/use-waypoint: wp}, annotations: {ztun.io/use-waypoint-canary: wp2=5}}
                spec: {clusterIP: 10.1.0.2, ports: [{port: 80}]}
                ---
                apiVersion: gateway.networking.k8s.io/v1
                kind: Gateway
                metadata: {name: wp, namespace: n}
                status: {addresses: [{value: 10.0.0.8}]}
                spec: {listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
                ---
                apiVersion: gateway.networking.k8s.io/v1
                kind: Gateway
                metadata: {name: wp2, namespace: n}
                status: {addresses: [{value: 10.0.0.9}]}
                spec: {listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
                """,
            bad: [
                (("wp2=5}", "[wp2]}"), "expected a text"), (("port: 80}", "port: http}"), "spec.ports[0].port"),
            ], isInForce: { $0.services.contains { $0.fields.weightedWaypoints.map(\.weight) == [95, 5] } }),
        Case(
            testDescription: "Namespace that keeps connections", object: "Namespace n",
            good: "apiVersion: v1\nkind: Namespace\nmetadata: {name: n, annotations: {ztun.io/policy-edits: keep}}",
            bad: [
                (("policy-edits: keep", "policy-edits: 7"), "expected a text"),
                (("annotations: {", "annotations: [{"), ""),
            ], isInForce: { $0.settings.policyEdits(ofNamespace: "n") == .keep }),
    ]

    private static let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: {clusterIP: 10.1.0.1, ports: [{port: 80}]}\n"

    private func other(_ number: Int) -> String {
        "apiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: n}\nspec: {clusterIP: 10.9.0.\(number), ports: [{port: 80}]}\n"
    }

    @Test(arguments: cases) func aBadEditKeepsTheLastGoodVersion(_ item: Case) throws {
        let bench = try Bench()
        try bench.write("a-service.yaml", Self.service)
        try bench.write("object.yaml", item.good)
        try bench.write("other.yaml", other(1))
        var mesh = bench.load()
        #expect(item.isInForce(mesh) && mesh.diagnostics.isEmpty, "\(mesh.diagnostics)")
        for (number, bad) in item.bad.enumerated() {
            #expect(item.good.contains(bad.edit.from))
            try bench.write("object.yaml", item.good.replacingFirst(bad.edit.from, with: bad.edit.to))
            try bench.write("other.yaml", other(number + 2))
            mesh = bench.load()
            let told = mesh.diagnostics.filter { $0.severity == .error }.map(\.description)
            #expect(item.isInForce(mesh), "after \(bad.edit.to)")
            #expect(told.contains { $0.contains(bad.told) && $0.contains("object.yaml:") }, "\(bad.edit.to): \(told)")
            let fields = mesh.services.first { $0.fields.name == "other" }?.fields
            #expect(fields?.vips.first?.ip == IPAddress("10.9.0.\(number + 2)"), "the others are taken")
        }
        // The same text twice: the first is in force, the second is told.
        try bench.write("object.yaml", item.good)
        try bench.write("z-copy.yaml", String(item.good.split(separator: "---")[0]))
        mesh = bench.load()
        #expect(item.isInForce(mesh))
        #expect(
            mesh.told(.duplicate).contains { $0.contains("z-copy.yaml:") && $0.contains(item.object) },
            "\(mesh.diagnostics)")
        bench.remove("z-copy.yaml")
        bench.remove("object.yaml")
        mesh = bench.load()
        #expect(!item.isInForce(mesh) && mesh.diagnostics.isEmpty, "\(mesh.diagnostics)")
    }

    /// A policy that could not be read at the start closed its pods only until anything else in the folder changed.
    @Test func anUnreadablePolicyStaysClosedWhenOthersChange() throws {
        let bench = try Bench()
        let policy =
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: n}\nspec: {rulez: []}\n"
        try bench.write("policy.yaml", policy)
        try bench.write("pod.yaml", pod("web", "n", app: "web"))
        try bench.write("other.yaml", other(1))
        for number in 2..<5 {
            let mesh = bench.load()
            #expect(mesh.workload("web")?.fields.authorizationPolicies == ["n/p"], "load \(number - 1)")
            #expect(mesh.diagnostics.contains { $0.description.contains("no usable version of it is known") })
            try bench.write("other.yaml", other(number))
        }
        try bench.write("policy.yaml", policy.replacingFirst("rulez", with: "rules"))
        var mesh = bench.load()
        #expect(mesh.policies.map(\.key) == ["n/p"] && mesh.told(.invalid).isEmpty)
        // Now there is a version that was good, and it stays.
        try bench.write("policy.yaml", policy)
        mesh = bench.load()
        #expect(mesh.policies.map(\.key) == ["n/p"] && mesh.told(.invalid).count == 1)
    }
}

extension String {
    fileprivate func replacingFirst(_ part: String, with other: String) -> String {
        guard let range = firstRange(of: part) else { return self }
        var text = self
        text.replaceSubrange(range, with: other)
        return text
    }
}
