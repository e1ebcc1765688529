import ControlPlane
import MeshModel
import Testing

/// The routes file: what its keys mean, and that every fault names its line.
@Suite struct HTTPRouteFileTests {
    private static func table(_ text: String) throws(ConfigurationError) -> HTTPRouteTable {
        try HTTPRouteFile(parsing: Array(text.utf8), file: "routes.yaml").table
    }

    private static func error(_ text: String) -> String {
        do throws(ConfigurationError) {
            _ = try table(text)
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test func readsEveryKey() throws {
        let table = try Self.table(
            """
            routes:
              - service: default/server.default.svc.cluster.local
                port: 80
                hosts: [Server, "*.Example.com"]
                rules:
                  - name: canary
                    matches:
                      - path: {prefix: /api/}
                        method: GET
                        headers: {X-User: alice, x-debug: {present: true}, x-version: {prefix: "2."}}
                      - path: {exact: /login/}
                    backends:
                      - {service: default/v1.default.svc.cluster.local, port: 80, weight: 90}
                      - {workload: default/server-v2, port: 8080, weight: 10}
                  - backends: []
              - address: "[2001:db8::1]:5432"
                protocol: tcp
            """)
        let service = ServiceName(namespace: "default", hostname: "server.default.svc.cluster.local")
        #expect(table.routes.count == 2)
        let route = table.routes[0]
        #expect(route.parent == .service(service))
        #expect(route.port == 80)
        #expect(route.hosts == [.exact("server"), .suffix(".example.com")])
        #expect(route.rules.count == 2)
        let rule = route.rules[0]
        #expect(rule.name == "canary")
        #expect(rule.matches.map(\.path) == [.prefix("/api"), .exact("/login/")])
        #expect(rule.matches[0].method == "GET")
        #expect(
            rule.matches[0].headers == [
                .init(name: "x-user", value: .exact("alice")), .init(name: "x-debug", value: .presence),
                .init(name: "x-version", value: .prefix("2.")),
            ])
        #expect(
            rule.backends == [
                .init(
                    .service(ServiceName(namespace: "default", hostname: "v1.default.svc.cluster.local"), port: 80),
                    weight: 90),
                .init(.workload(namespace: "default", name: "server-v2", port: 8080), weight: 10),
            ])
        #expect(table.routes[1].inner == .tcp)
        #expect(try Self.table("routes: []").routes.isEmpty)
    }

    @Test(arguments: [
        ("routes:\n  - service: a/b\n    ruls: []", "routes[0]: unknown key 'ruls' at line 3"),
        ("routes:\n  - port: 80", "routes[0]: a route needs 'service' or 'address' at line 2"),
        ("routes:\n  - service: ab", "expected a service as 'namespace/hostname'"),
        ("routes:\n  - {service: a/b, address: 1.2.3.4:80}", "'service' or 'address', not both"),
        ("routes:\n  - {address: 1.2.3.4:80, port: 80}", "an address has its port already"),
        ("routes:\n  - {service: a/b, port: 0}", "expected a whole number from 1 to 65535"),
        ("routes:\n  - {service: a/b, hosts: [\"a*b\"]}", "expected a host name"),
        ("routes:\n  - {service: a/b, protocol: tcp, hosts: [a]}", "a tcp route cannot look at hosts"),
        ("routes:\n  - {service: a/b, protocol: tcp, rules: [{matches: [{method: GET}]}]}", "a tcp route has one rule"),
        (
            "routes:\n  - {service: a/b, rules: [{matches: [{path: {prefix: x}}]}]}",
            "expected a path that starts with '/'"
        ),
        ("routes:\n  - {service: a/b, rules: [{matches: [{path: {}}]}]}", "a path has 'prefix' or 'exact'"),
        ("routes:\n  - {service: a/b, rules: [{matches: [{headers: {\"a b\": c}}]}]}", "expected a header name"),
        ("routes:\n  - {service: a/b, rules: [{matches: [{headers: {a: {}}}]}]}", "a header has one condition"),
        ("routes:\n  - {service: a/b, rules: [{matches: [{method: get}]}]}", "expected a method in upper case"),
        ("routes:\n  - {service: a/b, rules: [{backends: [{service: a/b}]}]}", "the key 'port' is missing"),
        ("routes:\n  - {service: a/b, rules: [{backends: [{port: 1}]}]}", "a backend needs 'service' or 'workload'"),
        ("routes:\n  - {service: a/b, rules: [{backends: [{service: a/b, port: 1, weight: 0}]}]}", "weight 0"),
        ("routes:\n  - service: a/b\n  - {service: a/b, protocol: tcp}", "one route says http and another tcp"),
    ])
    func namesTheFault(_ text: String, _ expected: String) {
        let error = Self.error(text)
        #expect(error.contains(expected), "\(error)")
        #expect(error.hasPrefix("routes.yaml: "))
        #expect(error.contains("at line "))
    }
}
