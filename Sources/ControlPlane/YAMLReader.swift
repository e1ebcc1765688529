/// Reads typed values out of a ``YAMLNode``; every fault becomes a ``ConfigurationError`` with line, key and expectation.
package struct YAMLReader {
    package let node: YAMLNode
    /// The file's name, for errors.
    package let file: String

    package init(_ node: YAMLNode, file: String) {
        self.node = node
        self.file = file
    }

    /// Text; a number or boolean must be quoted to be one.
    package func text() throws(ConfigurationError) -> String {
        guard case .scalar(let scalar) = node.content else { throw mismatch("a text") }
        switch scalar.type {
        case .text: return scalar.text
        case .null: throw mismatch("a text")
        case .bool, .integer, .float: throw mismatch("a text", hint: "put it in quotes: \"\(scalar.text)\"")
        }
    }

    /// `true` or `false`.
    package func bool() throws(ConfigurationError) -> Bool {
        guard case .scalar(let scalar) = node.content, let value = scalar.bool else { throw mismatch("true or false") }
        return value
    }

    /// A whole number in the range; a quoted one is not a number.
    package func integer<T: FixedWidthInteger>(
        _ range: ClosedRange<T>
    ) throws(ConfigurationError) -> T {
        guard case .scalar(let scalar) = node.content, let value = scalar.integer, let result = T(exactly: value),
            range.contains(result)
        else { throw mismatch("a whole number from \(range.lowerBound) to \(range.upperBound)") }
        return result
    }

    /// A text that the function understands; `expectation` says what it understands.
    package func parsed<T>(_ expectation: String, _ parse: (String) -> T?) throws(ConfigurationError) -> T {
        guard case .scalar(let scalar) = node.content, scalar.type != .null else { throw mismatch(expectation) }
        guard let value = parse(scalar.text) else { throw mismatch(expectation) }
        return value
    }

    /// One of the names of an enumeration; names are case-sensitive, as upstream has them.
    package func oneOf<T: RawRepresentable & CaseIterable>(
        _ type: T.Type = T.self
    ) throws(ConfigurationError) -> T where T.RawValue == String {
        let names = T.allCases.map(\.rawValue)
        guard case .scalar(let scalar) = node.content, scalar.type != .null else {
            throw mismatch("one of \(names.joined(separator: ", "))")
        }
        guard let value = T(rawValue: scalar.text) else {
            throw mismatch(
                "one of \(names.joined(separator: ", "))", hint: NearMiss.hint(for: scalar.text, among: names))
        }
        return value
    }

    /// A list, each element read by the function; nothing at all is an empty list.
    package func list<T>(
        _ read: (YAMLReader) throws(ConfigurationError) -> T
    ) throws(ConfigurationError) -> [T] {
        if node.isNull { return [] }
        guard case .sequence(let items) = node.content else { throw mismatch("a list") }
        var values: [T] = []
        values.reserveCapacity(items.count)
        for (index, item) in items.enumerated() {
            do throws(ConfigurationError) {
                values.append(try read(YAMLReader(item, file: file)))
            } catch {
                throw error.inside("[\(index)]")
            }
        }
        return values
    }

    /// A mapping with keys of any name, in the order they stand; nothing at all is an empty one.
    package func entries<T>(
        _ read: (YAMLKey, YAMLReader) throws(ConfigurationError) -> T
    ) throws(ConfigurationError) -> [T] {
        if node.isNull { return [] }
        guard case .mapping(let entries) = node.content else { throw mismatch("a mapping") }
        var values: [T] = []
        values.reserveCapacity(entries.count)
        for entry in entries {
            do throws(ConfigurationError) {
                values.append(try read(YAMLKey(entry, file: file), YAMLReader(entry.value, file: file)))
            } catch {
                throw error.inside(entry.key.pathStep)
            }
        }
        return values
    }

    /// A mapping with only the given keys.
    package func fields(_ known: [String]) throws(ConfigurationError) -> YAMLFields {
        guard case .mapping(let entries) = node.content else { throw mismatch("a mapping") }
        for entry in entries where !known.contains(where: { entry.isKey($0) }) {
            throw ConfigurationError(
                file: file, line: Int(entry.line), column: Int(entry.column),
                problem: "unknown key \(entry.key.quoted)",
                hint: NearMiss.hint(for: entry.key, among: known) ?? "known keys: \(known.joined(separator: ", "))")
        }
        return YAMLFields(entries: entries, reader: self)
    }

    /// The error that something else was expected here.
    package func mismatch(_ expectation: String, hint: String? = nil) -> ConfigurationError {
        ConfigurationError(
            file: file, line: Int(node.line), column: Int(node.column),
            problem: "expected \(expectation), found \(node.kind)", hint: hint)
    }

    /// The error with a text of one's own, at this place.
    package func error(_ problem: String, hint: String? = nil) -> ConfigurationError {
        ConfigurationError(
            file: file, line: Int(node.line), column: Int(node.column), problem: problem, hint: hint)
    }
}

extension String {
    /// A key as a step of a path: quoted when it is not a simple word.
    var pathStep: String {
        let simple =
            !isEmpty && utf8.count <= 64
            && utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95
            }
        return simple ? self : quoted
    }
}
