/// When a certificate is next asked for: at half of its life, or after a back-off when asking failed.
///
/// Times are seconds of the Unix epoch; jitter is -1...1 and comes from the caller.
package struct RenewalSchedule: Hashable, Sendable {
    /// When the next attempt is due.
    package private(set) var next: Int64
    /// Attempts that failed since the last success.
    package private(set) var failures = 0
    private var setAt: Int64

    /// The longest pause between two failed attempts, in seconds.
    package static let longestBackoff: Int64 = 150

    /// Makes one that is due at once.
    package init(now: Int64) {
        next = now
        setAt = now
    }

    /// Takes a new certificate: next at half of what is left of its life, 10 % earlier or later.
    package mutating func onIssued(notAfter: Int64, now: Int64, jitter: Double) {
        let half = Double(max(0, notAfter - now)) / 2
        next = now + max(1, Int64(half * (1 + 0.1 * Self.bounded(jitter))))
        setAt = now
        failures = 0
    }

    /// Takes a failed attempt: 1 s, doubled each time up to 150 s, 20 % earlier or later.
    package mutating func onFailure(now: Int64, jitter: Double) {
        let pause = min(Self.longestBackoff, 1 << Int64(min(failures, 8)))
        failures += 1
        next = now + max(1, Int64((Double(pause) * (1 + 0.2 * Self.bounded(jitter))).rounded()))
        setAt = now
    }

    /// Whether the next attempt is due; also when the clock went back by more than a minute, for then nothing that was
    /// computed from it holds.
    package func isDue(now: Int64) -> Bool { now >= next || now < setAt - 60 }

    private static func bounded(_ jitter: Double) -> Double { min(1, max(-1, jitter)) }
}
