import MeshModel
import RoutingCore
import Testing

/// The precedence and the matching rules of the Gateway API, the path form, and the weights.
@Suite struct HTTPRouteTests {
    private static let service = ServiceName(namespace: "default", hostname: "server.default.svc.cluster.local")
    private static let vip = SocketAddress(IPAddress(v4: 0x0a0a_0001), 80)

    private final class Fields: L7Fields {
        let values: [(name: String, value: String)]
        init(_ values: [(name: String, value: String)]) { self.values = values }
        func hasField(named name: String, where body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
            values.contains { field in
                field.name == name && Array(field.value.utf8).withUnsafeBytes { body($0) }
            }
        }
    }

    private static func rule(
        _ name: String, path: HTTPRoute.Path = .prefix(""), method: String? = nil, headers: [HTTPRoute.Header] = []
    ) -> HTTPRoute.Rule {
        var match = HTTPRoute.Match()
        match.path = path
        match.method = method
        match.headers = headers
        var rule = HTTPRoute.Rule()
        rule.name = name
        rule.matches = [match]
        return rule
    }

    private static func matched(
        _ routes: [HTTPRoute], _ path: String, host: String = "server", method: String = "GET",
        fields: [(name: String, value: String)] = []
    ) -> String? {
        guard let routes = HTTPRouteTable(routes).routes(at: vip, service: service) else { return "no routes" }
        let fields = Fields(fields)
        return Array(method.utf8).withUnsafeBytes { method in
            Array(host.utf8).withUnsafeBytes { host in
                Array(path.utf8).withUnsafeBytes { path in
                    let request = L7Request(method: method, authority: host, path: path, fields: fields)
                    let (entry, trace) = HTTPRouteMatcher.trace(request, in: routes)
                    #expect(HTTPRouteMatcher.match(request, in: routes) === entry)
                    #expect(trace.steps.last == entry.map { "\($0.name) matches" } ?? "no rule matches")
                    return entry?.name
                }
            }
        }
    }

    private static func route(_ rules: HTTPRoute.Rule..., hosts: [HTTPRoute.Host] = []) -> HTTPRoute {
        var route = HTTPRoute(parent: .service(service))
        route.hosts = hosts
        route.rules = rules
        return route
    }

    @Test(arguments: [
        ("/x", "prefix"), ("/x/", "prefix"), ("/x/y", "prefix"), ("/x?q=/z", "prefix"), ("/xy", "root"), ("/", "root"),
        ("/X", "root"), ("/x/exact", "exact"), ("/x/exact/", "prefix"), ("/x/exact?a", "exact"),
        ("/x/long/a", "longer"),
        ("*", nil),
    ])
    func pathBySegments(_ path: String, _ expected: String?) {
        let routes = [
            Self.route(
                Self.rule("root"), Self.rule("prefix", path: .prefix("/x")),
                Self.rule("longer", path: .prefix("/x/long")),
                Self.rule("exact", path: .exact("/x/exact")))
        ]
        #expect(Self.matched(routes, path) == expected)
    }

    @Test(arguments: [
        ("a.example.com", "exact"), ("A.Example.COM:8080", "exact"), ("b.example.com", "wild"),
        ("c.b.example.com", "wild"), ("example.com", "any"), (".example.com", "any"), ("x.sub.example.com", "longer"),
        ("[::1]:80", "any"), ("", "any"),
    ])
    func hostBySpecificity(_ host: String, _ expected: String) {
        let routes = [
            Self.route(Self.rule("any")), Self.route(Self.rule("wild"), hosts: [.suffix(".example.com")]),
            Self.route(Self.rule("longer"), hosts: [.suffix(".sub.example.com")]),
            Self.route(Self.rule("exact"), hosts: [.exact("a.example.com")]),
        ]
        #expect(Self.matched(routes, "/", host: host) == expected)
    }

