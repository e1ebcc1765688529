import MeshModel
import Testing

@testable import ControlPlane

/// What VirtualServices become, what is told of them, and who wins.
@Suite struct VirtualServiceTests {
    static let services = """
        apiVersion: v1
        kind: Service
        metadata: {name: shop, namespace: app}
        spec: {clusterIP: 10.1.0.1, ports: [{port: 80}, {port: 81}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: v2, namespace: app}
        spec: {clusterIP: 10.1.0.2, ports: [{port: 8080}]}
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: pay, namespace: app}
        spec: {hosts: [pay.example.com], addresses: [10.2.0.1], ports: [{number: 443, name: tls, protocol: TLS}], resolution: STATIC}
        ---

        """

    static func virtual(
        _ http: String, hosts: String = "[shop]", name: String = "vs", namespace: String = "app", more: String = "",
        created: String = "2024-01-01T00:00:00Z"
    ) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: \(name), namespace: \(namespace), creationTimestamp: "\(created)"}
        spec: {hosts: \(hosts)\(more), http: \(http)}
        ---

        """
    }

    /// Rules as text: `80: name [match or match] -> backend*weight`.
    private func rules(_ mesh: CompiledMesh) -> [String] {
        mesh.routes.flatMap { route in
            route.rules.map { rule in
                let matches = rule.matches.map { match in
                    var parts: [String] = []
                    switch match.path {
                    case .exact(let text): parts.append("=\(text)")
                    case .prefix(let text): if !text.isEmpty { parts.append("/\(text)/") }
                    case .beginning(let text): parts.append("\(text)~")
                    case .ending(let text): parts.append("~\(text)")
                    }
                    if let method = match.method { parts.append(method) }
                    for header in match.headers {
                        switch header.value {
                        case .exact(let text): parts.append("\(header.name)=\(text)")
                        case .prefix(let text): parts.append("\(header.name)=\(text)~")
                        case .suffix(let text): parts.append("\(header.name)=~\(text)")
                        case .presence: parts.append(header.name)
                        }
                    }
                    return parts.isEmpty ? "any" : parts.joined(separator: " ")
                }
                let backends = rule.backends.map { backend in
                    guard case .service(let name, let port) = backend.destination else { return "?" }
                    return "\(name.hostname.split(separator: ".")[0]):\(port)*\(backend.weight)"
                }
                return
                    "\(route.port ?? 0): [\(matches.joined(separator: " or "))] -> \(backends.joined(separator: ", "))"
            }
        }
    }

    @Test(
        arguments: [
            ("[{route: [{destination: {host: v2}}]}]", ["80: [] -> v2:8080*1", "81: [] -> v2:8080*1"]),
            (
                "[{match: [{uri: {prefix: /a}, port: 80}], route: [{destination: {host: v2}, weight: 20}, {destination: {host: shop}, weight: 80}]}]",
                ["80: [/a~] -> v2:8080*20, shop:80*80"]
            ),
            (
                "[{match: [{uri: {exact: /x}, method: {exact: GET}}, {headers: {X-User: {prefix: te}}, port: 81}], route: [{destination: {host: shop.app.svc.cluster.local, port: {number: 81}}}]}]",
                ["80: [=/x GET] -> shop:81*1", "81: [=/x GET or x-user=te~] -> shop:81*1"]
            ),
            (
                "[{match: [{uri: {regex: '/api/.*'}, port: 80}, {uri: {regex: '.*\\.png'}, port: 80}, {uri: {regex: '/a\\.b'}, port: 80}, {uri: {prefix: /}, port: 80}], route: [{destination: {host: v2}}]}]",
                ["80: [/api/~ or ~.png or =/a.b or any] -> v2:8080*1"]
            ),
            (
                "[{match: [{method: {regex: GET|HEAD}, headers: {a: {}, b: {regex: '.*x'}}, port: 80}], route: [{destination: {host: v2}}]}]",
                ["80: [GET a b=~x or HEAD a b=~x] -> v2:8080*1"]
            ),
            // Of several destinations, one without a weight gets nothing.
            (
                "[{match: [{port: 80}], route: [{destination: {host: v2}}, {destination: {host: shop}, weight: 3}]}]",
                ["80: [any] -> v2:8080*0, shop:80*3"]
            ),
            // For gateways only: not ours, and never a rule without conditions.
            ("[{match: [{uri: {prefix: /a}, gateways: [edge]}], route: [{destination: {host: v2}}]}]", []),
        ] as [(String, [String])])
    func rulesAndBackends(_ http: String, _ expected: [String]) {
        let mesh = compiled(Self.services + Self.virtual(http))
        #expect(rules(mesh) == expected)
        #expect(mesh.diagnostics.isEmpty, "\(mesh.diagnostics)")
        #expect(mesh.routes.allSatisfy { $0.order == .written })
    }

    @Test(
        arguments: [
            // A match that cannot be read is left out, and what it would have taken goes on to later rules.
            (
                "match: [{uri: {regex: 'a[bc]'}}], route: [{destination: {host: v2}}]",
                "spec.http[0].match[0].uri is not supported: the rule is left out", []
            ),
            (
                "match: [{queryParams: {a: {exact: b}}}, {uri: {exact: /x}, port: 80}], route: [{destination: {host: v2}}]",
                "spec.http[0].match[0].queryParams is not supported: those matches are left out",
                ["80: [=/x] -> v2:8080*1"]
            ),
            ("match: [{scheme: {exact: https}}], route: [{destination: {host: v2}}]", "match[0].scheme", []),
            ("match: [{withoutHeaders: {a: {}}}], route: [{destination: {host: v2}}]", "match[0].withoutHeaders", []),
            ("match: [{sourceNamespace: x}], route: [{destination: {host: v2}}]", "match[0].sourceNamespace", []),
            ("match: [{ignoreUriCase: true}], route: [{destination: {host: v2}}]", "match[0].ignoreUriCase", []),
            (
                "match: [{headers: {'@request.auth.claims.sub': {exact: x}}}], route: [{destination: {host: v2}}]",
                "headers.@request.auth.claims.sub", []
            ),
            ("match: [{method: {regex: 'G.*'}}], route: [{destination: {host: v2}}]", "match[0].method", []),
            // What would change the request is not done, so the request is not served.
            (
                "match: [{port: 80}], redirect: {uri: /y}",
                "spec.http[0].redirect is not supported: requests that the rule matches get 503",
                ["80: [any] -> unsupported:1*1"]
            ),
            (
                "match: [{port: 80}], rewrite: {uri: /y}, route: [{destination: {host: v2}}]", "spec.http[0].rewrite",
                ["80: [any] -> unsupported:1*1"]
            ),
            (
                "match: [{port: 80}], fault: {abort: {httpStatus: 500}}, route: [{destination: {host: v2}}]",
                "spec.http[0].fault", ["80: [any] -> unsupported:1*1"]
            ),
            (
                "match: [{port: 80}], route: [{destination: {host: v2, subset: a}}]",
                "spec.http[0].route[0].destination.subset", ["80: [any] -> unsupported:1*1"]
            ),
            (
                "match: [{port: 80}], route: [{destination: {host: v2}, headers: {request: {remove: [a]}}}]",
                "spec.http[0].route[0].headers", ["80: [any] -> unsupported:1*1"]
            ),
            // What harms nobody is not obeyed.
            (
                "match: [{port: 80}], timeout: 1s, retries: {attempts: 2}, mirror: {host: shop}, route: [{destination: {host: v2}}]",
                "spec.http[0].timeout, spec.http[0].retries, spec.http[0].mirror is not supported and not obeyed",
                ["80: [any] -> v2:8080*1"]
            ),
            (
                "match: [{port: 80}], route: [{destination: {host: nowhere}}]",
                "its destination 'nowhere' does not exist", ["80: [any] -> nowhere:80*1"]
            ),
        ] as [(String, String, [String])])
    func whatIsNotSupportedIsTold(_ rule: String, _ told: String, _ expected: [String]) {
        let mesh = compiled(Self.services + Self.virtual("[{\(rule)}]"))
        #expect(rules(mesh) == expected)
        #expect(mesh.diagnostics.count == 1 && mesh.diagnostics[0].description.contains(told), "\(mesh.diagnostics)")
        #expect(mesh.diagnostics[0].object?.kind == "VirtualService" && mesh.diagnostics[0].place?.file == "m.yaml")
    }

    @Test(arguments: [
        ("{host: shop}", "spec: unknown field 'host'; did you mean 'hosts'?"),
        ("{http: []}", "spec: the field 'hosts' is missing or empty"),
        ("{hosts: [shop], https: []}", "unknown field 'https'; did you mean 'http'?"),
        ("{hosts: [shop], http: {}}", "spec.http: expected a list"),
        ("{hosts: [shop], http: [{rout: []}]}", "spec.http[0]: unknown field 'rout'; did you mean 'route'?"),
        (
            "{hosts: [shop], http: [{match: [{url: {exact: /}}], route: []}]}",
            "spec.http[0].match[0]: unknown field 'url'"
        ),
        (
            "{hosts: [shop], http: [{match: [{uri: {exakt: /}}], route: []}]}",
            "spec.http[0].match[0].uri: unknown field 'exakt'"
        ),
        ("{hosts: [shop], http: [{match: [{uri: /x}], route: []}]}", "spec.http[0].match[0].uri: expected a mapping"),
        ("{hosts: [shop], http: [{match: [{port: 0}], route: []}]}", "spec.http[0].match[0].port"),
        ("{hosts: [shop], http: [{name: x}]}", "the rule says neither 'route' nor any other action"),
        (
            "{hosts: [shop], http: [{route: [{weight: 1}]}]}",
            "spec.http[0].route[0]: the field 'destination' is missing"
        ),
        ("{hosts: [shop], http: [{route: [{destination: {}}]}]}", "the field 'host' is missing"),
        ("{hosts: [shop], http: [{route: [{destination: {host: v2}, weight: -1}]}]}", "spec.http[0].route[0].weight"),
        ("{hosts: [shop], http: [{route: [{destination: {host: v2, port: {number: http}}}]}]}", "port.number"),
        ("[]", "spec: expected a mapping"),
    ]) func brokenOnesAreRefusedWithTheirPlace(_ spec: String, _ told: String) {
        let mesh = compiled(
            Self.services
                + "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {name: vs, namespace: app}\nspec: \(spec)\n"
        )
        let line = Self.services.split(separator: "\n", omittingEmptySubsequences: false).count + 3
        #expect(mesh.routes.isEmpty)
        #expect(
            mesh.diagnostics.count == 1 && mesh.diagnostics[0].description.contains(told)
                && mesh.diagnostics[0].description.hasPrefix("m.yaml:\(line): error: VirtualService app/vs: "),
            "\(mesh.diagnostics)")
    }

    /// Oldest first; wildcards, entries, other namespaces, gateways, and HTTPRoutes.
    @Test func hostsNamespacesAndPrecedence() {
        let to = { (host: String) in "[{name: \(host), route: [{destination: {host: \(host)}}]}]" }
        var mesh = compiled(
            Self.services + Self.virtual(to("v2"), name: "b", created: "2024-01-02T00:00:00Z")
                + Self.virtual(to("shop"), name: "a", created: "2024-01-03T00:00:00Z"))
        #expect(mesh.routes.filter { $0.port == 80 }.flatMap(\.rules).map(\.name) == ["v2", "shop"])
        mesh = compiled(Self.services + Self.virtual(to("v2"), hosts: "['*.app.svc.cluster.local', pay.example.com]"))
        #expect(
            Set(mesh.routes.map(\.parent.description)) == [
                "app/shop.app.svc.cluster.local", "app/v2.app.svc.cluster.local", "app/pay.example.com",
            ])
        mesh = compiled(
            Self.services + Self.virtual(to("v2"), hosts: "[shop.app.svc.cluster.local]", namespace: "other"))
        #expect(
            mesh.routes.isEmpty && mesh.told(.ignored).contains { $0.contains("neither in the namespace of service") })
        mesh = compiled(Self.services + Self.virtual(to("v2"), hosts: "[nobody]"))
        #expect(mesh.routes.isEmpty && mesh.told(.dangling).contains { $0.contains("'nobody'") })
        mesh = compiled(Self.services + Self.virtual(to("v2"), more: ", gateways: [edge]"))
        #expect(mesh.routes.isEmpty && mesh.diagnostics.isEmpty)
        mesh = compiled(Self.services + Self.virtual(to("v2"), more: ", gateways: [edge, mesh]"))
        #expect(mesh.routes.count == 2)
        mesh = compiled(Self.services + Self.virtual("[]", more: ", tcp: [{route: []}]"))
        #expect(mesh.told(.unsupported).contains { $0.contains("spec.tcp is not supported and not used") })
        let route = """
            apiVersion: gateway.networking.k8s.io/v1
            kind: HTTPRoute
            metadata: {name: r, namespace: app}
            spec: {parentRefs: [{kind: Service, name: shop}], rules: [{backendRefs: [{name: v2, port: 8080}]}]}
            ---

            """
        mesh = compiled(Self.services + route + Self.virtual(to("shop"), hosts: "[shop, v2]"))
        #expect(mesh.told(.ignored).contains { $0.contains("has an HTTPRoute, which wins") })
        #expect(mesh.routes.map(\.order) == [.specificity, .written])
    }

    @Test(
        arguments: [
            ("abc", StringMatch.exact("abc")), ("^abc$", .exact("abc")), ("a\\.b", .exact("a.b")),
            ("/api/.*", .prefix("/api/")),
            (".*\\.png", .suffix(".png")), (".*", .prefix("")), (".*.*", .prefix("")), ("", .exact("")),
        ] as [(String, StringMatch)]) func simplePatterns(_ text: String, _ expected: StringMatch)
    {
        #expect(SimplePattern.read(text) == expected)
    }

    @Test(arguments: ["a.b", "a+", "[ab]", "(a)", "a|b", "\\d", "a\\", ".*a.*", "a{2}", "a?", "x$y", "a.*b"])
    func otherPatternsAreNotGuessed(_ text: String) {
        #expect(SimplePattern.read(text) == nil)
    }

    @Test func alternatives() {
        #expect(SimplePattern.alternatives("GET|POST") == ["GET", "POST"])
        #expect(SimplePattern.alternatives("^(?:GET|POST)$") == ["GET", "POST"])
        #expect(SimplePattern.alternatives("GET") == ["GET"])
        #expect(SimplePattern.alternatives("G.T|POST") == nil && SimplePattern.alternatives("(a)|(b)") == nil)
    }
}
