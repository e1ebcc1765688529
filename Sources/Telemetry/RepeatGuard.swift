/// Says whether a cause may be logged now: once per interval for each cause, with the number held back in between.
///
/// A value of its owner, with a bounded number of causes; when there are more, the oldest half is forgotten.
package struct RepeatGuard<Cause: Hashable> {
    private struct Entry {
        var shownAt: UInt64
        var held: Int
    }

    private var entries: [Cause: Entry] = [:]
    private let interval: UInt64
    private let limit: Int

    /// Makes a guard; the interval is in nanoseconds of whatever monotonic clock `now` is read from.
    package init(interval: UInt64 = 1_000_000_000, limit: Int = 256) {
        self.interval = interval
        self.limit = max(2, limit)
    }

    /// How many repeats were held back since the cause was last shown, or nil when it is to be held back now.
    package mutating func admits(_ cause: Cause, now: UInt64) -> Int? {
        if let entry = entries[cause] {
            guard now &- entry.shownAt >= interval else {
                entries[cause] = Entry(shownAt: entry.shownAt, held: entry.held + 1)
                return nil
            }
            entries[cause] = Entry(shownAt: now, held: 0)
            return entry.held
        }
        if entries.count >= limit {
            let times = entries.values.map(\.shownAt).sorted()
            let middle = times[times.count / 2]
            entries = entries.filter { $0.value.shownAt > middle }
        }
        entries[cause] = Entry(shownAt: now, held: 0)
        return 0
    }
}

extension RepeatGuard: Sendable where Cause: Sendable {}
