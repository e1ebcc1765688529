/// How long a ztund that drains goes on: decisions only.
package struct DrainWait: Sendable, Hashable {
    /// What to do now.
    package enum Step: Sendable, Hashable {
        /// Nothing is left, or nothing is to be waited for.
        case ended
        /// Time, or patience, is over: cut what is left.
        case expired
        /// Look again after so many milliseconds.
        case wait(UInt32)
    }

    /// Whether another ztund has taken over: then nothing hurries before the next signal.
    package let isReplaced: Bool
    private let length: UInt64
    private var deadline: UInt64?

    /// - Parameter length: nanoseconds that running work has from the signal on.
    package init(isReplaced: Bool, length: UInt64) {
        self.isReplaced = isReplaced
        self.length = length
    }

    /// - Parameters:
    ///   - now: nanoseconds of a monotonic clock.
    ///   - signals: how many came since the drain began.
    ///   - isOrdered: whether one that was replaced may end without a signal.
    ///   - isAbandoned: whether the one that replaced us is gone; somebody has to be started again soon.
    package mutating func next(now: UInt64, isIdle: Bool, signals: Int, isOrdered: Bool, isAbandoned: Bool) -> Step {
        if signals > (isReplaced ? 1 : 0) { return .expired }
        if deadline == nil, !isReplaced || signals > 0 || isAbandoned { deadline = now &+ length }
        if isIdle, !isReplaced || isOrdered || signals > 0 { return .ended }
        if let deadline, now >= deadline { return .expired }
        return .wait(isReplaced ? 100 : 20)
    }
}
