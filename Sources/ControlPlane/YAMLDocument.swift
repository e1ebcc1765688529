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
        if documents.count > 1 {
            throw ConfigurationError(
                file: file, line: Int(documents[1].line), problem: "a second document starts",
                hint: "put everything under one '---'")
        }
        return first
    }

    /// Reads a text of any number of documents; empty ones (`---` with nothing behind) are left out.
    /// - Throws: ``ConfigurationError`` with the line of the fault.
    package static func parseAll(
        _ bytes: [UInt8], file: String, limits: YAMLLimits = YAMLLimits()
    ) throws(ConfigurationError) -> [YAMLNode] {
        guard bytes.count <= limits.bytes else {
            throw ConfigurationError(
                file: file, problem: "the file has \(bytes.count) bytes", hint: "at most \(limits.bytes) are read")
        }
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
}
