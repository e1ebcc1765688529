/// Which objects are meant, by their labels (`metav1.LabelSelector`); everything it names must hold, so that the empty
/// selector means all.
package struct LabelSelector: Hashable, Sendable {
    /// One entry of `matchExpressions`.
    package struct Requirement: Hashable, Sendable {
        package enum Operator: String, Hashable, Sendable, CaseIterable {
            case isIn = "In", notIn = "NotIn", exists = "Exists", doesNotExist = "DoesNotExist"
        }
        package let key: String
        package let condition: Operator
        /// Empty for `Exists` and `DoesNotExist`.
        package let values: [String]

        package init(key: String, condition: Operator, values: [String] = []) {
            self.key = key
            self.condition = condition
            self.values = values
        }

        /// Whether the labels meet the requirement; a label that is absent meets `NotIn`, as Kubernetes has it.
        package func matches(_ labels: LabelSet) -> Bool {
            let value = labels[key]
            switch condition {
            case .isIn: return value.map { values.contains($0) } ?? false
            case .notIn: return !(value.map { values.contains($0) } ?? false)
            case .exists: return value != nil
            case .doesNotExist: return value == nil
            }
        }
    }

    /// Sorted by key.
    package let labels: [LabelSet.Label]
    package let expressions: [Requirement]

    /// The selector that means all.
    package static let all = LabelSelector()

    package init(labels: [String: String] = [:], expressions: [Requirement] = []) {
        self.labels = LabelSet(labels).labels
        self.expressions = expressions
    }

    /// True when it means all objects.
    package var isEmpty: Bool { labels.isEmpty && expressions.isEmpty }

    package func matches(_ set: LabelSet) -> Bool {
        for label in labels where set[label.key] != label.value { return false }
        for expression in expressions where !expression.matches(set) { return false }
        return true
    }
}
