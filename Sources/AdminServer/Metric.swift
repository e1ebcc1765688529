/// One metric with its samples, for a ``MetricsPage``.
package struct Metric: Sendable, Hashable {
    package enum Kind: String, Sendable { case counter, gauge }

    /// One value with its labels.
    package struct Sample: Sendable, Hashable {
        /// Name and value in the order they are written.
        package var labels: [Label]
        package var value: Double

        package init(_ value: Double, labels: [Label] = []) {
            self.value = value
            self.labels = labels
        }
    }

    package struct Label: Sendable, Hashable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Without the `_total` of a counter, which the page adds.
    package var name: String
    /// One sentence.
    package var help: String
    package var kind: Kind
    package var samples: [Sample]

    package init(_ name: String, _ kind: Kind, help: String, samples: [Sample]) {
        self.name = name
        self.kind = kind
        self.help = help
        self.samples = samples
    }

    /// A metric with one sample without labels.
    package init(_ name: String, _ kind: Kind, help: String, value: Double) {
        self.init(name, kind, help: help, samples: [Sample(value)])
    }
}
