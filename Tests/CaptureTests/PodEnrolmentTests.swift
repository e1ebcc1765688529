import Capture
import Testing

@Suite struct PodEnrolmentTests {
    private typealias Step = PodEnrolment.Step
    private let retry: UInt64 = 5
    private let look: UInt64 = 3

    private func fresh() -> PodEnrolment { PodEnrolment(now: 100, retryInterval: retry, verifyInterval: look) }

    private func enrolled() -> PodEnrolment {
        var machine = fresh()
        for _ in Step.allCases {
            _ = machine.next(now: 100)
            machine.succeeded(now: 100)
        }
        return machine
    }

    @Test func redirectsOnlyWhenAllElseIsThere() {
        var machine = fresh()
        for step in [
            Step.openNamespace, .openSockets, .applySettings, .prepareRedirection, .installRedirection,
        ] {
            #expect(!machine.isServing)
            #expect(machine.phase == .pending)
            #expect(machine.next(now: 100) == .perform(step))
            machine.succeeded(now: 101)
        }
        #expect(machine.phase == .enrolled)
        #expect(machine.isServing)
        #expect(machine.since == 101)
        #expect(machine.reason == nil)
        #expect(machine.next(now: 101) == .wait(until: 104))
        #expect(machine.next(now: 104) == .verify)
    }

    @Test(arguments: PodEnrolment.Step.allCases)
    func undoesAllStepsBeforeTheOneThatFailed(failing: PodEnrolment.Step) {
        var machine = fresh()
        while machine.next(now: 100) != .perform(failing) { machine.succeeded(now: 100) }
        machine.failed("why", now: 100)
        for step in Step.allCases.reversed() where step.rawValue < failing.rawValue {
            #expect(machine.next(now: 100) == .undo(step))
            machine.succeeded(now: 100)
        }
        #expect(machine.phase == .pending)
        #expect(machine.reason == "why")
        #expect(!machine.isServing)
        #expect(machine.next(now: 104) == .wait(until: 105))
        #expect(machine.next(now: 105) == .perform(.openNamespace))
    }

    @Test func removalUndoesFromTheRedirectionOn() {
        var machine = enrolled()
        machine.remove(now: 200)
        #expect(machine.phase == .removing)
        #expect(machine.since == 200)
        for step in Step.allCases.reversed() {
            #expect(machine.next(now: 200) == .undo(step))
            // Whoever is still redirected to the listeners is served.
            #expect(machine.isServing == (step == .installRedirection))
            machine.succeeded(now: 201)
        }
        #expect(machine.phase == .removed)
        #expect(machine.next(now: 900) == .wait(until: nil))
    }

    @Test func removalThatFailsIsTriedAgainFromTheSameStep() {
        var machine = enrolled()
        machine.remove(now: 200)
        #expect(machine.next(now: 200) == .undo(.installRedirection))
        machine.failed("nft is gone", now: 200)
        #expect(machine.phase == .removing)
        #expect(machine.reason == "nft is gone")
        #expect(machine.next(now: 204) == .wait(until: 205))
        #expect(machine.next(now: 205) == .undo(.installRedirection))
    }

    @Test func removalOfAPodThatWaitsIsImmediate() {
        var machine = fresh()
        _ = machine.next(now: 100)
        machine.failed("no namespace", now: 100)
        machine.remove(now: 101)
        #expect(machine.phase == .removed)
    }

    @Test func countsRepairsAndStaysEnrolled() {
        var machine = enrolled()
        #expect(machine.next(now: 103) == .verify)
        machine.verified(repairs: 2, now: 103)
        #expect(machine.repairs == 2)
        #expect(machine.phase == .enrolled)
        #expect(machine.since == 100)
        #expect(machine.next(now: 105) == .wait(until: 106))
    }

    @Test func repairThatFailsIsPendingButKeepsServing() {
        var machine = enrolled()
        _ = machine.next(now: 103)
        machine.failed("nft is gone", now: 103)
        #expect(machine.phase == .pending)
        #expect(machine.since == 103)
        #expect(machine.isServing)
        #expect(machine.next(now: 108) == .verify)
        machine.verified(repairs: 1, now: 108)
        #expect(machine.phase == .enrolled)
        #expect(machine.since == 108)
        #expect(machine.reason == nil)
    }

    @Test func lostNamespaceIsNotUndoneButAwaited() {
        var machine = enrolled()
        machine.lost("gone", now: 110)
        #expect(machine.phase == .pending)
        #expect(!machine.isServing)
        #expect(machine.next(now: 114) == .wait(until: 115))
        #expect(machine.next(now: 115) == .perform(.openNamespace))

        var leaving = enrolled()
        leaving.remove(now: 110)
        leaving.lost("gone", now: 110)
        #expect(leaving.phase == .removed)
    }
}

extension PodEnrolmentTests {
    /// Another ztund had enrolled it: nothing is set up again, and nothing is undone when a look finds a fault.
    @Test func anAdoptedPodIsServedAndLookedAfterFromTheStart() {
        var machine = PodEnrolment(adoptedAt: 100, retryInterval: 5, verifyInterval: 3)
        #expect(machine.isServing && machine.phase == .enrolled)
        #expect(machine.next(now: 100) == .verify)
        machine.failed("nft is missing", now: 100)
        #expect(machine.isServing && machine.phase == .pending && machine.reason == "nft is missing")
        #expect(machine.next(now: 104) == .wait(until: 105))
        #expect(machine.next(now: 105) == .verify)
        machine.verified(repairs: 0, now: 106)
        #expect(machine.phase == .enrolled && machine.repairs == 0)
        #expect(machine.next(now: 106) == .wait(until: 109))
    }
}
