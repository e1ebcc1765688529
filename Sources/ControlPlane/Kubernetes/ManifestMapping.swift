/// Where a manifest's value stands, for messages: the file, and how many lines of it come before the document.
final class ManifestPath: Sendable {
    let file: String
    /// Added to the lines of the document's nodes.
    let lineOffset: Int
    private let parent: ManifestPath?
    private let step: String

    init(file: String, lineOffset: Int) {
        self.file = file
        self.lineOffset = lineOffset
        parent = nil
        step = ""
    }

    private init(_ parent: ManifestPath, _ step: String) {
        file = parent.file
        lineOffset = parent.lineOffset
        self.parent = parent
        self.step = step
    }

    func child(_ step: String) -> ManifestPath { ManifestPath(self, step) }

    /// Outermost first.
    var steps: [String] {
        var steps: [String] = []
        var path: ManifestPath? = self
        while let here = path, here.parent != nil {
            steps.append(here.step)
            path = here.parent
        }
        return steps.reversed()
    }
}

/// One value of a Kubernetes object, read the way its API server reads it: keys that nobody asks for are not looked at.
///
/// Its readers throw ``ConfigurationError`` with file, line and field.
struct ManifestValue {
    let node: YAMLNode
    let path: ManifestPath

    func error(_ problem: String, hint: String? = nil) -> ConfigurationError {
        ConfigurationError(
            file: path.file, line: Int(node.line) + path.lineOffset, column: Int(node.column), path: path.steps,
            problem: problem, hint: hint)
    }

    func mismatch(_ expectation: String, hint: String? = nil) -> ConfigurationError {
        error("expected \(expectation), found \(node.kind)", hint: hint)
    }

    func mapping() throws(ConfigurationError) -> ManifestMapping {
        guard case .mapping(let entries) = node.content else { throw mismatch("a mapping") }
        return ManifestMapping(entries: entries, value: self)
    }

    func items() throws(ConfigurationError) -> [ManifestValue] {
        if node.isNull { return [] }
        guard case .sequence(let items) = node.content else { throw mismatch("a list") }
        return items.enumerated().map { ManifestValue(node: $1, path: path.child("[\($0)]")) }
    }

    /// Text; as in Kubernetes, a bare number or boolean is none.
    func text() throws(ConfigurationError) -> String {
        guard case .scalar(let scalar) = node.content, scalar.type != .null else { throw mismatch("a text") }
        guard scalar.type == .text else { throw mismatch("a text", hint: "put it in quotes: \"\(scalar.text)\"") }
        return scalar.text
    }

    /// The characters of a scalar of any type.
    func scalarText() throws(ConfigurationError) -> String {
        guard case .scalar(let scalar) = node.content, scalar.type != .null else { throw mismatch("a text") }
        return scalar.text
    }

    func bool() throws(ConfigurationError) -> Bool {
        guard case .scalar(let scalar) = node.content, let value = scalar.bool else { throw mismatch("true or false") }
        return value
    }

    func integer(_ range: ClosedRange<Int>) throws(ConfigurationError) -> Int {
        guard case .scalar(let scalar) = node.content, let value = scalar.integer, range.contains(value) else {
            throw mismatch("a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func parsed<T>(_ expectation: String, _ parse: (String) -> T?) throws(ConfigurationError) -> T {
        guard case .scalar(let scalar) = node.content, scalar.type != .null, let value = parse(scalar.text) else {
            throw mismatch(expectation)
        }
        return value
    }

    func oneOf<T: RawRepresentable & CaseIterable>(
        _ type: T.Type = T.self
    ) throws(ConfigurationError) -> T where T.RawValue == String {
        let names = T.allCases.map(\.rawValue)
        let expectation = "one of \(names.joined(separator: ", "))"
        guard case .scalar(let scalar) = node.content, scalar.type != .null else { throw mismatch(expectation) }
        guard let value = T(rawValue: scalar.text) else {
            throw mismatch(expectation, hint: NearMiss.hint(for: scalar.text, among: names))
        }
        return value
    }
}

/// A mapping of a Kubernetes object; absent and `null` are the same.
struct ManifestMapping {
    let entries: [YAMLNode.Entry]
    let value: ManifestValue

    subscript(key: String) -> ManifestValue? {
        for entry in entries where entry.isKey(key) && !entry.value.isNull {
            return ManifestValue(node: entry.value, path: value.path.child(key.pathStep))
        }
        return nil
    }

    /// An error at the mapping itself.
    func error(_ problem: String, hint: String? = nil) -> ConfigurationError { value.error(problem, hint: hint) }

    func required(_ key: String) throws(ConfigurationError) -> ManifestValue {
        guard let found = self[key] else { throw error("the field \(key.quoted) is missing") }
        return found
    }

    /// Refuses fields that are not known: in a policy, one that is not understood changes what it means.
    func onlyKnown(_ known: [String]) throws(ConfigurationError) {
        for entry in entries where !known.contains(where: { entry.isKey($0) }) {
            throw ConfigurationError(
                file: value.path.file, line: Int(entry.line) + value.path.lineOffset, column: Int(entry.column),
                path: value.path.steps, problem: "unknown field \(entry.key.quoted)",
                hint: NearMiss.hint(for: entry.key, among: known) ?? "known fields: \(known.joined(separator: ", "))")
        }
    }

    func mapping(_ key: String) throws(ConfigurationError) -> ManifestMapping? { try self[key]?.mapping() }

    func text(_ key: String) throws(ConfigurationError) -> String { try self[key]?.text() ?? "" }

    func requiredText(_ key: String) throws(ConfigurationError) -> String {
        let found = try required(key)
        let text = try found.text()
        guard !text.isEmpty else { throw found.error("expected a text that is not empty") }
        return text
    }

    func bool(_ key: String) throws(ConfigurationError) -> Bool { try self[key]?.bool() ?? false }

    func items(_ key: String) throws(ConfigurationError) -> [ManifestValue] { try self[key]?.items() ?? [] }

    func texts(_ key: String) throws(ConfigurationError) -> [String] {
        var texts: [String] = []
        for item in try items(key) { texts.append(try item.text()) }
        return texts
    }

    /// A mapping of texts, as labels are.
    func textMap(
        _ key: String, where isWanted: (String) -> Bool = { _ in true }
    ) throws(ConfigurationError) -> [String: String] {
        guard let mapping = try mapping(key) else { return [:] }
        var texts: [String: String] = [:]
        for entry in mapping.entries where isWanted(entry.key) {
            let item = ManifestValue(node: entry.value, path: mapping.value.path.child(entry.key.pathStep))
            texts[entry.key] = entry.value.isNull ? "" : try item.text()
        }
        return texts
    }
}
