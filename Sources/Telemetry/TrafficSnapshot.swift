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

    package private(set) var series: [TrafficSeries]
    package private(set) var refusals: [RefusalKey: UInt64]

    package init(series: [TrafficSeries] = [], refusals: [RefusalKey: UInt64] = [:]) {
        self.series = series
        self.refusals = refusals
    }

    /// Adds the counters of another worker.
    package mutating func merge(_ other: TrafficSnapshot) {
        var positions: [TrafficLabels: Int] = [:]
        positions.reserveCapacity(series.count)
        for (position, one) in series.enumerated() { positions[one.labels] = position }
        for one in other.series {
            if let position = positions[one.labels] {
                series[position].add(one)
            } else {
                series.append(one)
            }
        }
        refusals.merge(other.refusals) { $0 &+ $1 }
    }

    /// Connections opened, over all series.
    package var opened: UInt64 { series.reduce(0) { $0 &+ $1.opened } }
    /// Connections closed, over all series.
    package var closed: UInt64 { series.reduce(0) { $0 &+ $1.closedTotal } }
    /// Connections closed with a flag, over all series.
    package var failed: UInt64 { series.reduce(0) { $0 &+ $1.closedTotal &- $1.closed(.none) } }
    /// Bytes client to server, over all series.
    package var receivedBytes: UInt64 { series.reduce(0) { $0 &+ $1.receivedBytes } }
    /// Bytes server to client, over all series.
    package var sentBytes: UInt64 { series.reduce(0) { $0 &+ $1.sentBytes } }

    /// Connections opened and not yet closed that this side reports.
    package func open(_ reporter: Reporter) -> UInt64 {
        series.reduce(0) { $1.labels.reporter == reporter ? $0 &+ $1.opened &- $1.closedTotal : $0 }
    }
}
