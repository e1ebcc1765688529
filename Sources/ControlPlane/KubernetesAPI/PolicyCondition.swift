/// What is said of one policy in its `status.conditions`.
struct PolicyCondition: Hashable, Sendable {
    /// The type of the condition; nobody else's is touched.
    static let type = "ZtunAccepted"

    var isAccepted: Bool
    /// Why it is not in force as written, or what about it is probably not meant; one line.
    var message: String

    var status: String { isAccepted ? "True" : "False" }
    /// One word, as Kubernetes wants it.
    var reason: String { isAccepted ? "Accepted" : "UnsupportedValue" }

    /// What diagnostics say of each policy; those of which nothing is said are in force as written.
    static func all(
        _ policies: some Sequence<ObjectReference>, _ diagnostics: [ManifestDiagnostic]
    ) -> [ObjectReference: PolicyCondition] {
        var conditions: [ObjectReference: PolicyCondition] = [:]
        for policy in policies {
            conditions[policy] = PolicyCondition(isAccepted: true, message: "enforced as written")
        }
        for diagnostic in diagnostics {
            guard let policy = diagnostic.object, let known = conditions[policy] else { continue }
            let isError = diagnostic.severity == .error || diagnostic.code == .unsupported
            let text = known.message == "enforced as written" ? diagnostic.text : "\(known.message); \(diagnostic.text)"
            // As long as Kubernetes allows, with room for what escaping adds.
            conditions[policy] = PolicyCondition(
                isAccepted: known.isAccepted && !isError, message: String(text.prefix(8000)))
        }
        return conditions
    }

    /// The merge patch that puts the condition among those an object has; nil where it says this already.
    /// - Parameters:
    ///   - object: as the API server has it.
    ///   - now: RFC 3339.
    func patch(of object: YAMLNode, now: String) -> String? {
        var others: [String] = []
        var since = now
        if case .sequence(let items)? = object["status"]?["conditions"]?.content {
            for item in items {
                guard item["type"]?.string == Self.type else {
                    others.append(item.json)
                    continue
                }
                if item["status"]?.string == status {
                    if item["message"]?.string == message, item["reason"]?.string == reason { return nil }
                    since = item["lastTransitionTime"]?.string ?? now
                }
            }
        }
        let fields = [
            ("type", Self.type), ("status", status), ("reason", reason), ("message", message),
            ("lastTransitionTime", since), ("lastProbeTime", now),
        ]
        let own = fields.map { "\"\($0)\":\(YAMLNode.json($1))" }.joined(separator: ",")
        let list = (others + ["{\(own)}"]).joined(separator: ",")
        let version = YAMLNode.json(APIObjectReader.resourceVersion(object))
        // With the version, what somebody else has written meanwhile makes the patch fail instead of being lost.
        return "{\"metadata\":{\"resourceVersion\":\(version)},\"status\":{\"conditions\":[\(list)]}}"
    }
}

extension YAMLNode {
    /// The value as JSON text.
    var json: String {
        switch content {
        case .mapping(let entries):
            "{\(entries.map { "\(Self.json($0.key)):\($0.value.json)" }.joined(separator: ","))}"
        case .sequence(let items): "[\(items.map(\.json).joined(separator: ","))]"
        case .scalar(let scalar): scalar.type == .text ? Self.json(scalar.text) : scalar.text
        }
    }

    /// A text as a JSON string.
    static func json(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\u{0}"..<" ":
                let hex = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
