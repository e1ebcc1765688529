/// When a pod's canary flies, and what its results mean: decisions only. Times are nanoseconds of one monotonic clock.
///
/// One failure may be an accident or have been mended by the repair that follows it; from the second in a row the pod counts as
/// degraded, until one comes through.
package struct CanarySchedule: Sendable, Hashable {
    private enum State: Hashable {
        case idle
        case due(UInt64)
        case flying(since: UInt64)
    }

    private var state = State.idle
    private var failures = 0
    private let isOn: Bool
    private let isExternal: Bool
    private let retryInterval: UInt64
    /// What is wrong, for a person; nil while the pod does not count as degraded.
    package private(set) var reason: String?
    /// How the last one ended; nil before that.
    package private(set) var last: CanaryReport?
    /// From a failure to the second try, after the repair in between.
    static let pause: UInt64 = 100_000_000

    /// - Parameters:
    ///   - retryInterval: nanoseconds between tries while the pod is degraded.
    ///   - isExternal: whether the rules that bring connections are somebody else's.
    package init(isOn: Bool, retryInterval: UInt64, isExternal: Bool = false) {
        self.isExternal = isExternal
        self.isOn = isOn
        self.retryInterval = retryInterval
    }

    /// Something changed in the pod: it is to be tried again, at `time`.
    package mutating func request(at time: UInt64) {
        guard isOn else { return }
        if case .due(let known) = state, known <= time { return }
        state = .due(time)
    }

    /// The pod's sockets are gone, and what was known of them.
    package mutating func reset() {
        state = .idle
        failures = 0
        reason = nil
        last = nil
    }

    /// Whether the last one failed, so that the pod is to be looked after whole.
    package var isTroubled: Bool { failures > 0 }

    package var isFlying: Bool {
        if case .flying = state { return true }
        return false
    }

    /// Whether one is to be sent now.
    package func isDue(_ now: UInt64) -> Bool {
        if case .due(let time) = state { return now >= time }
        return false
    }

    package mutating func sent(now: UInt64) { state = .flying(since: now) }

    /// It came through.
    package mutating func passed(_ report: CanaryReport) {
        state = .idle
        failures = 0
        reason = nil
        last = report
    }

    /// It did not. The caller looks after the pod before the next one.
    package mutating func failed(_ report: CanaryReport, now: UInt64) {
        failures += 1
        last = report
        state = .due(now &+ (failures == 1 ? Self.pause : retryInterval))
        guard failures > 1 else { return }
        let place =
            isExternal
            ? "The rules are somebody else's (--capture external): see what they do with it"
            : "What ztund installed is in place; look for rules or routes of others"
        reason =
            "capture does not work: \(report.reason). \(place) "
            + "(nft list ruleset, ip rule, bpftool net in its network namespace). It is tried again every "
            + "\(retryInterval / 1_000_000_000) s"
    }

    /// When there is something to do; nil when never.
    package func nextDue(now: UInt64) -> UInt64? {
        switch state {
        case .idle: nil
        case .due(let time): time
        // Quick at first, then as slow as a person would not notice.
        case .flying(let since): now &+ (now < since &+ 20_000_000 ? 2_000_000 : 50_000_000)
        }
    }
}

/// How a canary ended.
package struct CanaryReport: Sendable, Hashable {
    package let isPassed: Bool
    /// Why it failed; empty when it passed.
    package let reason: String
    /// What could not be tried, each with the reason.
    package let untried: [String]
    /// From the first connection to the last arrival.
    package let microseconds: UInt64

    package init(isPassed: Bool, reason: String = "", untried: [String] = [], microseconds: UInt64) {
        self.isPassed = isPassed
        self.reason = reason
        self.untried = untried
        self.microseconds = microseconds
    }
}
