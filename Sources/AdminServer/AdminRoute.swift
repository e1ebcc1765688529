/// What a request asks for.
enum AdminRoute: Equatable, Sendable {
    case index
    case configDump
    case metrics(openMetrics: Bool)
    case readiness
    /// Show the log filter, or change it: first back to the start if `reset`, then the clauses behind it.
    case logging(level: String?, reset: Bool)
    case quit
    case status
    case list(ListQuery)
    case why
    case policyDiff
    case flows(FlowQuery)
    /// Of a namespace, and in it of a workload where that is not empty.
    case strictReady(namespace: String, workload: String)
    case addPod
    case removePod
    /// Nothing of ours: the answer is ready.
    case refused(AdminResponse)
}

extension AdminRoute {
    /// Finds the route of a request.
    ///
    /// - Parameters:
    ///   - target: path and query as they came.
    ///   - accept: the Accept field, empty when there is none.
    init(_ surface: AdminSurface, method: String, target: String, accept: String) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts.first.map(String.init) ?? ""
        let query = AdminQuery(parts.count == 2 ? String(parts[1]) : "")
        var known: [String: AdminRoute] = [:]
        switch (surface, path) {
        case (.admin, "/"), (.admin, "/index.html"): known["GET"] = .index
        case (.admin, "/config_dump"): known["GET"] = .configDump
        case (.admin, "/quitquitquit"): known["POST"] = .quit
        case (.admin, "/logging"), (.control, "/logging"):
            known["POST"] = .logging(level: query["level"], reset: query["reset"] != nil)
        case (.metrics, "/metrics"), (.metrics, "/stats/prometheus"):
            let items = accept.split(separator: ",").map { $0.drop { $0 == " " } }
            known["GET"] = .metrics(openMetrics: items.contains { $0.hasPrefix("application/openmetrics-text") })
        case (.readiness, "/healthz/ready"): known["GET"] = .readiness
        case (.control, "/status"): known["GET"] = .status
        case (.control, "/why"): known["POST"] = .why
        case (.control, "/policy-diff"): known["POST"] = .policyDiff
        case (.control, "/strict-ready"):
            known["GET"] = .strictReady(namespace: query["namespace"] ?? "", workload: query["workload"] ?? "")
        case (.control, "/flows"): known["GET"] = .flows(FlowQuery(query))
        case (.control, "/pods"):
            known["POST"] = .addPod
            known["DELETE"] = .removePod
        case (.control, _):
            if let kind = ListQuery.Kind(rawValue: String(path.dropFirst())), path.hasPrefix("/") {
                known["GET"] = .list(ListQuery(kind, query))
            }
        default: break
        }
        if let route = known[method] {
            self = route
        } else if known.isEmpty {
            self = .refused(.text(404, "not found\n"))
        } else {
            let allowed = known.keys.sorted().joined(separator: ", ")
            self = .refused(.text(405, "this path takes \(allowed)\n", allow: allowed))
        }
    }
}

/// The parameters of a query string; the first value of a name counts.
struct AdminQuery: Equatable, Sendable {
    private var values: [String: String] = [:]

    init(_ text: String) {
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first.map({ Self.decoded($0) }), values[name] == nil else { continue }
            values[name] = parts.count == 2 ? Self.decoded(parts[1]) : ""
        }
    }

    subscript(name: String) -> String? { values[name] }

    /// Undoes `%XX` and `+`; a broken escape stays as it is.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        let source = Array(text.utf8)
        var at = 0
        while at < source.count {
            if source[at] == UInt8(ascii: "%"), at + 2 < source.count,
                let value = UInt8(String(decoding: source[(at + 1)...(at + 2)], as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                at += 3
            } else {
                bytes.append(source[at] == UInt8(ascii: "+") ? 32 : source[at])
                at += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
