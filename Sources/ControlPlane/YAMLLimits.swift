internal import MeshModel

/// How much of a YAML file is accepted, so that no file can make the reader use unbounded memory or time.
package struct YAMLLimits: Sendable {
    /// Bytes of the file.
    package var bytes = Limits.standard.fileBytes
    /// Mappings and lists inside each other.
    package var depth = Limits.standard.fileDepth
    /// Uses of an anchor (`*name`) in one document.
    package var aliases = Limits.standard.fileAliases
    /// Values in one document, each alias counted as all that it names.
    package var nodes = Limits.standard.fileValues

    package init() {}
}
