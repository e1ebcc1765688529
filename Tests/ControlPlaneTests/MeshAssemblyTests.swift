import MeshModel
import Testing

@testable import ControlPlane

/// What is compiled again after an edit, held against a compilation of everything.
@Suite struct MeshAssemblyTests {
    /// Makes objects of small worlds, with all that may lead nowhere.
    private struct Dice {
        var state: UInt64
        /// Whether there are ServiceEntries, beside which pods are not compiled by themselves.
        let hasEntries: Bool
        private var labels: Set<LabelSet> = []

        init(seed: UInt64) {
            state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
            hasEntries = seed % 3 == 0
        }

        mutating func next(_ bound: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(truncatingIfNeeded: state >> 11) % bound
        }

        mutating func one<Value>(of values: [Value]) -> Value { values[abs(next(values.count))] }

        /// The name of an object and its text.
        mutating func object() -> (reference: ObjectReference, text: String) {
            let namespace = one(of: ["a", "a", "b"])
            let drawn = one(of: [
                "Pod", "Pod", "Pod", "Pod", "EndpointSlice", "EndpointSlice", "EndpointSlice", "Service", "Namespace",
                "AuthorizationPolicy", "PeerAuthentication", "NetworkPolicy", "ServiceEntry", "WorkloadEntry",
                "Gateway",
                "Node",
            ])
            let kind = drawn == "ServiceEntry" && !hasEntries ? "EndpointSlice" : drawn
            let name = "\(kind.prefix(1).lowercased())\(abs(next(kind == "Pod" ? 5 : 3)))"
            let app = one(of: ["x", "y", "z"])
            let rest: String
            var api = "v1"
            var more = ""
            switch kind {
            case "Pod":
                more = ", labels: {app: \(app)\(one(of: ["", ", istio.io/dataplane-mode: ambient"]))}"
                rest = """
                    spec: {serviceAccountName: sa, nodeName: n\(abs(next(2))), containers: [{ports: [{name: web, containerPort: 80\(abs(next(3)))}]}]}
                    status: {phase: \(one(of: ["Running", "Running", "Succeeded"])), podIP: \(one(of: ["10.0.\(namespace == "a" ? 0 : 1).\(name.last ?? "0")", "''"]))}
                    """.replacingEmptyAddress()
            case "EndpointSlice":
                api = "discovery.k8s.io/v1"
                more = ", labels: {kubernetes.io/service-name: s\(abs(next(3)))}"
                let endpoints = (0..<abs(next(4))).map { _ in
                    let pod = abs(next(6))
                    let target = pod == 5 ? "" : ", targetRef: {kind: Pod, name: p\(pod)}"
                    return "{addresses: [10.9.0.\(pod)]\(target), conditions: {ready: \(one(of: ["true", "false"]))}}"
                }
                rest =
                    "addressType: IPv4\nendpoints: [\(endpoints.joined(separator: ", "))]\nports: [{name: http, port: 80\(abs(next(2)))}]"
            case "Service":
                let selector = one(of: ["selector: {app: \(app)}, ", ""])
                rest =
                    "spec: {\(selector)clusterIP: 10.1.0.\(abs(next(9))), publishNotReadyAddresses: \(one(of: ["true", "false"])), ports: [{name: http, port: 80, targetPort: \(one(of: ["web", "8080"]))}]}"
            case "Namespace":
                more =
                    ", labels: {istio.io/dataplane-mode: \(one(of: ["ambient", "none"]))\(one(of: ["", ", istio.io/use-waypoint: g0"]))}"
                return (
                    ObjectReference(kind: kind, namespace: "", name: namespace),
                    "apiVersion: v1\nkind: Namespace\nmetadata: {name: \(namespace)\(more)}\n"
                )
            case "Node":
                more = ", labels: {topology.kubernetes.io/zone: z\(abs(next(2)))}"
                return (
                    ObjectReference(kind: kind, namespace: "", name: name),
                    "apiVersion: v1\nkind: Node\nmetadata: {name: \(name)\(more)}\n"
                )
            case "AuthorizationPolicy":
                api = "security.istio.io/v1"
                rest =
                    "spec: {\(one(of: ["selector: {matchLabels: {app: \(app)}}, ", ""]))action: \(one(of: ["ALLOW", "DENY"])), rules: [{from: [{source: {namespaces: [a]}}]}]}"
            case "PeerAuthentication":
                api = "security.istio.io/v1"
                rest =
                    "spec: {\(one(of: ["selector: {matchLabels: {app: \(app)}}, ", ""]))mtls: {mode: \(one(of: ["STRICT", "PERMISSIVE"]))}}"
            case "NetworkPolicy":
                api = "networking.k8s.io/v1"
                rest = "spec: {podSelector: {matchLabels: {app: \(app)}}, policyTypes: [Ingress]}"
            case "ServiceEntry":
                api = "networking.istio.io/v1"
                rest =
                    "spec: {hosts: [\(name).example], ports: [{name: http, number: 80}], resolution: STATIC\(one(of: ["", ", workloadSelector: {labels: {app: \(app)}}"]))}"
            case "WorkloadEntry":
                api = "networking.istio.io/v1"
                more = ", labels: {app: \(app)}"
                rest = "spec: {address: 10.7.0.\(abs(next(9)))}"
            default:
                api = "gateway.networking.k8s.io/v1"
                rest =
                    "spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\nstatus: {addresses: [{value: 10.8.0.\(abs(next(3)))}]}"
            }
            return (
                ObjectReference(kind: kind, namespace: namespace, name: name),
                "apiVersion: \(api)\nkind: \(kind)\nmetadata: {name: \(name), namespace: \(namespace)\(more)}\n\(rest)\n"
            )
        }

