internal import Telemetry

/// A JSON document that is built by hand, so that its keys keep the order and shape that other tools expect.
indirect enum JSONValue: Equatable, Sendable {
    case string(String)
    case number(Int64)
    case boolean(Bool)
    case array([JSONValue])
    case object([Member])

    struct Member: Equatable, Sendable {
        let name: String
        let value: JSONValue

        init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// An object without the members whose value is absent or empty.
    static func object(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        .object(members.compactMap { name, value in value.flatMap { $0.isEmpty ? nil : Member(name, $0) } })
    }

    /// An object with more members behind its own; anything else as it is.
    func adding(_ members: [Member]) -> JSONValue {
        guard case .object(let own) = self else { return self }
        return .object(own + members)
    }

    /// A list of texts.
    static func strings(_ texts: some Sequence<String>) -> JSONValue { .array(texts.map { .string($0) }) }

    private var isEmpty: Bool {
        switch self {
        case .string(let text): text.isEmpty
        case .array(let values): values.isEmpty
        case .object(let members): members.isEmpty
        case .number, .boolean: false
        }
    }

    /// Appends the document, indented by two blanks per level.
    func write(into bytes: inout [UInt8], depth: Int = 0) {
        switch self {
        case .string(let text): bytes.append(jsonString: text, longest: .max)
        case .number(let value): bytes.append(decimal: value)
        case .boolean(let value): bytes.append(text: value ? "true" : "false")
        case .array(let values):
            Self.write(values, "[", "]", into: &bytes, depth) { value, bytes in
                value.write(into: &bytes, depth: depth + 1)
            }
        case .object(let members):
            Self.write(members, "{", "}", into: &bytes, depth) { member, bytes in
                bytes.append(jsonString: member.name, longest: .max)
                bytes.append(text: ": ")
                member.value.write(into: &bytes, depth: depth + 1)
            }
        }
    }

    /// Appends the document on one line.
    func writeLine(into bytes: inout [UInt8]) {
        switch self {
        case .string, .number, .boolean: write(into: &bytes)
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.writeLine(into: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes.append(jsonString: member.name, longest: .max)
                bytes.append(UInt8(ascii: ":"))
                member.value.writeLine(into: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private static func write<Item>(
        _ items: [Item], _ open: String, _ close: String, into bytes: inout [UInt8], _ depth: Int,
        _ writeItem: (Item, inout [UInt8]) -> Void
    ) {
        bytes.append(text: open)
        for (index, item) in items.enumerated() {
            bytes.append(text: index == 0 ? "\n" : ",\n")
            bytes.append(contentsOf: repeatElement(32, count: 2 * depth + 2))
            writeItem(item, &bytes)
        }
        if !items.isEmpty {
            bytes.append(10)
            bytes.append(contentsOf: repeatElement(32, count: 2 * depth))
        }
        bytes.append(text: close)
    }
}
