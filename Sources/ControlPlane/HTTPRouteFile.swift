package import MeshModel

/// The routes file of a waypoint; docs/waypoint-routes.md describes it.
///
/// ```yaml
/// routes:
///   - service: default/server.default.svc.cluster.local   # or address: 10.10.0.1:80
///     port: 80                    # without it, every port of the service
///     protocol: http              # or tcp: relay bytes to a backend of the first rule
///     hosts: [server, "*.example.com"]
///     rules:
///       - name: canary
///         matches:                # any may hold; inside one, all must
///           - path: {prefix: /api}        # or {exact: /login}
///             method: GET
///             headers: {x-user: alice, x-debug: {present: true}, x-version: {prefix: "2."}}
///         backends:               # without them, the called service itself
///           - {service: default/v1.default.svc.cluster.local, port: 80, weight: 90}
///           - {workload: default/server-v2, port: 8080, weight: 10}
/// ```
package struct HTTPRouteFile: Sendable {
    package let table: HTTPRouteTable

    /// Reads the file's text.
    /// - Throws: ``ConfigurationError`` with line and key; nothing is half read.
    package init(
        parsing bytes: [UInt8], file: String, limits: YAMLLimits = YAMLLimits()
    ) throws(ConfigurationError) {
        let root = YAMLReader(try YAMLDocument.parse(bytes, file: file, limits: limits), file: file)
        let fields = try root.fields(["routes"])
        var parents: [HTTPRoute] = []
        let routes = try fields.list("routes") { reader throws(ConfigurationError) in
            let route = try HTTPRoute(reading: reader)
            let clash = parents.contains {
                $0.parent == route.parent && $0.port == route.port && $0.inner != route.inner
            }
            if clash { throw reader.error("one route says http and another tcp for \(route.parent)") }
            parents.append(route)
            return route
        }
        table = HTTPRouteTable(routes)
    }
}

extension HTTPRoute {
    private static let keys = ["service", "address", "port", "protocol", "hosts", "rules"]

    init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(Self.keys)
        let service = try fields.optional("service") { item throws(ConfigurationError) in try item.serviceName() }
        let address = try fields.optional("address") { item throws(ConfigurationError) in
            try item.parsed("an address with port, as 10.0.0.1:80 or [2001:db8::1]:80") { SocketAddress($0) }
        }
        let port = try fields.optional("port") { item throws(ConfigurationError) in try item.port() }
        switch (service, address) {
        case (let service?, nil): self.init(parent: .service(service), port: port)
        case (nil, let address?):
            if port != nil {
                throw fields.place("port").error("an address has its port already", hint: "remove 'port'")
            }
            self.init(parent: .address(address))
        case (nil, nil): throw reader.error("a route needs 'service' or 'address'")
        case (_?, _?): throw fields.place("address").error("a route has 'service' or 'address', not both")
        }
        inner = try fields.choice("protocol", default: .http)
        hosts = try fields.list("hosts") { item throws(ConfigurationError) in
            try item.parsed("a host name, or '*.' and a host name") { Host($0) }
        }
        rules = try fields.list("rules") { item throws(ConfigurationError) in try Rule(reading: item) }
        guard inner == .tcp else { return }
        if !hosts.isEmpty { throw fields.place("hosts").error("a tcp route cannot look at hosts") }
        guard rules.count <= 1, rules.allSatisfy({ $0.matches.isEmpty }) else {
            throw fields.place("rules").error("a tcp route has one rule, without matches")
        }
    }
}

extension HTTPRoute.Host {
    /// Reads `name`, `*.name`; nil for anything else. `*` is written as no host at all.
    init?(_ text: String) {
        let isWild = text.hasPrefix("*.")
        let name = (isWild ? String(text.dropFirst()) : text).lowercased()
        let core = isWild ? name.dropFirst() : name[...]
        guard !core.isEmpty, core.utf8.count <= 253, core.first != ".", core.last != ".",
            core.utf8.allSatisfy({
                (97...122).contains($0) || (45...58).contains($0) && $0 != 47 || $0 == 91 || $0 == 93 || $0 == 95
            })
        else { return nil }
        self = isWild ? .suffix(name) : .exact(name)
    }
}

extension HTTPRoute.Rule {
    init(reading reader: YAMLReader) throws(ConfigurationError) {
        self.init()
        let fields = try reader.fields(["name", "matches", "backends"])
        name = try fields.text("name")
        matches = try fields.list("matches") { item throws(ConfigurationError) in try HTTPRoute.Match(reading: item) }
        backends = try fields.list("backends") { item throws(ConfigurationError) in
            try HTTPRoute.Backend(reading: item)
        }
        if !backends.isEmpty, backends.allSatisfy({ $0.weight == 0 }) {
            throw fields.place("backends").error("every backend has weight 0", hint: "give one a weight above 0")
        }
    }
}

