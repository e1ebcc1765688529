import MeshModel
import Testing

/// A source that hands over everything it has, again and again.
@Suite struct MeshSnapshotReplacingTests {
    static func policy(_ name: String, dryRun: Bool = false) -> AuthorizationPolicy {
        AuthorizationPolicy(name: name, namespace: "ns1", scope: .namespace, action: .deny, rules: [[]], dryRun: dryRun)
    }

    static func state(_ names: [String]) -> (
        workloads: [Workload], services: [Service], policies: [AuthorizationPolicy]
    ) {
        (
            names.enumerated().map { State.workload($0.element, ["10.0.0.\($0.offset)"]) },
            names.map { State.service($0) }, names.map { policy($0) }
        )
    }

    static func replacing(_ snapshot: MeshSnapshot, _ names: [String]) -> MeshSnapshot {
        let state = state(names)
        return snapshot.replacingAll(
            workloads: state.workloads, services: state.services, policies: state.policies)
    }

    @Test func whatIsEqualStaysTheSameObject() throws {
        let first = Self.replacing(.empty, ["a", "b"])
        let second = Self.replacing(first, ["a", "b"])
        #expect(second.generation == first.generation + 1)
        #expect(second.policyGeneration == first.policyGeneration)
        for name in ["a", "b"] {
            let uid = "c1//Pod/ns1/\(name)"
            let service = ServiceName(namespace: "ns1", hostname: name)
            let workload = try #require(first.workload(uid: uid))
            #expect(workload === second.workload(uid: uid))
            let known = try #require(first.service(service))
            #expect(known === second.service(service))
            let policy = try #require(first.policy("ns1/\(name)"))
            #expect(policy === second.policy("ns1/\(name)"))
        }
    }

    @Test func whatIsNotHandedOverIsGone() {
        let snapshot = Self.replacing(Self.replacing(.empty, ["a", "b", "c"]), ["c", "d"])
        #expect(snapshot.allWorkloads.map(\.fields.name).sorted() == ["c", "d"])
        #expect(snapshot.allServices.map(\.fields.name).sorted() == ["c", "d"])
        #expect(snapshot.allPolicies.map(\.name).sorted() == ["c", "d"])
        #expect(snapshot.policies(ofNamespace: "ns1")?.deny?.policyCount == 2)
        // c moved to the first address, which a had.
        #expect(snapshot.workload(at: State.at("10.0.0.0"))?.fields.name == "c")
        #expect(snapshot.workload(at: State.at("10.0.0.2")) == nil)
        #expect(Self.replacing(snapshot, []).workloadCount == 0)
    }

    @Test func aPolicyThatTurnsIntoADryRunIsReplaced() {
        let first = MeshSnapshot(policies: [Self.policy("a")])
        let second = first.replacingAll(workloads: [], services: [], policies: [Self.policy("a", dryRun: true)])
        #expect(second.policies(ofNamespace: "ns1")?.deny == nil)
        #expect(second.policies(ofNamespace: "ns1")?.dryRunDeny?.policyCount == 1)
        #expect(second.policyGeneration == second.generation)
    }
}
