/// How much misbehaviour one connection may show: a bucket of points that refills with time.
///
/// Points are for what a correct peer does rarely or never: resets its own errors cause, its resets before our answer,
/// PRIORITY, empty DATA, SETTINGS, PING, unknown frames, one-byte WINDOW_UPDATEs. Resets of running streams are the
/// application's and cost nothing, so that one application cannot cost its neighbours their tunnel.
package struct GlitchBudget: Sendable {
    private var points: UInt64
    private var refilledAt: UInt64
    private let capacity: UInt64
    private let interval: UInt64

    /// A full budget of `capacity` points that regains `perSecond` points each second; `now` in nanoseconds.
    package init(capacity: Int, perSecond: Int, now: UInt64) {
        self.capacity = UInt64(capacity)
        points = UInt64(capacity)
        interval = 1_000_000_000 / UInt64(perSecond)
        refilledAt = now
    }

    /// Takes one point; false when none was left, which ends the connection.
    package mutating func spend(now: UInt64) -> Bool {
        if now > refilledAt {
            let gained = (now - refilledAt) / interval
            if gained > 0 {
                points = min(capacity, points + min(gained, capacity))
                refilledAt += gained * interval
            }
        }
        guard points > 0 else { return false }
        points -= 1
        return true
    }
}
