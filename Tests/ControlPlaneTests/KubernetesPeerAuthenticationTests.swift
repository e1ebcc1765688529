import MeshModel
import Testing

@testable import ControlPlane

/// One row of the conversion table: PeerAuthentications, what they become, and what a workload in the last one's
/// namespace with the label `app: a` gets.
struct PeerCase: CustomTestStringConvertible, Sendable {
    let number: Int
    /// `name@ns[ sel] [MODE] [PORT=MODE …]`.
    let given: [String]
    /// Without the static policy, which is there whenever anything is.
    let policies: [String]
    let attached: [String]

    init(_ number: Int, _ given: [String], _ policies: [String], _ attached: [String]) {
        self.number = number
        self.given = given
        self.policies = policies
        self.attached = attached
    }

    var testDescription: String { "case \(number)" }

    var manifest: String {
        given.enumerated().map { index, text in
            var words = text.split(separator: " ").map(String.init)
            let name = words.removeFirst().split(separator: "@")
            var spec: [String] = []
            if words.first == "sel" {
                words.removeFirst()
                spec.append("selector: {matchLabels: {app: a}}")
            }
            let ports = words.filter { $0.contains("=") }.map { $0.replacing("=", with: ": {mode: ") + "}" }
            if let mode = words.first(where: { !$0.contains("=") }) { spec.append("mtls: {mode: \(mode)}") }
            if !ports.isEmpty { spec.append("portLevelMtls: {\(ports.joined(separator: ", "))}") }
            return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: \(name[0]), "
                + "namespace: \(name[1]), creationTimestamp: '2026-01-0\(index + 1)T00:00:00Z'}\n"
                + "spec: {\(spec.joined(separator: ", "))}\n---\n"
        }.joined()
    }
}

private let strict = "istio-system/istio_converted_static_strict"
private let none = "{notPrincipals: ANY}"
private let prefix = "WORKLOAD_SELECTOR DENY converted_peer_authentication_"

private let cases: [PeerCase] = [
    PeerCase(18, ["strict-mtls@foo STRICT"], [], [strict]),
    PeerCase(19, ["strict-mtls@foo sel STRICT 8080=STRICT"], [], [strict]),
    PeerCase(
        20, ["p@foo sel STRICT 9090=PERMISSIVE"], ["\(prefix)p@foo; G1 = [\(none)] & [{notDestinationPorts: 9090}]"],
        ["foo/converted_peer_authentication_p"]),
    PeerCase(
        21, ["p@foo sel DISABLE 9090=STRICT"], ["\(prefix)p@foo; G1 = [{notPrincipals: ANY; destinationPorts: 9090}]"],
        ["foo/converted_peer_authentication_p"]),
    PeerCase(
        22, ["p@foo sel PERMISSIVE 9090=STRICT 8080=PERMISSIVE"],
        ["\(prefix)p@foo; G1 = [{notPrincipals: ANY; destinationPorts: 9090}]"], ["foo/converted_peer_authentication_p"]
    ),
    PeerCase(
        23, ["p@foo sel UNSET 8080=STRICT"], ["\(prefix)p@foo; G1 = [{notPrincipals: ANY; destinationPorts: 8080}]"],
        ["foo/converted_peer_authentication_p"]),
    PeerCase(
        24,
        ["default-mesh@istio-system PERMISSIVE", "default-foo@foo PERMISSIVE", "w@foo sel 9090=STRICT 8080=STRICT"],
        [
            "\(prefix)w@foo; G1 = [{notPrincipals: ANY; destinationPorts: 8080}]; "
                + "G2 = [{notPrincipals: ANY; destinationPorts: 9090}]"
        ], ["foo/converted_peer_authentication_w"]),
    PeerCase(
        25, ["default-mesh@istio-system PERMISSIVE", "default-foo@foo STRICT", "w@foo sel 9090=PERMISSIVE"],
        ["\(prefix)w@foo; G1 = [{notDestinationPorts: 9090}] & [\(none)]"], ["foo/converted_peer_authentication_w"]),
    PeerCase(
        26, ["default-mesh@istio-system STRICT", "default-foo@foo PERMISSIVE", "w@foo sel 9090=STRICT"],
        ["\(prefix)w@foo; G1 = [{notPrincipals: ANY; destinationPorts: 9090}]"], ["foo/converted_peer_authentication_w"]
    ),
    PeerCase(
        27, ["default-mesh@istio-system STRICT", "w@foo sel 9090=PERMISSIVE"],
        ["\(prefix)w@foo; G1 = [{notDestinationPorts: 9090}] & [\(none)]"], ["foo/converted_peer_authentication_w"]),
    PeerCase(
        28,
        [
            "global-selector@istio-system sel STRICT", "global@istio-system PERMISSIVE", "namespace@foo STRICT",
            "selector@foo sel PERMISSIVE 9090=STRICT",
        ], ["\(prefix)selector@foo; G1 = [{notPrincipals: ANY; destinationPorts: 9090}]"],
        ["foo/converted_peer_authentication_selector"]),
    PeerCase(
        30, ["old@foo STRICT", "w-old@foo sel UNSET", "new@foo PERMISSIVE", "w-new@foo sel DISABLE"], [], [strict]),
    // Where upstream leaves a port, or all of them, open by mistake.
    PeerCase(
        51, ["mesh@istio-system STRICT", "w@foo sel PERMISSIVE 9090=STRICT"],
        ["\(prefix)w@foo; G1 = [{notPrincipals: ANY; destinationPorts: 9090}]"], ["foo/converted_peer_authentication_w"]
    ),
    PeerCase(
        52, ["mesh@istio-system STRICT", "ns@foo UNSET", "w@foo sel UNSET 9090=PERMISSIVE"],
        ["\(prefix)w@foo; G1 = [{notDestinationPorts: 9090}] & [\(none)]"], ["foo/converted_peer_authentication_w"]),
    PeerCase(
        53, ["mesh@istio-system STRICT", "w@foo sel UNSET 9090=DISABLE"],
        ["\(prefix)w@foo; G1 = [{notDestinationPorts: 9090}] & [\(none)]"], ["foo/converted_peer_authentication_w"]),
]

