internal import MeshModel

/// The last flows of one worker while somebody observes; the oldest make room for new ones, and readers are told how many they
/// missed.
package struct FlowRing: Sendable {
    /// What a reader gets at a time.
    package struct Batch: Sendable {
        /// Oldest first.
        package var records: [FlowRecord] = []
        /// Where to go on.
        package var cursor: UInt64 = 0
        /// How many were overwritten since the reader's last visit.
        package var lost: UInt64 = 0

        package init() {}
    }

    /// Most flows that are held; each is some 500 bytes.
    package let capacity: Int
    private var values: [FlowRecord] = []
    /// The sequence number before the one that has the first place.
    private var base: UInt64 = 0
    /// The sequence number of the newest.
    package private(set) var newest: UInt64 = 0

    package init(capacity: Int = Limits.standard.observedFlows) {
        self.capacity = max(1, capacity)
    }

    package var count: Int { values.count }

    package mutating func append(_ record: FlowRecord) {
        newest += 1
        var record = record
        record.sequence = newest
        if values.count < capacity {
            values.append(record)
        } else {
            values[place(newest)] = record
        }
    }

    /// Those behind the cursor, at most `limit`.
    ///
    /// - Parameter cursor: of the last batch; nil for all that are held.
    package func batch(after cursor: UInt64?, limit: Int) -> Batch {
        var batch = Batch()
        let oldest = newest - UInt64(values.count) + 1
        let first = max(oldest, min(cursor ?? 0, newest) + 1)
        if let cursor, first > cursor + 1 { batch.lost = first - cursor - 1 }
        batch.cursor = first - 1
        var next = first
        while next <= newest, batch.records.count < limit {
            batch.records.append(values[place(next)])
            batch.cursor = next
            next += 1
        }
        return batch
    }

    /// Forgets what it holds, and gives the memory back; sequence numbers go on.
    package mutating func removeAll() {
        base = newest
        values = []
    }

    private func place(_ sequence: UInt64) -> Int { Int((sequence - 1 - base) % UInt64(capacity)) }
}
