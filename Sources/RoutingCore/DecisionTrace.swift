/// Takes the steps of a decision as it is made; the no-op recorder costs nothing.
protocol DecisionRecorder {
    mutating func note(_ text: @autoclosure () -> String)
}

/// Records nothing, on the data path.
struct NoRecorder: DecisionRecorder {
    @inline(__always)
    mutating func note(_ text: @autoclosure () -> String) {}
}

/// The steps of one decision in the order they were taken, one sentence each, for `ztun why`.
package struct DecisionTrace: DecisionRecorder, Hashable, Sendable {
    package private(set) var steps: [String] = []

    package init() {}

    mutating func note(_ text: @autoclosure () -> String) { steps.append(text()) }
}