@Suite struct KubernetesPeerAuthenticationTests {
    @Test(arguments: cases) func conversion(_ one: PeerCase) throws {
        let mesh = compiled(one.manifest + pod("w1", "foo", app: "a") + pod("w2", "foo", app: "other"))
        var policies = mesh.policies.map(notation)
        let common = "WORKLOAD_SELECTOR DENY istio_converted_static_strict@istio-system; G1 = [\(none)]"
        #expect(policies.contains(common))
        policies.removeAll { $0 == common }
        #expect(policies == one.policies)
        #expect(try #require(mesh.workload("w1")).fields.authorizationPolicies == one.attached)
        if one.number == 28 {
            #expect(try #require(mesh.workload("w2")).fields.authorizationPolicies == [strict])
            #expect(mesh.told(.ignored).contains { $0.contains("global-selector") })
        }
    }

    /// Case 29: a selector policy of each kind on one workload, in upstream's order.
    @Test func authorizationAndPeerAuthenticationTogether() throws {
        let peers = PeerCase(
            29, ["strict@istio-system STRICT", "selector-strict@ns1 sel STRICT 9090=PERMISSIVE"], [], [])
        let policy = """
            apiVersion: security.istio.io/v1
            kind: AuthorizationPolicy
            metadata: {name: selector, namespace: ns1}
            spec:
              selector: {matchLabels: {app: a}}
              rules:
              - from:
                - source: {principals: [cluster.local/ns/ns1/sa/sa1]}
            ---

            """
        let mesh = compiled(peers.manifest + policy + pod("w", "ns1", app: "a"))
        #expect(
            Set(mesh.policies.map(notation)) == [
                "WORKLOAD_SELECTOR DENY istio_converted_static_strict@istio-system; G1 = [\(none)]",
                "WORKLOAD_SELECTOR ALLOW selector@ns1; G1 = [{principals: =cluster.local/ns/ns1/sa/sa1}]",
                "\(prefix)selector-strict@ns1; G1 = [\(none)] & [{notDestinationPorts: 9090}] & [\(none)]",
            ])
        #expect(
            try #require(mesh.workload("w")).fields.authorizationPolicies
                == ["ns1/selector", "ns1/converted_peer_authentication_selector-strict"])
    }

    @Test func withoutAnyNothingIsMade() throws {
        let mesh = compiled(pod("w", "foo", app: "a"))
        #expect(mesh.policies.isEmpty && mesh.workload("w")?.fields.authorizationPolicies == [])
    }
}
