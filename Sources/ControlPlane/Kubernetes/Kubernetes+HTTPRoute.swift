internal import MeshModel

extension Kubernetes {
    /// `gateway.networking.k8s.io` HTTPRoute, of those the ones whose parents are Services: routes of a waypoint.
    struct HTTPRoute: Hashable, Sendable {
        struct Parent: Hashable, Sendable {
            var service: ObjectName
            var port: UInt16?
        }
        struct Rule: Hashable, Sendable {
            var rule: MeshModel.HTTPRoute.Rule
            /// Field paths of what is written and not understood.
            var unsupported: [String]
            /// Whether every match was left out because of that, so that the rule can mean nothing.
            var isUnusable: Bool
            /// Backends by Service; weights as written.
            var backends: [(service: ObjectName, port: UInt16, weight: UInt32)]

            static func == (a: Rule, b: Rule) -> Bool {
                a.rule == b.rule && a.unsupported == b.unsupported && a.isUnusable == b.isUnusable
                    && a.backends.elementsEqual(b.backends) { $0 == $1 }
            }

            func hash(into hasher: inout Hasher) { hasher.combine(rule) }
        }
        var metadata: Metadata
        var parents: [Parent]
        var rules: [Rule]
    }
}

extension Kubernetes.HTTPRoute {
    init(_ root: ManifestMapping) throws(ConfigurationError) {
        metadata = try Kubernetes.Metadata(root, isNamespaced: true)
        (parents, rules) = ([], [])
        let spec = try root.required("spec").mapping()
        for item in try spec.items("parentRefs") {
            let parent = try item.mapping()
            guard try parent.text("kind") == "Service" else { continue }
            let namespace = try parent.text("namespace")
            parents.append(
                Parent(
                    service: ObjectName(
                        namespace.isEmpty ? metadata.namespace : namespace, try parent.requiredText("name")),
                    port: try parent["port"]?.port()))
        }
        for (position, item) in try spec.items("rules").enumerated() {
            rules.append(try Rule(try item.mappingOrNothing(), metadata.namespace, "spec.rules[\(position)]"))
        }
    }
}

extension Kubernetes.HTTPRoute.Rule {
    init(_ mapping: ManifestMapping, _ namespace: String, _ field: String) throws(ConfigurationError) {
        try mapping.onlyKnown(
            ["name", "matches", "backendRefs", "filters", "timeouts", "retry", "sessionPersistence"])
        rule = MeshModel.HTTPRoute.Rule()
        rule.name = try mapping.text("name")
        (unsupported, backends, isUnusable) = ([], [], false)
        for key in ["filters", "timeouts", "retry", "sessionPersistence"] where mapping[key] != nil {
            unsupported.append("\(field).\(key)")
        }
        let matches = try mapping.items("matches")
        for (position, item) in matches.enumerated() {
            var faults: [String] = []
            let match = try Self.match(try item.mappingOrNothing(), &faults)
            if faults.isEmpty { rule.matches.append(match) }
            unsupported += faults.map { "\(field).matches[\(position)].\($0)" }
        }
        isUnusable = !matches.isEmpty && rule.matches.isEmpty
        for (position, item) in try mapping.items("backendRefs").enumerated() {
            let backend = try item.mapping()
            if backend["filters"] != nil { unsupported.append("\(field).backendRefs[\(position)].filters") }
            let kind = try backend.text("kind")
            guard kind.isEmpty || kind == "Service" else {
                throw backend.error("a backend of kind \(kind.quoted) is not known", hint: "use a Service")
            }
            let own = try backend.text("namespace")
            backends.append(
                (
                    ObjectName(own.isEmpty ? namespace : own, try backend.requiredText("name")),
                    try backend.required("port").port(),
                    UInt32(try backend["weight"]?.integer(0...1_000_000) ?? 1)
                ))
        }
    }

    private static func match(
        _ mapping: ManifestMapping, _ faults: inout [String]
    ) throws(ConfigurationError) -> MeshModel.HTTPRoute.Match {
        try mapping.onlyKnown(["path", "method", "headers", "queryParams"])
        var match = MeshModel.HTTPRoute.Match()
        if let path = try mapping.mapping("path") {
            let text = path["value"] == nil ? "/" : try path.requiredText("value")
            switch try path.text("type") {
            case "Exact": match.path = .exact(text)
            case "", "PathPrefix": match.path = .prefix(text.hasSuffix("/") ? String(text.dropLast()) : text)
            case "RegularExpression":
                switch SimplePattern.read(text) {
                case .exact(let text): match.path = .exact(text)
                case .prefix(let text): match.path = text.isEmpty || text == "/" ? .prefix("") : .beginning(text)
                case .suffix(let text): match.path = .ending(text)
                case .presence, nil: faults.append("path")
                }
            default: faults.append("path")
            }
        }
        let method = try mapping.text("method")
        if !method.isEmpty { match.method = method }
        for item in try mapping.items("headers") {
            let header = try item.mapping()
            let type = try header.text("type")
            let text = try header.text("value")
            var condition: StringMatch?
            switch type {
            case "", "Exact": condition = .exact(text)
            case "RegularExpression": condition = SimplePattern.read(text)
            default: break
            }
            guard let condition else {
                faults.append("headers")
                continue
            }
            match.headers.append(.init(name: try header.requiredText("name").lowercased(), value: condition))
        }
        if mapping["queryParams"] != nil { faults.append("queryParams") }
        return match
    }
}
