package import MeshModel

/// What happens as the memory for slow readers fills, rung by rung: windows shrink, reading stops for what already holds
/// something and new work is refused, the connection that holds most is cut.
///
/// A value without clock or memory of its own: relays, tunnels and accounts tell it how full an account is (per mille of its
/// budget) and do what it says. One for each pod on each worker.
package struct OverloadLadder: Sendable {
    /// How far up an account stands.
    package enum Rung: Int, Sendable, Comparable {
        /// Nothing is held back.
        case free
        /// Windows are small, so that peers send less ahead.
        case tight
        /// What holds something is not read; new work is refused with a reason.
        case full
        /// The connection that holds most is cut.
        case over

        package static func < (a: Rung, b: Rung) -> Bool { a.rawValue < b.rawValue }
    }

    /// What to do about connections that are not read.
    package enum Act: Sendable, Equatable { case resume, wait, shed }

    private let tight: Int
    private let relaxed: Int
    private let full: Int
    private let relieved: Int
    private let over: Int
    private let patience: UInt64
    private let interval: UInt64
    private var pausedSince: UInt64 = 0
    private var shedAt: UInt64 = 0

    package init(_ limits: Limits = .standard) {
        tight = limits.tightPerMille
        relaxed = limits.relaxedPerMille
        full = limits.fullPerMille
        relieved = limits.relievedPerMille
        over = limits.overPerMille
        patience = UInt64(limits.patienceSeconds * 1e9)
        interval = UInt64(limits.shedSeconds * 1e9)
    }

    /// The rung of an account filled so far.
    package func rung(_ fill: Int) -> Rung {
        if fill < tight { return .free }
        if fill < full { return .tight }
        return fill < over ? .full : .over
    }

    /// Whether windows are to be small; those that are stay so until there is some room again.
    func wantsSmallWindows(_ fill: Int, areSmall: Bool) -> Bool { fill >= (areSmall ? relaxed : tight) }

    /// Whether something that holds bytes on the account is to be left unread.
    func stopsReading(_ fill: Int) -> Bool { fill >= full }

    /// Whether new work is to be refused.
    func refuses(_ fill: Int) -> Bool { fill >= full }

    /// Whether the whole budget is gone.
    func isOver(_ fill: Int) -> Bool { fill >= over }

    /// Whether what is not read may be read again.
    func isRelieved(_ fill: Int) -> Bool { fill < relieved }

    /// The first connection is not read any more, at `now` (monotonic nanoseconds).
    mutating func paused(now: UInt64) { pausedSince = now }

    /// What to do now about those that are not read.
    mutating func look(_ fill: Int, now: UInt64) -> Act {
        if isRelieved(fill) { return .resume }
        // Stuck: nothing is over the budget, and nobody gets on either.
        let isStuck = now &- pausedSince >= patience && now &- shedAt >= interval
        guard isOver(fill) || isStuck else { return .wait }
        shedAt = now
        return .shed
    }
}
