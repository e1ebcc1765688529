/// The order in which a pod is enrolled, undone, kept in repair and removed: decisions only, no I/O.
///
/// Whoever executes asks ``next(now:)`` what to do, does it, and reports. Nothing is redirected before everything that
/// redirected connections need is there, and the first thing undone is the redirection; so a pod is captured whole or not
/// at all. Times are nanoseconds of one monotonic clock.
package struct PodEnrolment: Sendable, Hashable {
    /// The steps, in the order of enrolment; they are undone in the opposite order.
    package enum Step: Int, Sendable, CaseIterable, Hashable {
        case openNamespace, openSockets, applySettings, prepareRedirection, installRedirection

        fileprivate var previous: Step? { Step(rawValue: rawValue - 1) }
        fileprivate var following: Step? { Step(rawValue: rawValue + 1) }
    }

    /// What to do now.
    package enum Action: Sendable, Hashable {
        /// Do a step of enrolment; report ``succeeded(now:)`` or ``failed(_:now:)``.
        case perform(Step)
        /// Take a step back; report ``succeeded(now:)`` or ``failed(_:now:)``.
        case undo(Step)
        /// Look after an enrolled pod; report ``verified(repairs:now:)``, ``failed(_:now:)`` or ``lost(_:now:)``.
        case verify
        /// Nothing until the time, or ever (nil).
        case wait(until: UInt64?)
    }

    /// What people see.
    package enum Phase: String, Sendable, Hashable {
        /// The pod's traffic is captured.
        case enrolled
        /// It is not captured (or no longer as it should be); the reason says why, and it is tried again.
        case pending
        /// It is being taken out of the mesh.
        case removing
        /// Nothing of ours is left in it.
        case removed
    }

    private enum State: Hashable {
        case waiting(until: UInt64)
        case performing(Step)
        /// `retry` is set while an undo that failed waits for its next attempt.
        case undoing(Step, retry: UInt64?)
        case enrolled(verifyAt: UInt64)
        case removed
    }

    private var state: State
    private var leaving = false
    private let retryInterval: UInt64
    private let verifyInterval: UInt64
    /// Why the pod is not enrolled, or what went wrong last; nil when all is well.
    package private(set) var reason: String?
    /// When the present ``phase`` began.
    package private(set) var since: UInt64
    /// How often something that had been removed behind our back was put back.
    package private(set) var repairs = 0

    /// A pod that is to be enrolled at once.
    package init(now: UInt64, retryInterval: UInt64, verifyInterval: UInt64) {
        self.retryInterval = retryInterval
        self.verifyInterval = verifyInterval
        state = .waiting(until: now)
        since = now
    }

    /// A pod that the ztund before this one had enrolled: it is looked after at once, and taken in by nobody again.
    package init(adoptedAt now: UInt64, retryInterval: UInt64, verifyInterval: UInt64) {
        self.retryInterval = retryInterval
        self.verifyInterval = verifyInterval
        state = .enrolled(verifyAt: now)
        since = now
    }

    /// What people see of it.
    package var phase: Phase {
        switch state {
        case .removed: .removed
        case .enrolled where !leaving: reason == nil ? .enrolled : .pending
        case .waiting, .performing, .undoing, .enrolled: leaving ? .removing : .pending
        }
    }

    /// Whether the listeners are to be served: from the end of enrolment until nothing is redirected any more.
    package var isServing: Bool {
        switch state {
        case .enrolled, .undoing(.installRedirection, _): true
        case .waiting, .performing, .undoing, .removed: false
        }
    }

    /// The next thing to do.
    package mutating func next(now: UInt64) -> Action {
        switch state {
        case .waiting(let until):
            guard now >= until else { return .wait(until: until) }
            state = .performing(.openNamespace)
            return .perform(.openNamespace)
        case .performing(let step):
            return .perform(step)
        case .undoing(let step, let retry):
            if let retry, now < retry { return .wait(until: retry) }
            return .undo(step)
        case .enrolled(let verifyAt):
            return now >= verifyAt ? .verify : .wait(until: verifyAt)
        case .removed:
            return .wait(until: nil)
        }
    }

    /// Something may be wrong with an enrolled pod: the next action is to look after it.
    package mutating func lookSoon(now: UInt64) {
        guard case .enrolled(let verifyAt) = state, verifyAt > now else { return }
        state = .enrolled(verifyAt: now)
    }

    /// The step that ``next(now:)`` asked for is done or undone.
    package mutating func succeeded(now: UInt64) {
        switch state {
        case .performing(let step):
            guard let following = step.following else {
                reason = nil
                return enter(.enrolled(verifyAt: now &+ verifyInterval), now)
            }
            state = .performing(following)
        case .undoing(let step, _):
            undo(from: step.previous, now)
        case .waiting, .enrolled, .removed:
            break
        }
    }

    /// The step, or the look after the pod, failed.
    package mutating func failed(_ reason: String, now: UInt64) {
        switch state {
        case .performing(let step):
            self.reason = reason
            // A step that fails leaves nothing behind, so only those before it are undone.
            undo(from: step.previous, now)
        case .undoing(let step, _):
            self.reason = reason
            state = .undoing(step, retry: now &+ retryInterval)
        case .enrolled:
            if self.reason == nil { since = now }
            self.reason = reason
            state = .enrolled(verifyAt: now &+ retryInterval)
        case .waiting, .removed:
            break
        }
    }

    /// The look after the pod found all well, or made it so by `repairs` repairs.
    package mutating func verified(repairs count: Int, now: UInt64) {
        guard case .enrolled = state else { return }
        repairs += count
        if reason != nil { since = now }
        reason = nil
        state = .enrolled(verifyAt: now &+ verifyInterval)
    }

    /// The pod's network namespace is gone or another: what was in it went with it, so nothing is undone.
    package mutating func lost(_ reason: String, now: UInt64) {
        self.reason = reason
        enter(leaving ? .removed : .waiting(until: now &+ retryInterval), now)
    }

    /// The pod is to leave the mesh.
    package mutating func remove(now: UInt64) {
        guard !leaving else { return }
        leaving = true
        since = now
        reason = nil
        switch state {
        case .waiting: enter(.removed, now)
        case .performing(let step): undo(from: step.previous, now)
        case .undoing(let step, _): enter(.undoing(step, retry: nil), now)
        case .enrolled: enter(.undoing(.installRedirection, retry: nil), now)
        case .removed: break
        }
    }

    private mutating func undo(from step: Step?, _ now: UInt64) {
        if let step {
            enter(.undoing(step, retry: nil), now)
        } else {
            enter(leaving ? .removed : .waiting(until: now &+ retryInterval), now)
        }
    }

    private mutating func enter(_ new: State, _ now: UInt64) {
        let before = phase
        state = new
        if phase != before { since = now }
    }
}
