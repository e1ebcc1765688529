import MeshModel
import Testing

@testable import ControlPlane

/// One row of the conversion table: an AuthorizationPolicy and what it must become.
struct AuthorizationCase: CustomTestStringConvertible, Sendable {
    let number: Int
    let name: String
    let spec: String
    let expected: String
    /// Texts that the one diagnostic about the policy must contain; empty: none may be there.
    var told: [String] = []
    var annotations = ""
    var dryRun = false

    var testDescription: String { "case \(number): \(name)" }

    var manifest: String {
        let parts = name.split(separator: "@")
        let metadata = "{name: \(parts[0]), namespace: \(parts[1])\(annotations)}"
        return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: \(metadata)\nspec: \(spec)\n"
    }
}

private let list = "principal, principal-prefix-*, '*-suffix-principal', '*'"
private let notList = "not-principal, not-principal-prefix-*, '*-suffix-not-principal', '*'"
private let principals = "=principal, principal-prefix-~, ~-suffix-principal, ANY"
private let notPrincipals = "=not-principal, not-principal-prefix-~, ~-suffix-not-principal, ANY"
private let spaces = "=ns, ns-prefix-~, ~-ns-suffix, ANY"
private let notSpaces = "=not-ns, not-ns-prefix-~, ~-not-ns-suffix, ANY"
private let spacesIn = "[ns, ns-prefix-*, '*-ns-suffix', '*']"
private let notSpacesIn = "[not-ns, not-ns-prefix-*, '*-not-ns-suffix', '*']"
private let bar = "cluster.local/ns/foo/sa/bar"
private let allowEdge =
    "NAMESPACE ALLOW edge@n1; G1 = [{destinationPorts: 0, 65535}] & [{sourceIps: 10.1.2.0/24, 2001:db8::1/128, fd00::/8} "
    + "or {principals: =td.example/ns/a/sa/b, ~/ns/a/sa/b, ~mid*, =a*b, =spiffe://td/ns/a/sa/b}]"

