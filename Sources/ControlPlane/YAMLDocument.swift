/// Reads YAML 1.2 (and so JSON) text into trees of ``YAMLNode``, one per document.
///
/// libyaml scans; anchors, types of scalars, duplicate keys and all limits are ours, so that every fault has a line.
package enum YAMLDocument {
    /// Reads a text of exactly one document.
    /// - Throws: ``ConfigurationError`` with the line of the fault; also for an empty text and for a second document.
    package static func parse(
        _ bytes: [UInt8], file: String, limits: YAMLLimits = YAMLLimits()
    ) throws(ConfigurationError) -> YAMLNode {
        let documents = try parseAll(bytes, file: file, limits: limits)
        guard let first = documents.first else {
            throw ConfigurationError(file: file, problem: "the file is empty")
        }
        if documents.count > 1 { throw secondDocument(documents[1], file: file) }
        return first
    }

    /// Reads a text of any number of documents; empty ones (`---` with nothing behind) are left out.
    /// - Throws: ``ConfigurationError`` with the line of the fault.
    package static func parseAll(
        _ bytes: [UInt8], file: String, limits: YAMLLimits = YAMLLimits()
    ) throws(ConfigurationError) -> [YAMLNode] {
        try check(bytes, file: file, limits: limits)
        var result: Result<[YAMLNode], ConfigurationError> = .success([])
        bytes.withUnsafeBufferPointer { buffer in
            var composer = YAMLComposer(input: buffer, file: file, limits: limits)
            do throws(ConfigurationError) {
                result = .success(try composer.documents())
            } catch {
                result = .failure(error)
            }
        }
        return try result.get()
    }

    /// Reads a text of exactly one document, a mapping of lists, one element at a time.
    ///
    /// - Parameter take: gets every element of the lists directly under the root, in the order of the text. It is not
    ///   called any more once it has thrown.
    /// - Returns: the root; the lists whose elements were given to `take` are empty in it. One with an anchor is not
    ///   given, it is whole.
    /// - Throws: as ``parse(_:file:limits:)``, and what `take` throws.
    package static func parse(
        _ bytes: [UInt8], file: String, limits: YAMLLimits = YAMLLimits(),
        take: (YAMLItem) throws(ConfigurationError) -> Void
    ) throws(ConfigurationError) -> YAMLNode {
        try check(bytes, file: file, limits: limits)
        var result: Result<YAMLNode?, ConfigurationError> = .success(nil)
        bytes.withUnsafeBufferPointer { buffer in
            var composer = YAMLComposer(input: buffer, file: file, limits: limits, handsOutItems: true)
            do throws(ConfigurationError) {
                var first: YAMLNode?
                reading: while true {
                    switch try composer.next() {
                    case .item(let item): if first == nil { try take(item) }
                    case .document(let root):
                        if first != nil { throw secondDocument(root, file: file) }
                        first = root
                    case .end: break reading
                    }
                }
                result = .success(first)
            } catch {
                result = .failure(error)
            }
        }
        guard let root = try result.get() else { throw ConfigurationError(file: file, problem: "the file is empty") }
        return root
    }

    private static func check(_ bytes: [UInt8], file: String, limits: YAMLLimits) throws(ConfigurationError) {
        guard bytes.count <= limits.bytes else {
            throw ConfigurationError(
                file: file, problem: "the file has \(bytes.count) bytes", hint: "at most \(limits.bytes) are read")
        }
    }

    private static func secondDocument(_ root: YAMLNode, file: String) -> ConfigurationError {
        ConfigurationError(
            file: file, line: Int(root.line), problem: "a second document starts",
            hint: "put everything under one '---'")
    }
}
