/// The fields of a mapping whose keys are all known; absent and `null` are the same.
package struct YAMLFields {
    let entries: [YAMLNode.Entry]
    let reader: YAMLReader

    private func entry(_ key: String) -> YAMLNode.Entry? {
        for entry in entries where entry.isKey(key) { return entry }
        return nil
    }

    /// The value under the key, read by the function; nil when absent.
    package func optional<T>(
        _ key: String, _ read: (YAMLReader) throws(ConfigurationError) -> T
    ) throws(ConfigurationError) -> T? {
        guard let entry = entry(key), !entry.value.isNull else { return nil }
        do throws(ConfigurationError) {
            return try read(YAMLReader(entry.value, file: reader.file))
        } catch {
            throw error.inside(key)
        }
    }

    /// The value under the key, read by the function.
    package func required<T>(
        _ key: String, _ read: (YAMLReader) throws(ConfigurationError) -> T
    ) throws(ConfigurationError) -> T {
        if let value = try optional(key, read) { return value }
        guard let entry = entry(key) else {
            throw reader.error("the key \(key.quoted) is missing in the mapping")
        }
        // An empty list or mapping is a value where one is expected: let the function judge.
        do throws(ConfigurationError) {
            return try read(YAMLReader(entry.value, file: reader.file))
        } catch {
            throw error.inside(key)
        }
    }

    /// The text under the key; the given one when absent.
    package func text(_ key: String, default value: String = "") throws(ConfigurationError) -> String {
        try optional(key) { reader throws(ConfigurationError) in try reader.text() } ?? value
    }

    /// The text under the key, which must be there and not empty.
    package func requiredText(_ key: String) throws(ConfigurationError) -> String {
        try required(key) { reader throws(ConfigurationError) in
            let text = try reader.text()
            if text.isEmpty { throw reader.error("expected a text that is not empty") }
            return text
        }
    }

    /// The list under the key; empty when absent.
    package func list<T>(
        _ key: String, _ read: (YAMLReader) throws(ConfigurationError) -> T
    ) throws(ConfigurationError) -> [T] {
        try optional(key) { reader throws(ConfigurationError) in try reader.list(read) } ?? []
    }

    /// Whether the key is given a value.
    package func contains(_ key: String) -> Bool {
        entry(key).map { !$0.value.isNull } ?? false
    }

    /// The place of the key's value, for errors found later; the mapping's own place when absent.
    package func place(_ key: String) -> YAMLReader {
        guard let entry = entry(key) else { return reader }
        return YAMLReader(entry.value, file: reader.file)
    }
}

/// A key of a mapping with keys of any name.
package struct YAMLKey {
    package let text: String
    private let line: Int
    private let column: Int
    private let file: String

    init(_ entry: YAMLNode.Entry, file: String) {
        text = entry.key
        line = Int(entry.line)
        column = Int(entry.column)
        self.file = file
    }

    /// What the function makes of the key's text.
    package func parsed<T>(_ expectation: String, _ parse: (String) -> T?) throws(ConfigurationError) -> T {
        if let value = parse(text) { return value }
        throw error("expected \(expectation) as key, found \(text.quoted)")
    }

    /// An error at the key.
    package func error(_ problem: String, hint: String? = nil) -> ConfigurationError {
        ConfigurationError(file: file, line: line, column: column, problem: problem, hint: hint)
    }
}
