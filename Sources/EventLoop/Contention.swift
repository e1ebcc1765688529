/// Whether several parties want the turns of one loop, as far as the last moments tell.
///
/// A party is whoever the owner counts as one, a pod for instance. While two take turns within ``memory`` of each other, a turn
/// should be short; a party that is alone may take long ones, which cost less.
package struct Contention: Sendable {
    /// Nanoseconds for which the turn of another party is remembered.
    package static let memory: UInt64 = 50_000_000
    private var last: ObjectIdentifier?
    private var until: UInt64 = 0

    package init() {}

    /// Takes note that the party begins to work in this turn; `now` in monotonic nanoseconds.
    /// - Returns: whether another one did lately.
    package mutating func note(_ party: ObjectIdentifier, now: UInt64) -> Bool {
        if last != party {
            // The first of all has nobody beside it.
            if last != nil { until = now &+ Self.memory }
            last = party
        }
        return now < until
    }
}