extension HTTPRoute.Match {
    init(reading reader: YAMLReader) throws(ConfigurationError) {
        self.init()
        let fields = try reader.fields(["path", "method", "headers"])
        path =
            try fields.optional("path") { item throws(ConfigurationError) in try HTTPRoute.Path(reading: item) } ?? path
        method = try fields.optional("method") { item throws(ConfigurationError) in
            try item.parsed("a method in upper case, as GET") { text in
                !text.isEmpty && text.utf8.count <= 32 && text.utf8.allSatisfy { (65...90).contains($0) || $0 == 45 }
                    ? text : nil
            }
        }
        headers =
            try fields.optional("headers") { item throws(ConfigurationError) in
                try item.entries { key, value throws(ConfigurationError) in
                    let name = try key.parsed("a header name") { HTTPRoute.Header.name($0) }
                    return HTTPRoute.Header(name: name, value: try HTTPRoute.Header.match(reading: value))
                }
            } ?? []
    }
}

extension HTTPRoute.Path {
    init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(["prefix", "exact"])
        let isPrefix = fields.contains("prefix")
        guard isPrefix != fields.contains("exact") else { throw reader.error("a path has 'prefix' or 'exact'") }
        let text = try fields.required(isPrefix ? "prefix" : "exact") { item throws(ConfigurationError) in
            try item.parsed("a path that starts with '/', without '?' and '#'") { text in
                text.hasPrefix("/") && text.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != 63 && $0 != 35 } ? text : nil
            }
        }
        guard isPrefix else {
            self = .exact(text)
            return
        }
        self = .prefix(text.hasSuffix("/") ? String(text.dropLast()) : text)
    }
}

extension HTTPRoute.Header {
    /// The name in lower case; nil when it cannot be one.
    static func name(_ text: String) -> String? {
        let token = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz".utf8)
        let lower = text.lowercased()
        return !lower.isEmpty && lower.utf8.allSatisfy { token.contains($0) } ? lower : nil
    }

    /// A text is an exact value; `{exact: …}`, `{prefix: …}`, `{suffix: …}` and `{present: true}` say it at length.
    static func match(reading reader: YAMLReader) throws(ConfigurationError) -> StringMatch {
        guard case .mapping(let entries) = reader.node.content else { return .exact(try reader.text()) }
        let fields = try reader.fields(["exact", "prefix", "suffix", "present"])
        guard let entry = entries.first, entries.count == 1 else { throw reader.error("a header has one condition") }
        switch entry.key {
        case "exact": return .exact(try fields.text("exact"))
        case "prefix": return .prefix(try fields.requiredText("prefix"))
        case "suffix": return .suffix(try fields.requiredText("suffix"))
        default:
            guard try fields.bool("present") else { throw reader.error("'present' can only be true") }
            return .presence
        }
    }
}

extension HTTPRoute.Backend {
    init(reading reader: YAMLReader) throws(ConfigurationError) {
        let fields = try reader.fields(["service", "workload", "port", "weight"])
        let service = try fields.optional("service") { item throws(ConfigurationError) in try item.serviceName() }
        let workload = try fields.optional("workload") { item throws(ConfigurationError) in
            try item.parsed("a workload as 'namespace/name'") { text -> (String, String)? in
                let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
                return parts.count == 2 && !parts[0].isEmpty && !parts[1].isEmpty ? (parts[0], parts[1]) : nil
            }
        }
        let port = try fields.required("port") { item throws(ConfigurationError) in try item.port() }
        let weight = try fields.optional("weight") { item throws(ConfigurationError) in
            try item.integer(0...UInt32(1_000_000))
        }
        switch (service, workload) {
        case (let service?, nil): self.init(.service(service, port: port), weight: weight ?? 1)
        case (nil, let workload?):
            self.init(.workload(namespace: workload.0, name: workload.1, port: port), weight: weight ?? 1)
        case (nil, nil): throw reader.error("a backend needs 'service' or 'workload'")
        case (_?, _?): throw reader.error("a backend has 'service' or 'workload', not both")
        }
    }
}

extension YAMLReader {
    fileprivate func serviceName() throws(ConfigurationError) -> ServiceName {
        try parsed("a service as 'namespace/hostname'") { ServiceName($0) }
    }
}
