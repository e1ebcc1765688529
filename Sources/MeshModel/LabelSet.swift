/// The labels of one Kubernetes object; a value whose storage objects with equal labels may share.
package struct LabelSet: Hashable, Sendable {
    /// One label.
    package struct Label: Hashable, Sendable, Comparable {
        package let key: String
        package let value: String

        package init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }

        package static func < (a: Self, b: Self) -> Bool { (a.key, a.value) < (b.key, b.value) }
    }

    /// Sorted by key; keys are unique.
    package let labels: [Label]

    package static let empty = LabelSet([:])

    package init(_ labels: [String: String]) {
        self.labels = labels.map { Label($0.key, $0.value) }.sorted()
    }

    /// The value of a label; nil where the object does not carry it.
    package subscript(key: String) -> String? {
        for label in labels where label.key.utf8.count == key.utf8.count && label.key == key { return label.value }
        return nil
    }
}
