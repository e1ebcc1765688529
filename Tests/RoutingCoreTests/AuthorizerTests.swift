import MeshModel
import RoutingCore
import Testing

/// The ladder of policies: DENY, unknown, ALLOW; dry runs beside it.
@Suite struct AuthorizerTests {
    typealias P = PolicyFixture

    static let server = Fixture.workload("server", ["127.0.0.2"])
    static let bob = P.account("bob")
    static let eve = P.account("eve")
    static func by(_ name: String) -> AuthorizationPolicy.Match {
        P.match { $0.principals = [.exact("td/ns/ns1/sa/\(name)")] }
    }
    static let everybody = P.match { $0.namespaces = [.presence] }

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var policies: [AuthorizationPolicy]
        var source: SpiffeID?
        var attached: [String] = []
        var expected: String
        var dryRuns: [Authorization.DryRun] = []
    }

    static let ladder: [Case] = [
        Case(testDescription: "no policy", policies: [], source: nil, expected: "allowed"),
        Case(
            testDescription: "ALLOW in another namespace",
            policies: [P.policy("a", .allow, in: "other", by("bob"))], source: eve, expected: "allowed"),
        Case(
            testDescription: "DENY in another namespace",
            policies: [P.policy("d", .deny, in: "other", everybody)], source: eve, expected: "allowed"),
        Case(
            testDescription: "ALLOW matches", policies: [P.policy("a", .allow, by("bob"))], source: bob,
            expected: "allowed by ns1/a"),
        Case(
            testDescription: "ALLOW for somebody else", policies: [P.policy("a", .allow, by("bob"))], source: eve,
            expected: "policy_not_allowed"),
        Case(
            testDescription: "ALLOW for somebody, plaintext", policies: [P.policy("a", .allow, by("bob"))], source: nil,
            expected: "policy_not_allowed"),
        Case(
            testDescription: "second ALLOW matches",
            policies: [P.policy("a", .allow, by("eve")), P.policy("b", .allow, by("bob"))], source: bob,
            expected: "allowed by ns1/b"),
        Case(
            testDescription: "DENY wins",
            policies: [P.policy("a", .allow, by("bob")), P.policy("d", .deny, by("bob"))], source: bob,
            expected: "policy_denied ns1/d"),
        Case(
            testDescription: "DENY for somebody else", policies: [P.policy("d", .deny, by("bob"))], source: eve,
            expected: "allowed"),
        Case(
            testDescription: "global DENY", policies: [P.policy("d", .deny, in: "root", scope: .global, by("bob"))],
            source: bob, expected: "policy_denied root/d"),
        Case(
            testDescription: "global ALLOW for another, namespace ALLOW for me",
            policies: [
                P.policy("g", .allow, in: "root", scope: .global, by("eve")), P.policy("a", .allow, by("bob")),
            ], source: bob, expected: "allowed by ns1/a"),
        Case(
            testDescription: "ALLOW without rules denies all", policies: [P.policy("a", .allow)], source: bob,
            expected: "policy_not_allowed"),
        Case(
            testDescription: "DENY without rules does nothing", policies: [P.policy("d", .deny)], source: bob,
            expected: "allowed"),
        Case(
            testDescription: "a selector policy that nobody names",
            policies: [P.policy("d", .deny, scope: .workloadSelector, everybody)], source: bob, expected: "allowed"),
        Case(
            testDescription: "a selector policy that the workload names",
            policies: [P.policy("d", .deny, scope: .workloadSelector, everybody)], source: bob, attached: ["ns1/d"],
            expected: "policy_denied ns1/d"),
        Case(
            testDescription: "a selector policy of another namespace, named",
            policies: [P.policy("d", .deny, in: "root", scope: .workloadSelector, everybody)], source: bob,
            attached: ["root/d"], expected: "policy_denied root/d"),
        Case(
            testDescription: "STRICT, plaintext",
            policies: [
                P.policy(
                    "istio_converted_static_strict", .deny, in: "istio-system", scope: .workloadSelector,
                    P.match { $0.notPrincipals = [.presence] })
            ], source: nil, attached: ["istio-system/istio_converted_static_strict"],
            expected: "policy_denied istio-system/istio_converted_static_strict"),
        Case(
            testDescription: "STRICT, mutual TLS",
            policies: [
                P.policy(
                    "istio_converted_static_strict", .deny, in: "istio-system", scope: .workloadSelector,
                    P.match { $0.notPrincipals = [.presence] })
            ], source: bob, attached: ["istio-system/istio_converted_static_strict"], expected: "allowed"),
        Case(
            testDescription: "a named policy is not known", policies: [], source: bob, attached: ["ns1/gone"],
            expected: "policy_unknown ns1/gone"),
        Case(
            testDescription: "a named policy is not known, an ALLOW matches",
            policies: [P.policy("a", .allow, by("bob"))], source: bob, attached: ["ns1/gone", "ns1/a"],
            expected: "policy_unknown ns1/gone"),
        Case(
            testDescription: "a named policy is not known, a DENY matches",
            policies: [P.policy("d", .deny, by("bob"))], source: bob, attached: ["ns1/gone"],
            expected: "policy_denied ns1/d"),
        Case(
            testDescription: "dry-run DENY of everybody",
            policies: [P.policy("d", .deny, dryRun: true, everybody)], source: bob, expected: "allowed",
            dryRuns: [.denied(policy: "ns1/d")]),
        Case(
            testDescription: "dry-run ALLOW of somebody else",
            policies: [P.policy("a", .allow, dryRun: true, by("eve"))], source: bob, expected: "allowed",
            dryRuns: [.notAllowed]),
        Case(
            testDescription: "dry-run ALLOW does not count as ALLOW",
            policies: [P.policy("a", .allow, by("eve")), P.policy("b", .allow, dryRun: true, by("bob"))], source: bob,
            expected: "policy_not_allowed", dryRuns: [.allowed(policy: "ns1/b")]),
        Case(
            testDescription: "dry runs beside enforced ones",
            policies: [
                P.policy("a", .allow, by("bob")), P.policy("b", .allow, dryRun: true, by("bob")),
                P.policy("d", .deny, dryRun: true, by("bob")), P.policy("e", .deny, by("eve")),
            ], source: bob, expected: "allowed by ns1/a",
            dryRuns: [.denied(policy: "ns1/d"), .allowed(policy: "ns1/b")]),
        Case(
            testDescription: "a dry-run DENY is told of beside an enforced one",
            policies: [P.policy("d", .deny, dryRun: true, by("eve")), P.policy("e", .deny, by("eve"))], source: eve,
            expected: "policy_denied ns1/e", dryRuns: [.denied(policy: "ns1/d")]),
        Case(
            testDescription: "a named dry-run policy",
            policies: [P.policy("d", .deny, scope: .workloadSelector, dryRun: true, everybody)], source: bob,
            attached: ["ns1/d"], expected: "allowed", dryRuns: [.denied(policy: "ns1/d")]),
    ]

    @Test(arguments: ladder) func decides(_ item: Case) {
        let workload = Fixture.workload("server", ["127.0.0.2"]) { $0.authorizationPolicies = item.attached }
        let snapshot = MeshSnapshot(workloads: [workload], policies: item.policies)
        let request = P.request(item.source, workload: workload)
        let authorization = Authorizer.authorize(request, in: snapshot)
        #expect(P.summary(authorization) == item.expected)
        #expect(authorization.dryRuns == item.dryRuns)
        let explained = Authorizer.explain(request, in: snapshot)
        #expect(P.summary(explained.authorization) == item.expected)
        #expect(explained.trace.steps.count >= 1 + item.dryRuns.count)
    }

    @Test func refusalsSpeakTheWordsPeopleKnow() {
        let snapshot = MeshSnapshot(policies: [
            P.policy("d", .deny, Self.by("eve")), P.policy("a", .allow, Self.by("bob")),
        ])
        guard
            case .refused(let denied) = Authorizer.authorize(P.request(Self.eve, workload: Self.server), in: snapshot),
            case .refused(let notAllowed) = Authorizer.authorize(P.request(nil, workload: Self.server), in: snapshot)
        else {
            Issue.record("allowed")
            return
        }
        #expect(denied.detail == "explicitly denied by: ns1/d")
        #expect(notAllowed.detail == "allow policies exist, but none allowed")
    }

    @Test func aPolicyThatTurnsIntoASelectorPolicyLeavesItsNamespace() {
        let first = MeshSnapshot(policies: [P.policy("d", .deny, Self.everybody)])
        let second = first.applying(
            MeshChanges(policies: [P.policy("d", .deny, scope: .workloadSelector, Self.everybody)]))
        let third = second.applying(MeshChanges(removedPolicies: ["ns1/d"]))
        let request = P.request(Self.bob, workload: Self.server)
        #expect(P.summary(Authorizer.authorize(request, in: first)) == "policy_denied ns1/d")
        #expect(P.summary(Authorizer.authorize(request, in: second)) == "allowed")
        #expect(second.policyCount == 1 && third.policyCount == 0)
    }

    @Test func theProofNamesConnectionAndSnapshot() {
        let snapshot = MeshSnapshot().applying(MeshChanges())
        guard case .allowed(let proof) = Authorizer.authorize(P.request(Self.bob, workload: Self.server), in: snapshot)
        else {
            Issue.record("refused")
            return
        }
        #expect(proof.generation == 2)
        #expect(proof.dial == Fixture.socket("127.0.0.2:8080"))
        #expect(proof.request.source == Self.bob)
    }
}
