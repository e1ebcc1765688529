import MeshModel
import RoutingCore
import Testing

/// Who may go past the mesh while no ztund is there.
struct FailOpenDecisionTests {
    private func workload(_ change: (inout Workload.Fields) -> Void = { _ in }) -> Workload {
        var fields = Workload.Fields()
        fields.uid = "uid"
        (fields.namespace, fields.name) = ("ns1", "web")
        fields.labels = LabelSet(["app": "web"])
        change(&fields)
        return Workload(fields)
    }

    private func decide(
        asked: Bool = true, _ workload: Workload?, _ policies: [AuthorizationPolicy] = [],
        network: NetworkPolicyTable = .empty
    ) -> FailOpenDecision {
        let snapshot = MeshSnapshot(
            workloads: workload.map { [$0] } ?? [], policies: policies, networkPolicies: network)
        return .decide(isAsked: asked, workload: workload, snapshot)
    }

    @Test func whoAsksGetsItWhereNothingForbids() {
        #expect(decide(asked: false, workload()) == .notAsked)
        #expect(decide(workload()) == .granted)
        #expect(decide(asked: false, workload { $0.failsOpen = true }) == .granted)
        guard case .refused(let reason) = decide(nil) else {
            Issue.record("an unknown pod may be selected by any policy")
            return
        }
        #expect(reason.contains("does not know the pod"))
    }

    @Test func enforcedPoliciesThatSelectThePodForbidIt() {
        let any = AuthorizationPolicy.Match()
        let here = PolicyFixture.policy("here", .deny, any)
        let elsewhere = PolicyFixture.policy("elsewhere", .deny, in: "ns2", any)
        let everywhere = PolicyFixture.policy("everywhere", .allow, in: "istio-system", scope: .global, any)
        let dry = PolicyFixture.policy("dry", .deny, dryRun: true, any)
        let selected = PolicyFixture.policy("selected", .deny, scope: .workloadSelector, any)
        #expect(decide(workload(), [here]) == .refused("the policy ns1/here selects it"))
        #expect(decide(workload(), [everywhere]) == .refused("the policy istio-system/everywhere selects it"))
        #expect(decide(workload(), [elsewhere, dry, selected]) == .granted)
        let named = workload { $0.authorizationPolicies = ["ns1/selected"] }
        #expect(decide(named, [selected]) == .refused("the policy ns1/selected selects it"))
        #expect(
            decide(named) == .refused("the policy ns1/selected selects it, which the state does not have"))
    }

    @Test(arguments: NetworkPolicy.Direction.allCases)
    func enforcedNetworkPoliciesForbidIt(direction: NetworkPolicy.Direction) {
        func table(_ labels: [String: String], _ mode: NetworkPolicyMode = .enforce) -> NetworkPolicyTable {
            let policy = NetworkPolicy(
                name: "isolate", namespace: "ns1", pods: LabelSelector(labels: labels), rules: [direction: []])
            return NetworkPolicyTable(
                policies: [policy], namespaces: ["ns1": .init(labels: .empty, mode: mode)], nodes: [:])
        }
        #expect(
            decide(workload(), network: table(["app": "web"])) == .refused("the NetworkPolicy ns1/isolate selects it"))
        #expect(decide(workload(), network: table(["app": "db"])) == .granted)
        #expect(decide(workload(), network: table(["app": "web"], .audit)) == .granted)
    }
}
