internal import MeshModel

extension Kubernetes {
    /// `networking.istio.io` VirtualService: the part of it that routes of a waypoint can be made from, and what else is
    /// written there.
    struct VirtualService: Hashable, Sendable {
        struct Match: Hashable, Sendable {
            var match: MeshModel.HTTPRoute.Match
            /// Of the service; nil for any.
            var port: UInt16?
        }
        struct Destination: Hashable, Sendable {
            var host: String
            /// Nil for the only port of the service, or the one that was called.
            var port: UInt16?
            var weight: UInt32
        }
        struct Rule: Hashable, Sendable {
            var name: String
            var matches: [Match]
            /// Whether it says any match at all: one without takes every request.
            var isConditional: Bool
            var destinations: [Destination]
            /// Field paths of matches that are left out.
            var unreadMatches: [String]
            /// Field paths of what changes a request and is not supported.
            var unsupported: [String]
            /// Field paths of what is not obeyed and harms nobody.
            var ignored: [String]
        }
        var metadata: Metadata
        var hosts: [String]
        /// Whether it is for callers within the mesh, and not only for gateways.
        var isForMesh: Bool
        var rules: [Rule]
        /// Lists beside `http` that it has: `tcp`, `tls`.
        var otherLists: [String]
    }
}

extension Kubernetes.VirtualService {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        let spec = try root.required("spec").mapping()
        try spec.onlyKnown(["hosts", "gateways", "http", "tls", "tcp", "exportTo"])
        hosts = try spec.texts("hosts")
        guard !hosts.isEmpty else { throw spec.error("the field 'hosts' is missing or empty") }
        isForMesh = try Self.isForMesh(spec)
        rules = []
        for (position, item) in try spec.items("http").enumerated() {
            rules.append(try Rule(try item.mappingOrNothing(), "spec.http[\(position)]"))
        }
        otherLists = ["tcp", "tls"].filter { spec[$0] != nil }
    }

    fileprivate static func isForMesh(_ mapping: ManifestMapping) throws(ConfigurationError) -> Bool {
        let gateways = try mapping.texts("gateways")
        return gateways.isEmpty || gateways.contains("mesh")
    }
}

extension Kubernetes.VirtualService.Rule {
    /// What says where a request goes, or what becomes of it: without it, the request would be another one.
    private static let actions = [
        "redirect", "directResponse", "delegate", "rewrite", "fault", "corsPolicy", "headers",
    ]
    /// What a request can do without.
    private static let conveniences = ["timeout", "retries", "mirror", "mirrors", "mirrorPercent", "mirrorPercentage"]

    init(_ mapping: ManifestMapping, _ field: String) throws(ConfigurationError) {
        try mapping.onlyKnown(["name", "match", "route"] + Self.actions + Self.conveniences)
        name = try mapping.text("name")
        unsupported = Self.actions.filter { mapping[$0] != nil }.map { "\(field).\($0)" }
        ignored = Self.conveniences.filter { mapping[$0] != nil }.map { "\(field).\($0)" }
        (matches, destinations, unreadMatches) = ([], [], [])
        let items = try mapping.items("match")
        isConditional = !items.isEmpty
        for (position, item) in items.enumerated() {
            let reading = try VirtualServiceMatchReading(try item.mappingOrNothing())
            guard reading.isForMesh else { continue }
            if reading.faults.isEmpty { matches += reading.matches }
            unreadMatches += reading.faults.map { "\(field).match[\(position)].\($0)" }
        }
        let routes = try mapping.items("route")
        for (position, item) in routes.enumerated() {
            let route = try item.mapping()
            try route.onlyKnown(["destination", "weight", "headers"])
            let place = "\(field).route[\(position)]"
            if route["headers"] != nil { unsupported.append("\(place).headers") }
            let destination = try route.required("destination").mapping()
            try destination.onlyKnown(["host", "subset", "port"])
            if destination["subset"] != nil { unsupported.append("\(place).destination.subset") }
            let weight = try route["weight"]?.integer(0...1_000_000)
            destinations.append(
                .init(
                    host: try destination.requiredText("host"),
                    port: try destination.mapping("port")?["number"]?.port(),
                    // One alone needs no weight, of several one without gets nothing.
                    weight: UInt32(weight ?? (routes.count == 1 ? 1 : 0))))
        }
        guard !destinations.isEmpty || !unsupported.isEmpty else {
            throw mapping.error("the rule says neither 'route' nor any other action")
        }
    }
}

/// One entry of `match`; may become several where a method is one of a list.
private struct VirtualServiceMatchReading {
    var matches: [Kubernetes.VirtualService.Match] = []
    /// False where it is for gateways alone.
    var isForMesh = true
    /// Keys that are not supported.
    var faults: [String] = []

    init(_ mapping: ManifestMapping) throws(ConfigurationError) {
        try mapping.onlyKnown([
            "name", "uri", "scheme", "method", "authority", "headers", "port", "sourceLabels", "gateways",
            "queryParams",
            "ignoreUriCase", "withoutHeaders", "sourceNamespace", "statPrefix",
        ])
        isForMesh = try Kubernetes.VirtualService.isForMesh(mapping)
        for key in ["scheme", "authority", "sourceLabels", "queryParams", "withoutHeaders", "sourceNamespace"]
        where mapping[key] != nil { faults.append(key) }
        if try mapping.bool("ignoreUriCase") { faults.append("ignoreUriCase") }
        var match = MeshModel.HTTPRoute.Match()
        if let uri = try mapping.mapping("uri") {
            switch try Self.condition(uri) {
            case .exact(let text): match.path = .exact(text)
            case .prefix(let text): match.path = text.isEmpty || text == "/" ? .prefix("") : .beginning(text)
            case .suffix(let text): match.path = .ending(text)
            case .presence: match.path = .prefix("")
            case nil: faults.append("uri")
            }
        }
        for entry in try mapping.mapping("headers")?.entries ?? [] {
            let place = mapping.value.path.child("headers").child(entry.key.pathStep)
            let value = ManifestValue(node: entry.value, path: place)
            let condition = entry.value.isNull ? StringMatch.presence : try Self.condition(try value.mapping())
            guard let condition, !entry.key.hasPrefix(":"), !entry.key.hasPrefix("@") else {
                faults.append("headers.\(entry.key)")
                continue
            }
            match.headers.append(.init(name: entry.key.lowercased(), value: condition))
        }
        var methods: [String?] = [nil]
        if let method = try mapping.mapping("method") {
            if let text = try method["exact"]?.text() {
                methods = [text]
            } else if let text = try method["regex"]?.text(), let list = SimplePattern.alternatives(text) {
                methods = list
            } else {
                faults.append("method")
            }
        }
        let port = try mapping["port"]?.port()
        for method in methods {
            match.method = method
            matches.append(.init(match: match, port: port))
        }
    }

    /// A StringMatch; nil for one that cannot be compared here.
    private static func condition(_ mapping: ManifestMapping) throws(ConfigurationError) -> StringMatch? {
        try mapping.onlyKnown(["exact", "prefix", "regex"])
        if let text = try mapping["exact"]?.text() { return .exact(text) }
        if let text = try mapping["prefix"]?.text() { return .prefix(text) }
        if let text = try mapping["regex"]?.text() { return text == "*" ? .presence : SimplePattern.read(text) }
        return .presence
    }
}
