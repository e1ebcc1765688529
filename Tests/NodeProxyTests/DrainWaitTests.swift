import Testing

@testable import NodeProxy

struct DrainWaitTests {
    private static let second: UInt64 = 1_000_000_000

    private func step(
        _ wait: inout DrainWait, at seconds: UInt64, isIdle: Bool = false, signals: Int = 0, isOrdered: Bool = true,
        isAbandoned: Bool = false
    ) -> DrainWait.Step {
        wait.next(
            now: 100 + seconds * Self.second, isIdle: isIdle, signals: signals, isOrdered: isOrdered,
            isAbandoned: isAbandoned)
    }

    @Test func anOrdinaryDrainEndsWhenIdleAtTheDeadlineOrByTheNextSignal() {
        var wait = DrainWait(isReplaced: false, length: 5 * Self.second)
        #expect(step(&wait, at: 0) == .wait(20))
        #expect(step(&wait, at: 4) == .wait(20))
        #expect(step(&wait, at: 5) == .expired)
        #expect(step(&wait, at: 4, isIdle: true) == .ended)
        #expect(step(&wait, at: 1, signals: 1) == .expired)
    }

    @Test func oneThatWasReplacedHasNoDeadlineBeforeTheSignal() {
        var wait = DrainWait(isReplaced: true, length: 5 * Self.second)
        #expect(step(&wait, at: 0) == .wait(100))
        #expect(step(&wait, at: 1_000_000) == .wait(100))
        #expect(step(&wait, at: 1_000_001, signals: 1) == .wait(100))
        #expect(step(&wait, at: 1_000_005, signals: 1) == .wait(100))
        #expect(step(&wait, at: 1_000_006, signals: 1) == .expired)
        #expect(step(&wait, at: 1_000_002, signals: 2) == .expired)
    }

    @Test func oneThatIsToWaitEndsOnlyBySignalOrWithItsSuccessor() {
        var wait = DrainWait(isReplaced: true, length: 5 * Self.second)
        #expect(step(&wait, at: 0, isIdle: true, isOrdered: false) == .wait(100))
        #expect(step(&wait, at: 1, isIdle: true, signals: 1, isOrdered: false) == .ended)
        var abandoned = DrainWait(isReplaced: true, length: 5 * Self.second)
        #expect(step(&abandoned, at: 0, isOrdered: true, isAbandoned: true) == .wait(100))
        #expect(step(&abandoned, at: 5, isOrdered: true, isAbandoned: true) == .expired)
        #expect(step(&abandoned, at: 1, isIdle: true, isOrdered: true, isAbandoned: true) == .ended)
    }
}
