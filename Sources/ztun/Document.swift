internal import FoundationEssentials

/// A JSON document of any shape, to be printed as JSON or YAML.
indirect enum Document: Codable {
    case null
    case boolean(Bool)
    case integer(Int64)
    case natural(UInt64)
    case number(Double)
    case text(String)
    case list([Document])
    case map([String: Document])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(UInt64.self) {
            self = .natural(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([Document].self) {
            self = .list(value)
        } else {
            self = .map(try container.decode([String: Document].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .boolean(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .natural(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .text(let value): try container.encode(value)
        case .list(let value): try container.encode(value)
        case .map(let value): try container.encode(value)
        }
    }

    /// A value as JSON text, keys sorted.
    static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // Encoding plain strings and numbers has no way to fail; an empty object is still JSON.
        guard let data = try? encoder.encode(value) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    /// A value as a YAML document, keys sorted, with its end of line.
    static func yaml(_ value: some Encodable) -> String {
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(json(value).utf8)) else {
            return "{}\n"
        }
        return document.yaml
    }

    /// The document as YAML, keys sorted, with its end of line.
    var yaml: String {
        var text = ""
        switch self {
        case .list(let values) where !values.isEmpty: Self.write(values, indent: "", into: &text)
        case .map(let members) where !members.isEmpty: Self.write(members, indent: "", into: &text)
        default: text = scalar + "\n"
        }
        return text
    }

    private static func write(_ values: [Document], indent: String, into text: inout String) {
        for value in values {
            switch value {
            case .map(let members) where !members.isEmpty:
                var inner = ""
                write(members, indent: indent + "  ", into: &inner)
                // The first key stands behind the dash.
                text += "\(indent)- \(inner.dropFirst(indent.count + 2))"
            case .list(let inner) where !inner.isEmpty:
                text += "\(indent)-\n"
                write(inner, indent: indent + "  ", into: &text)
            default: text += "\(indent)- \(value.scalar)\n"
            }
        }
    }

    private static func write(_ members: [String: Document], indent: String, into text: inout String) {
        for (key, value) in members.sorted(by: { $0.key < $1.key }) {
            text += "\(indent)\(scalar(key)):"
            switch value {
            case .map(let inner) where !inner.isEmpty:
                text += "\n"
                write(inner, indent: indent + "  ", into: &text)
            case .list(let inner) where !inner.isEmpty:
                text += "\n"
                write(inner, indent: indent, into: &text)
            default: text += " \(value.scalar)\n"
            }
        }
    }

    private var scalar: String {
        switch self {
        case .null: "null"
        case .boolean(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .natural(let value): "\(value)"
        case .number(let value): "\(value)"
        case .text(let text): Self.scalar(text)
        case .list: "[]"
        case .map: "{}"
        }
    }

    /// A text bare where YAML cannot take it for anything else, otherwise in double quotes, which JSON's escapes suit.
    private static func scalar(_ text: String) -> String {
        let letters = text.utf8
        let isBare =
            letters.first.map { (97...122).contains($0) || (65...90).contains($0) || $0 == UInt8(ascii: "/") } ?? false
        let words: Set<String> = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        if isBare, !words.contains(text.lowercased()), letters.last != UInt8(ascii: ":"),
            letters.allSatisfy({
                (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "-")
                    || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/")
            })
        {
            return text
        }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            default:
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                    let hex = String(scalar.value, radix: 16)
                    quoted += "\\U" + String(repeating: "0", count: 8 - hex.count) + hex
                default: quoted.unicodeScalars.append(scalar)
                }
            }
        }
        return quoted + "\""
    }
}
