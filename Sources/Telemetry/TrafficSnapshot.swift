package import MeshModel

/// A copy of the counters of one worker, or of several merged.
package struct TrafficSnapshot: Sendable {
    /// What refusals are counted by.
    package struct RefusalKey: Hashable, Sendable {
        package let reason: Reason
        package let direction: Direction

        package init(reason: Reason, direction: Direction) {
            self.reason = reason
            self.direction = direction
        }
    }

    /// The label sets, at the same positions as ``counters``.
    package private(set) var labels: [TrafficLabels]
    package private(set) var counters: [TrafficCounters]
    package private(set) var refusals: [RefusalKey: UInt64]

    /// Makes an empty one, to merge into.
    package init() {
        self.init(labels: [], counters: [], refusals: [:])
    }

    init(labels: [TrafficLabels], counters: [TrafficCounters], refusals: [RefusalKey: UInt64]) {
        self.labels = labels
        self.counters = counters
        self.refusals = refusals
    }

    /// The sum of several workers' counters.
    package init(merging parts: some Sequence<TrafficSnapshot>) {
        self.init()
        var positions: [TrafficLabels: Int] = [:]
        for part in parts {
            for (one, count) in zip(part.labels, part.counters) {
                if let position = positions[one] {
                    counters[position].add(count)
                } else {
                    positions[one] = counters.count
                    labels.append(one)
                    counters.append(count)
                }
            }
            refusals.merge(part.refusals) { $0 &+ $1 }
        }
    }

    /// Connections opened, over all series.
    package var opened: UInt64 { counters.reduce(0) { $0 &+ $1.opened } }
    /// Connections closed, over all series.
    package var closed: UInt64 { counters.reduce(0) { $0 &+ $1.closedTotal } }
    /// Connections closed with a flag, over all series.
    package var failed: UInt64 { counters.reduce(0) { $0 &+ $1.closedTotal &- $1.closed(.none) } }
    /// Bytes client to server, over all series.
    package var receivedBytes: UInt64 { counters.reduce(0) { $0 &+ $1.receivedBytes } }
    /// Bytes server to client, over all series.
    package var sentBytes: UInt64 { counters.reduce(0) { $0 &+ $1.sentBytes } }

    /// Connections opened and not yet closed that this side reports.
    package func open(_ reporter: Reporter) -> UInt64 {
        zip(labels, counters).reduce(0) { sum, one in
            one.0.reporter == reporter ? sum &+ one.1.opened &- one.1.closedTotal : sum
        }
    }
}
