/// Decides when free memory goes back to the kernel.
///
/// The allocator keeps what a burst of connections has used, in an arena for each worker, and would keep it for good. Looking
/// for it costs a walk over the free lists under their locks (a millisecond or so), hence not often, and not at all while
/// the process is about as small as it was at its start.
package struct MemoryReturn: Sendable, Hashable {
    /// Bytes above the leanest moment that are not worth a walk.
    package static let slack: UInt64 = 4 << 20
    /// Nanoseconds between two walks.
    package static let interval: UInt64 = 10_000_000_000

    /// Nanoseconds after the first look at which the start is over.
    package static let start: UInt64 = 4_000_000_000

    private var startedAt: UInt64?
    private var startIsOver = false
    private var leanest: UInt64?
    private var nextAt: UInt64 = 0

    package init() {}

    /// Whether the start is over; says so once.
    ///
    /// - Parameter now: monotonic nanoseconds.
    package mutating func isStartOver(now: UInt64) -> Bool {
        guard !startIsOver else { return false }
        guard let startedAt else {
            startedAt = now
            return false
        }
        startIsOver = now >= startedAt + Self.start
        return startIsOver
    }

    /// Whether to return memory now.
    ///
    /// - Parameters:
    ///   - resident: the process's resident memory, bytes.
    ///   - now: monotonic nanoseconds.
    package mutating func isDue(resident: UInt64, now: UInt64) -> Bool {
        guard let least = leanest, resident > least else {
            leanest = resident
            return false
        }
        guard resident - least > Self.slack, now >= nextAt else { return false }
        nextAt = now + Self.interval
        return true
    }
}
