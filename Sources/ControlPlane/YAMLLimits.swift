/// How much of a YAML file is accepted, so that no file can make the reader use unbounded memory or time.
package struct YAMLLimits: Sendable {
    /// Bytes of the file.
    package var bytes = 64 << 20
    /// Mappings and lists inside each other.
    package var depth = 64
    /// Uses of an anchor (`*name`) in one document.
    package var aliases = 1000
    /// Values in one document, each alias counted as all that it names.
    package var nodes = 16_000_000

    package init() {}
}
