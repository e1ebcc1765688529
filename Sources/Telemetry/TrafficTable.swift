package import MeshModel

/// The traffic counters of one worker. Only the thread that owns it may touch it.
///
/// A connection resolves its labels to a ``SeriesIndex`` once; counting is then an add into an array. The number of
/// series is bounded: connections with new labels beyond it share one series whose labels all read `unknown` but
/// `destination_service`, which reads `overflow`, so that no peer can grow the process by inventing names.
package final class TrafficTable {
    /// A place in one table; meaningless in another.
    package struct SeriesIndex: Hashable, Sendable {
        fileprivate let position: Int
    }

    /// Series a table holds before it answers with its overflow series.
    package let limit: Int
    private var indexes: [TrafficLabels: Int] = [:]
    /// Grows at the end only, so that a snapshot shares it until there is a new series.
    private var labels: [TrafficLabels] = []
    private var counters: [TrafficCounters] = []
    private var overflow: [Reporter: Int] = [:]
    private var refusals: [UInt64]

    /// Makes an empty table of at most `limit` series (and one of overflow per reporter).
    package init(limit: Int = Limits.standard.trafficRows) {
        self.limit = limit
        refusals = Array(repeating: 0, count: Reason.allCases.count * 2)
    }

    /// The series of these labels, made if new; call it once per connection, not per byte.
    package func series(for labels: TrafficLabels) -> SeriesIndex {
        if let position = indexes[labels] { return SeriesIndex(position: position) }
        if indexes.count < limit {
            let position = add(labels)
            indexes[labels] = position
            return SeriesIndex(position: position)
        }
        if let position = overflow[labels.reporter] { return SeriesIndex(position: position) }
        var shared = TrafficLabels(reporter: labels.reporter)
        shared.destinationService = "overflow"
        let position = add(shared)
        overflow[labels.reporter] = position
        return SeriesIndex(position: position)
    }

    private func add(_ one: TrafficLabels) -> Int {
        labels.append(one)
        counters.append(TrafficCounters())
        return counters.count - 1
    }

    /// Counts a connection as opened.
    package func opened(_ index: SeriesIndex) {
        counters[index.position].opened &+= 1
    }

    /// Counts bytes of the request direction, client to server.
    package func received(_ bytes: Int, _ index: SeriesIndex) {
        counters[index.position].receivedBytes &+= UInt64(truncatingIfNeeded: bytes)
    }

    /// Counts bytes of the response direction, server to client.
    package func sent(_ bytes: Int, _ index: SeriesIndex) {
        counters[index.position].sentBytes &+= UInt64(truncatingIfNeeded: bytes)
    }

    /// Counts an opened connection as closed, and as failed unless the flag is `none`.
    package func closed(_ index: SeriesIndex, flag: ResponseFlag = .none) {
        counters[index.position].closed[flag.position] &+= 1
    }

    /// Counts a connection that was refused or failed, opened or not.
    package func refused(_ reason: Reason, _ direction: Direction) {
        refusals[reason.position * 2 + (direction == .inbound ? 0 : 1)] &+= 1
    }

    /// A copy of all counters, for another thread.
    package func snapshot() -> TrafficSnapshot {
        var counts: [TrafficSnapshot.RefusalKey: UInt64] = [:]
        for (position, reason) in Reason.allCases.enumerated() {
            for (offset, direction) in [Direction.inbound, .outbound].enumerated() {
                let count = refusals[position * 2 + offset]
                if count > 0 { counts[.init(reason: reason, direction: direction)] = count }
            }
        }
        return TrafficSnapshot(labels: labels, counters: counters, refusals: counts)
    }
}

extension ResponseFlag {
    /// Position in `allCases`.
    var position: Int {
        switch self {
        case .none: 0
        case .deny: 1
        case .connect: 2
        case .tlsFailure: 3
        case .http2HandshakeFailure: 4
        case .networkPolicy: 5
        case .identityError: 6
        case .certificateRevoked: 7
        }
    }
}

extension Reason {
    private static let positions = Dictionary(uniqueKeysWithValues: zip(allCases, 0...))

    /// Position in `allCases`.
    var position: Int { Self.positions[self] ?? 0 }
}