    @Test func headersAndMethods() {
        let routes = [
            Self.route(
                Self.rule("plain"), Self.rule("post", method: "POST"),
                Self.rule("present", headers: [.init(name: "debug", value: .presence)]),
                Self.rule(
                    "both",
                    headers: [.init(name: "debug", value: .exact("1")), .init(name: "v", value: .prefix("2."))]),
                Self.rule("suffix", path: .prefix("/s"), headers: [.init(name: "v", value: .suffix("-rc"))]))
        ]
        #expect(Self.matched(routes, "/") == "plain")
        #expect(Self.matched(routes, "/", method: "POST", fields: [("debug", "1"), ("v", "2.0")]) == "post")
        #expect(Self.matched(routes, "/", fields: [("debug", "")]) == "present")
        #expect(Self.matched(routes, "/", fields: [("debug", "1"), ("v", "3")]) == "present")
        #expect(Self.matched(routes, "/", fields: [("debug", "0"), ("debug", "1"), ("v", "2.1")]) == "both")
        #expect(Self.matched(routes, "/s", fields: [("v", "2-rc")]) == "suffix")
        #expect(Self.matched(routes, "/s", fields: [("v", "2")]) == "plain")
    }

    @Test func firstWrittenWinsATie() {
        let routes = [Self.route(Self.rule("one"), Self.rule("two")), Self.route(Self.rule("three"))]
        #expect(Self.matched(routes, "/") == "one")
    }

    @Test func addressBeforePortBeforeService() {
        var byPort = Self.route(Self.rule("port"))
        byPort.port = 80
        var byAddress = HTTPRoute(parent: .address(Self.vip))
        byAddress.rules = [Self.rule("address")]
        let table = HTTPRouteTable([Self.route(Self.rule("service")), byPort, byAddress])
        func first(_ address: SocketAddress, _ service: ServiceName?) -> String? {
            table.routes(at: address, service: service)?.entries.first?.name
        }
        #expect(first(Self.vip, Self.service) == "address")
        let other = IPAddress(v4: 1)
        #expect(first(SocketAddress(other, 80), Self.service) == "port")
        #expect(first(SocketAddress(other, 81), Self.service) == "service")
        #expect(first(SocketAddress(other, 81), nil) == nil)
    }

    @Test func weightsAreShares() {
        var rule = HTTPRoute.Rule()
        rule.backends = [
            .init(.workload(namespace: "d", name: "v1", port: 80), weight: 90),
            .init(.workload(namespace: "d", name: "v2", port: 80), weight: 10),
            .init(.workload(namespace: "d", name: "off", port: 80), weight: 0),
        ]
        guard let entry = HTTPRouteTable([Self.route(rule)]).routes(at: Self.vip, service: Self.service)?.entries.first
        else {
            Issue.record("no entry")
            return
        }
        var random = RandomDraws(seed: 7)
        var counts: [String: Int] = [:]
        for _ in 0..<10_000 {
            let backend = HTTPRouteMatcher.backend(of: entry, random: &random)
            counts[backend.map { "\($0)" } ?? "none", default: 0] += 1
        }
        #expect(counts["workload d/off:80"] == nil)
        #expect((8_800...9_200).contains(counts["workload d/v1:80"] ?? 0))
        #expect(counts.values.reduce(0, +) == 10_000)
    }

    @Test(arguments: [
        ("/a/b?c=/../d", nil), ("/", nil), ("/a/../b/./c//d%2Fe%2e%2e/x", "/b/c//d%2Fe../x"), ("/../../x", "/x"),
        ("/a/..", "/"), ("/a/.", "/a/"), ("/%61dmin", "/admin"), ("/a\\..\\b", "/b"), ("/a/%2e%2E/b?q=%61", "/b?q=%61"),
        ("/.hidden", "/.hidden"), ("/%zz%2", "/%zz%2"), ("/a/..;/b", "/a/..;/b"), ("/a%2fb", "/a%2fb"),
    ])
    func onePathForAll(_ path: String, _ expected: String?) {
        let result = Array(path.utf8).withUnsafeBytes { L7Path.normalized($0) }
        #expect(result.map { String(decoding: $0, as: UTF8.self) } == expected)
    }
}