        mutating func edit() throws -> ObjectEdit {
            let (reference, text) = object()
            guard next(4) != 0 else { return .remove(reference) }
            let file = ManifestFile(Array(text.utf8), file: "w", labels: &labels)
            return .upsert(try #require(file.objects.first, "\(file.diagnostics)"))
        }
    }

    @Test(arguments: 1...20) func partsMakeTheSameAsEverything(_ seed: UInt64) throws {
        var dice = Dice(seed: seed)
        var assembly = MeshAssembly(settings: KubernetesSettings())
        var snapshot = MeshSnapshot.empty
        var objects = ObjectSet()
        var parts = 0
        for _ in 0..<100 {
            var edits: [ObjectEdit] = []
            for _ in 0...abs(dice.next(3)) { edits.append(try dice.edit()) }
            for edit in edits {
                switch edit {
                case .upsert(let object): objects.insert(object)
                case .remove(let reference): objects.remove(reference)
                case .refuse, .sweep: break
                }
            }
            switch assembly.apply(ObjectEdits(edits)) {
            case nil: break
            case .whole(let mesh):
                snapshot = snapshot.replacingAll(
                    workloads: mesh.workloads, services: mesh.services, policies: mesh.policies,
                    networkPolicies: mesh.networkPolicies, settings: mesh.settings)
            case .part(let changes):
                snapshot = snapshot.applying(changes.differing(from: snapshot))
                parts += 1
            }
            var compiler = MeshCompiler(objects, KubernetesSettings())
            let whole = compiler.compile()
            let all = MeshSnapshot.empty.replacingAll(
                workloads: whole.workloads, services: whole.services, policies: whole.policies,
                networkPolicies: whole.networkPolicies, settings: whole.settings)
            #expect(fields(snapshot) == fields(all))
            #expect(assembly.diagnostics.map(\.description).sorted() == whole.diagnostics.map(\.description).sorted())
            #expect(snapshot.serviceCount == all.serviceCount && snapshot.policyCount == all.policyCount)
        }
        #expect(parts > 3 || dice.hasEntries)
    }

    private func fields(_ snapshot: MeshSnapshot) -> [String: Workload.Fields] {
        Dictionary(snapshot.allWorkloads.map { ($0.fields.uid, $0.fields) }) { $1 }
    }

    /// One endpoint changes: its pod is compiled again, and no other.
    @Test func oneEndpointTouchesOnePod() throws {
        var labels: Set<LabelSet> = []
        func objects(ready: Bool) -> [ObjectEdit] {
            var text =
                "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: {clusterIP: 10.1.0.1, ports: [{port: 80}]}\n"
            var endpoints: [String] = []
            for pod in 0..<50 {
                text +=
                    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p\(pod), namespace: n}\nspec: {nodeName: x}\nstatus: {podIP: 10.0.0.\(pod)}\n"
                endpoints.append(
                    "{addresses: [10.0.0.\(pod)], targetRef: {kind: Pod, name: p\(pod)}, conditions: {ready: \(pod == 7 ? ready : true)}}"
                )
            }
            text +=
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-1, namespace: n, labels: {kubernetes.io/service-name: s}}\nendpoints: [\(endpoints.joined(separator: ", "))]\nports: [{port: 80}]\n"
            return ManifestFile(Array(text.utf8), file: "w", labels: &labels).objects.map { .upsert($0) }
        }
        var assembly = MeshAssembly(settings: KubernetesSettings())
        guard case .whole? = assembly.apply(ObjectEdits(objects(ready: true))) else { throw Missing() }
        let nothing = assembly.apply(ObjectEdits(objects(ready: true)))
        #expect(isNone(nothing))
        guard case .part(let changes)? = assembly.apply(ObjectEdits(objects(ready: false))) else { throw Missing() }
        #expect(changes.workloads.map(\.fields.name) == ["p7"] && changes.removedWorkloads.isEmpty)
        #expect(changes.workloads.first?.fields.health == .unhealthy)
    }

    /// A policy that was never readable closes its namespace, until it can be read or is gone.
    @Test func refusedPoliciesCloseAndOpenAgain() throws {
        var assembly = MeshAssembly(settings: KubernetesSettings())
        var labels: Set<LabelSet> = []
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n}\nspec: {}\nstatus: {podIP: 10.0.0.1}\n"
        let pod = ManifestFile(Array(text.utf8), file: "w", labels: &labels).objects.map { ObjectEdit.upsert($0) }
        let reference = ObjectReference(kind: "AuthorizationPolicy", namespace: "n", name: "odd")
        let fault = ManifestDiagnostic(.error, .invalid, reference, at: nil, "why")
        func policies(_ update: MeshUpdate?) throws -> [String] {
            guard case .whole(let mesh)? = update else { throw Missing() }
            return mesh.workloads[0].fields.authorizationPolicies
        }
        let closed = try policies(assembly.apply(ObjectEdits(pod + [.refuse(reference, fault)])))
        #expect(closed == ["n/odd"])
        #expect(assembly.diagnostics.contains(fault))
        let nothing = assembly.apply(ObjectEdits([.refuse(reference, fault)]))
        #expect(isNone(nothing))
        let open = try policies(assembly.apply(ObjectEdits([.remove(reference)])))
        #expect(open == [])
        #expect(assembly.diagnostics == [])
    }

    private func isNone(_ update: MeshUpdate?) -> Bool { if case nil = update { true } else { false } }

    private struct Missing: Error {}
}

extension String {
    /// A pod without address says nothing of it.
    fileprivate func replacingEmptyAddress() -> String {
        hasSuffix(", podIP: ''}") ? String(dropLast(", podIP: ''}".utf8.count)) + "}" : self
    }
}
