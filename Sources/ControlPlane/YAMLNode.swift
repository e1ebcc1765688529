/// One value of a YAML document, with the place it stands at; aliases are already replaced by what they name.
package struct YAMLNode: Sendable {
    /// What the node holds.
    package enum Content: Sendable {
        case scalar(YAMLScalar)
        case sequence([YAMLNode])
        case mapping([Entry])
    }
    /// One key of a mapping with its value; keys are unique within their mapping.
    package struct Entry: Sendable {
        package let key: String
        /// The line of the key, from 1.
        package let line: Int32
        /// The column of the key, from 1.
        package let column: Int32
        package let value: YAMLNode

        /// Whether this is the key; most are told apart by their length, which matters with millions of them.
        func isKey(_ other: String) -> Bool { key.utf8.count == other.utf8.count && key == other }
    }

    package let content: Content
    /// The line the value starts in, from 1.
    package let line: Int32
    /// The column the value starts in, from 1.
    package let column: Int32

    /// What kind of value it is, in a person's words.
    package var kind: String {
        switch content {
        case .scalar(let scalar): scalar.kind
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// A scalar as it was written, with the type that the YAML 1.2 core schema gives it.
package struct YAMLScalar: Hashable, Sendable {
    /// The type of a scalar.
    package enum Kind: Hashable, Sendable { case null, bool, integer, float, text }

    package let text: String
    package let type: Kind

    /// Makes a scalar; only a plain one (unquoted, not tagged `!!str`) can be anything but text.
    init(_ text: String, plain: Bool) {
        self.text = text
        type = plain ? Self.resolve(text) : .text
    }

    /// The type in a person's words, with the value where it helps.
    var kind: String {
        switch type {
        case .null: "nothing"
        case .bool: "the boolean \(text.quoted)"
        case .integer, .float: "the number \(text.quoted)"
        case .text: "the text \(text.quoted)"
        }
    }

    /// The truth value of `true`, `True`, `TRUE` and their opposites; nil for anything else (`yes` and `on` are text).
    package var bool: Bool? {
        type == .bool ? text.utf8.first == UInt8(ascii: "t") || text.utf8.first == UInt8(ascii: "T") : nil
    }

    /// The value of a decimal, `0x` or `0o` integer; nil for anything else and when it does not fit.
    package var integer: Int? { type == .integer ? Self.integer(text) : nil }

    private static func resolve(_ text: String) -> Kind {
        // Most scalars are names: one look at the first byte tells them from the rest.
        guard let first = text.utf8.first else { return .null }
        switch first {
        case UInt8(ascii: "~"), UInt8(ascii: "n"), UInt8(ascii: "N"):
            return text == "~" || text == "null" || text == "Null" || text == "NULL" ? .null : .text
        case UInt8(ascii: "t"), UInt8(ascii: "T"):
            return text == "true" || text == "True" || text == "TRUE" ? .bool : .text
        case UInt8(ascii: "f"), UInt8(ascii: "F"):
            return text == "false" || text == "False" || text == "FALSE" ? .bool : .text
        case 48...57, UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."): break
        default: return .text
        }
        if text.hasPrefix("0x") || text.hasPrefix("0o") { return isPrefixedInteger(text) ? .integer : .text }
        return isSpecialFloat(text) ? .float : number(text.utf8)
    }

    private static func isSpecialFloat(_ text: String) -> Bool {
        guard text.utf8.count <= 5 else { return false }
        switch text {
        case ".inf", ".Inf", ".INF", "-.inf", "-.Inf", "-.INF", "+.inf", "+.Inf", "+.INF", ".nan", ".NaN", ".NAN":
            return true
        default: return false
        }
    }

    private static func isPrefixedInteger(_ text: String) -> Bool {
        let digits = text.utf8.dropFirst(2)
        let hex = text.hasPrefix("0x")
        return !digits.isEmpty
            && digits.allSatisfy {
                hex
                    ? (48...57).contains($0) || (97...102).contains($0) || (65...70).contains($0)
                    : (48...55).contains($0)
            }
    }

    /// `[-+]?[0-9]+` is an integer, `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` a float.
    private static func number(_ bytes: String.UTF8View) -> Kind {
        var rest = bytes[...]
        func digits() -> Int {
            let count = rest.prefix { (48...57).contains($0) }.count
            rest = rest.dropFirst(count)
            return count
        }
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        var count = digits()
        if rest.isEmpty { return count > 0 ? .integer : .text }
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            count += digits()
        }
        guard count > 0 else { return .text }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
            guard digits() > 0 else { return .text }
        }
        return rest.isEmpty ? .float : .text
    }

    private static func integer(_ text: String) -> Int? {
        if text.hasPrefix("0x") { return Int(text.dropFirst(2), radix: 16) }
        if text.hasPrefix("0o") { return Int(text.dropFirst(2), radix: 8) }
        return Int(text)
    }
}