private let cases: [AuthorizationCase] = [
    .init(
        number: 1, name: "allow@cfg",
        spec: "{action: ALLOW, rules: [{from: [{source: {principals: [\(list)], notPrincipals: [\(notList)]}}]}]}",
        expected: "NAMESPACE ALLOW allow@cfg; G1 = [{principals: \(principals); notPrincipals: \(notPrincipals)}]"),
    .init(
        number: 2, name: "allow@cfg",
        spec:
            "{rules: [{from: [{source: {serviceAccounts: [ns/sa, sa-only], notServiceAccounts: [ns/sa-not, sa-not-only]}}]}]}",
        expected: "NAMESPACE ALLOW allow@cfg; G1 = [{serviceAccounts: ns/sa, cfg/sa-only; "
            + "notServiceAccounts: ns/sa-not, cfg/sa-not-only}]"),
    .init(
        number: 3, name: "allow@cfg",
        spec: """
            {rules: [{from: [{source: {namespaces: \(spacesIn), notNamespaces: \(notSpacesIn)}}]},
              {from: [{source: {ipBlocks: [1.2.3.4, 5.6.0.0/16], notIpBlocks: [2.2.3.4, 6.6.0.0/16]}}]},
              {to: [{operation: {ports: ["80", "90"], notPorts: ["800", "900"]}}]}]}
            """,
        expected: "NAMESPACE ALLOW allow@cfg; G1 = [{namespaces: \(spaces); notNamespaces: \(notSpaces)}]; "
            + "G2 = [{sourceIps: 1.2.3.4/32, 5.6.0.0/16; notSourceIps: 2.2.3.4/32, 6.6.0.0/16}]; "
            + "G3 = [{destinationPorts: 80, 90; notDestinationPorts: 800, 900}]"),
    .init(
        number: 4, name: "allow@cfg",
        spec: """
            {rules: [{from: [{source: {requestPrincipals: [a], notRequestPrincipals: [b]}}]},
              {from: [{source: {remoteIpBlocks: [1.1.1.1], notRemoteIpBlocks: [1.1.1.2]}}]},
              {to: [{operation: {methods: [GET], notMethods: [PUT]}}]}, {to: [{operation: {hosts: [a], notHosts: [b]}}]},
              {to: [{operation: {paths: [/a], notPaths: [/b]}}]}]}
            """,
        expected: "NAMESPACE ALLOW allow@cfg; no groups",
        told: ["ALLOW", "notRemoteIpBlocks", "requestPrincipals", "hosts"]),
    .init(
        number: 5, name: "allow@cfg",
        spec: """
            {rules: [
              {when: [{key: source.ip, values: [10.10.10.10, 192.168.10.0/24], notValues: [90.10.10.10, 90.168.10.0/24]}]},
              {when: [{key: source.namespace, values: \(spacesIn), notValues: \(notSpacesIn)}]},
              {when: [{key: source.principal, values: [\(list)],
                notValues: [not-principal, not-principal-prefix-*, '*-not-suffix-principal', '*']}]},
              {when: [{key: destination.ip, values: [10.10.10.10, 192.168.10.0/24], notValues: [90.10.10.10, 90.168.10.0/24]}]},
              {when: [{key: destination.port, values: ["91", "92"], notValues: ["9001", "9002"]}]}]}
            """,
        expected: "NAMESPACE ALLOW allow@cfg; "
            + "G1 = [{sourceIps: 10.10.10.10/32, 192.168.10.0/24; notSourceIps: 90.10.10.10/32, 90.168.10.0/24}]; "
            + "G2 = [{namespaces: \(spaces); notNamespaces: \(notSpaces)}]; "
            + "G3 = [{principals: \(principals); "
            + "notPrincipals: =not-principal, not-principal-prefix-~, ~-not-suffix-principal, ANY}]; "
            + "G4 = [{destinationIps: 10.10.10.10/32, 192.168.10.0/24; notDestinationIps: 90.10.10.10/32, 90.168.10.0/24}]; "
            + "G5 = [{destinationPorts: 91, 92; notDestinationPorts: 9001, 9002}]"),
    .init(
        number: 6, name: "allow@cfg",
        spec: """
            {rules: [{when: [{key: "request.headers[X-header]", values: [a]}]}, {when: [{key: remote.ip, values: [1.1.1.1]}]},
              {when: [{key: request.auth.principal, values: [a]}]}, {when: [{key: request.auth.audiences, values: [a]}]},
              {when: [{key: request.auth.presenter, values: [a]}]}, {when: [{key: "request.auth.claims[iss]", values: [a]}]},
              {when: [{key: "request.auth.claims[nested1][nested2]", values: [a]}]}, {when: [{key: connection.sni, values: [a]}]},
              {when: [{key: "experimental.envoy.filters.a.b[c]", values: [a]}]}]}
            """,
        expected: "NAMESPACE ALLOW allow@cfg; no groups", told: ["ALLOW", "connection.sni", "remote.ip"]),
    .init(
        number: 7, name: "groups@default",
        spec: """
            {rules: [
              {from: [{source: {principals: [from-mix-principal], requestPrincipals: [from-mix-requestPrincipals],
                namespaces: [from-mix-ns]}}], to: [{operation: {ports: ["80"]}}]},
              {from: [{source: {principals: [to-mix-principal], namespaces: [to-mix-ns]}}],
                to: [{operation: {ports: ["80"], methods: [to-mix-method]}}]},
              {from: [{source: {requestPrincipals: [l7-principal]}}], to: [{operation: {paths: [/l7-foo], methods: [l7-method]}}]},
              {when: [{key: source.namespace, values: [when-l4-l7-ns]}, {key: connection.sni, values: [when-l4-l7-sni]}]},
              {when: [{key: connection.sni, values: [when-l7-sni]}, {key: "request.headers[X-header]", values: [when-l7-header]}]}]}
            """,
        expected: "NAMESPACE ALLOW groups@default; no groups",
        told: ["connection.sni, methods, paths, request.headers[X-header], requestPrincipals"]),
    .init(
        number: 8, name: "groups@default",
        spec: """
            {rules: [{from: [{source: {principals: [only-l4-principals], namespaces: [only-l4-ns]}}],
                to: [{operation: {ports: ["80"]}}]},
              {when: [{key: source.namespace, values: [when-l4-ns]}, {key: source.ip, values: [10.10.10.10]}]}]}
            """,
        expected: "NAMESPACE ALLOW groups@default; "
            + "G1 = [{destinationPorts: 80}] & [{namespaces: =only-l4-ns; principals: =only-l4-principals}]; "
            + "G2 = [{namespaces: =when-l4-ns}] & [{sourceIps: 10.10.10.10/32}]"),
    .init(
        number: 9, name: "deny@default",
        spec:
            "{action: DENY, rules: [{from: [{source: {principals: [\(bar)], notRequestPrincipals: [example.com/sub-1]}}]}]}",
        expected: "NAMESPACE DENY deny@default; G1 = [{principals: =\(bar)}]",
        told: ["DENY", "deny more", "notRequestPrincipals"]),
    .init(
        number: 10, name: "deny@default",
        spec: """
            {action: DENY, rules: [{from: [{source: {notRequestPrincipals: [example.com/sub-1]}}]},
              {from: [{source: {principals: [\(bar)]}}]}]}
            """,
        expected: "NAMESPACE DENY deny@default; G1 = [{}]; G2 = [{principals: =\(bar)}]", told: ["deny more"]),
    .init(
        number: 11, name: "deny@default",
        spec: """
            {action: DENY, rules: [{from: [{source: {principals: [\(bar)]}}],
              when: [{key: "request.headers[x-token]", values: [secret]}]}]}
            """,
        expected: "NAMESPACE DENY deny@default; G1 = [{principals: =\(bar)}] & [{}]",
        told: ["denies nothing", "request.headers[x-token]"]),
    .init(
        number: 12, name: "deny@default",
        spec: "{action: DENY, rules: [{}, {from: [{source: {notRequestPrincipals: [example.com/sub-1]}}]}]}",
        expected: "NAMESPACE DENY deny@default; G1 = always; G2 = [{}]", told: ["deny more"]),
    .init(
        number: 13, name: "audit@default", spec: "{action: AUDIT, rules: [{}]}", expected: "NONE",
        told: ["action AUDIT"]),
    .init(
        number: 13, name: "custom@default", spec: "{action: CUSTOM, provider: {name: x}, rules: [{}]}",
        expected: "NONE",
        told: ["action CUSTOM"]),
    .init(
        number: 13, name: "target@default",
        spec: "{targetRef: {kind: Service, group: '', name: test-svc}, rules: [{}]}",
        expected: "NONE", told: ["Service default/test-svc", "targetRefs"]),
    .init(
        number: 14, name: "port-name@default",
        spec: "{rules: [{from: [{source: {principals: [trust/ns/echo-1234/]}}], to: [{operation: {ports: [http]}}]}]}",
        expected: "NAMESPACE ALLOW port-name@default; G1 = [{}] & [{principals: =trust/ns/echo-1234/}]",
        told: ["ports", "'http'", "nothing is allowed"]),
    .init(
        number: 15, name: "edge@n1",
        spec: """
            {rules: [{from: [{source: {ipBlocks: [10.1.2.3/24, "2001:db8::1", "fd00::/8", bad, 10.0.0.0/33]}},
              {source: {principals: [td.example/ns/a/sa/b, "*/ns/a/sa/b", "*mid*", a*b, "spiffe://td/ns/a/sa/b"]}}],
              to: [{operation: {ports: ["0", "65535", "65536", 80-90]}}]}]}
            """,
        expected: allowEdge, told: ["'bad', '10.0.0.0/33'"]),
    .init(
        number: 17, name: "d@n1", spec: "{action: DENY, rules: [{from: [{source: {namespaces: [x]}}]}]}",
        expected: "NONE",
        told: ["dry run"], annotations: ", annotations: {istio.io/dry-run: 'true'}"),
    .init(
        number: 17, name: "d@n1", spec: "{action: DENY, rules: [{from: [{source: {namespaces: [x]}}]}]}",
        expected: "NAMESPACE DENY d@n1 dryRun; G1 = [{namespaces: =x}]",
        annotations: ", annotations: {istio.io/dry-run: 'true'}", dryRun: true),
    .init(
        number: 17, name: "d@n1", spec: "{action: DENY, rules: [{from: [{source: {namespaces: [x]}}]}]}",
        expected: "NAMESPACE DENY d@n1; G1 = [{namespaces: =x}]",
        annotations: ", annotations: {istio.io/dry-run: 'false'}",
        dryRun: true),
    .init(
        number: 17, name: "d@n1", spec: "{action: DENY, rules: [{from: [{source: {namespaces: [x]}}]}]}",
        expected: "NAMESPACE DENY d@n1; G1 = [{namespaces: =x}]", told: ["'yes' is neither true nor false"],
        annotations: ", annotations: {istio.io/dry-run: 'yes'}"),
]

