/// Names one Kubernetes object; the namespace is empty for those of the cluster.
package struct ObjectReference: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let kind: String
    package let namespace: String
    package let name: String

    package init(kind: String, namespace: String, name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    /// `AuthorizationPolicy default/allow`.
    package var description: String { "\(kind) \(namespace.isEmpty ? name : "\(namespace)/\(name)")" }

    package static func < (a: Self, b: Self) -> Bool { (a.kind, a.namespace, a.name) < (b.kind, b.namespace, b.name) }
}

/// Where an object was read.
package struct ManifestPlace: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let file: String
    /// From 1; 0 for what has no lines, as the Kubernetes API.
    package let line: Int

    package init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    package var description: String { line > 0 ? "\(file):\(line)" : file }

    package static func < (a: Self, b: Self) -> Bool { (a.file, a.line) < (b.file, b.line) }
}