@Suite struct KubernetesAuthorizationTests {
    @Test(arguments: cases) func conversion(_ one: AuthorizationCase) throws {
        let mesh = compiled(one.manifest) { $0.dryRunPolicies = one.dryRun }
        #expect(mesh.policies.map(notation).joined(separator: "; ") == (one.expected == "NONE" ? "" : one.expected))
        let told = mesh.told(.unsupported)
        #expect(told.isEmpty == one.told.isEmpty, "\(told)")
        for part in one.told { #expect(told.contains { $0.contains(part) }, "\(part) in \(told)") }
        #expect(mesh.told(.invalid) == [])
    }

    /// Case 16: the four placements, and which workloads they reach.
    @Test func scopes() throws {
        func policy(_ name: String, _ namespace: String, _ spec: String) -> String {
            "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {name: \(name), namespace: \(namespace)}\n"
                + "spec: \(spec)\n---\n"
        }
        let selector = "{selector: {matchLabels: {app: a}}}"
        let mesh = compiled(
            policy("global", "istio-system", "{}") + policy("namespace", "ns1", "{}")
                + policy("selector", "ns1", selector)
                + policy("global-selector", "istio-system", selector) + pod("w1", "ns1", app: "a")
                + pod("w2", "ns1", app: "not-a"))
        #expect(
            Set(mesh.policies.map(notation)) == [
                "GLOBAL ALLOW global@istio-system; no groups", "NAMESPACE ALLOW namespace@ns1; no groups",
                "WORKLOAD_SELECTOR ALLOW selector@ns1; no groups",
                "WORKLOAD_SELECTOR ALLOW global-selector@istio-system; no groups",
            ])
        #expect(
            try #require(mesh.workload("w1")).fields.authorizationPolicies == [
                "istio-system/global-selector", "ns1/selector",
            ])
        #expect(try #require(mesh.workload("w2")).fields.authorizationPolicies == [])
    }

    /// Upstream's fail-open corners: what cannot be checked never opens more than was written.
    @Test(arguments: [
        ("{action: ALLOW, rules: [{from: [{source: {principals: [a], trustDomains: [b]}}]}]}", "no groups"),
        ("{action: DENY, rules: [{from: [{source: {trustDomains: [b]}}]}]}", "G1 = always"),
        (
            "{action: DENY, rules: [{from: [{source: {namespaces: [a], notTrustDomains: [b]}}]}]}",
            "G1 = [{namespaces: =a}]"
        ),
        ("{action: DENY, rules: [{to: [{operation: {ports: [http]}}]}]}", "G1 = always"),
        ("{action: DENY, rules: [{from: [{source: {ipBlocks: [bad], namespaces: [a]}}]}]}", "G1 = [{namespaces: =a}]"),
        ("{action: DENY, rules: [{to: [{operation: {notPorts: ['80', http]}}]}]}", "G1 = [{notDestinationPorts: 80}]"),
        ("{action: ALLOW, rules: [{to: [{operation: {notPorts: ['80', http]}}]}]}", "no groups"),
        ("{action: DENY, rules: [{when: [{key: destination.port, values: [http]}]}]}", "G1 = always"),
    ]) func failsClosed(_ spec: String, _ groups: String) {
        let mesh = compiled(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: n}\nspec: \(spec)\n"
        )
        #expect(
            mesh.policies.map(notation).first?.hasSuffix("p@n; \(groups)") == true, "\(mesh.policies.map(notation))")
        #expect(mesh.told(.unsupported).count == 1)
    }

    /// What a policy does not know is refused with its place, and never read as something else.
    @Test(arguments: [
        ("{action: ALOW}", "spec.action", "did you mean 'ALLOW'?"), ("{rulez: []}", "spec", "did you mean 'rules'?"),
        (
            "{rules: [{from: [{source: {principal: [a]}}]}]}", "spec.rules[0].from[0].source",
            "did you mean 'principals'?"
        ),
        ("{rules: [{to: [{operation: null}]}]}", "spec.rules[0].to[0]", "'operation' is missing"),
        ("{rules: [{to: [{operation: {ports: [80]}}]}]}", "ports[0]", "put it in quotes"),
        ("{selector: {matchExpressions: []}}", "spec.selector", "unknown field"),
        ("{rules: 1}", "spec.rules", "expected a list"),
    ]) func refusals(_ spec: String, _ path: String, _ hint: String) {
        let mesh = compiled(
            "# a comment\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec: \(spec)\n"
        )
        #expect(mesh.policies.isEmpty)
        let told = mesh.told(.invalid)
        #expect(told.count == 1 && told[0].hasPrefix("m.yaml:6: error: AuthorizationPolicy default/p: "), "\(told)")
        #expect(told.allSatisfy { $0.contains(path) && $0.contains(hint) }, "\(told)")
    }
}

/// A pod's manifest with one label.
func pod(_ name: String, _ namespace: String, app: String, ip: String = "10.0.0.1") -> String {
    "apiVersion: v1\nkind: Pod\nmetadata: {name: \(name), namespace: \(namespace), labels: {app: \(app)}}\n"
        + "spec: {serviceAccountName: sa1}\nstatus: {phase: Running, podIPs: [{ip: \(ip)}]}\n---\n"
}
