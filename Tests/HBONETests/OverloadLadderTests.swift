import MeshModel
import Testing

@testable import HBONE

@Suite struct OverloadLadderTests {
    static let second: UInt64 = 1_000_000_000

    @Test func eachRungHasItsShare() {
        let ladder = OverloadLadder()
        let table: [(Int, OverloadLadder.Rung)] = [
            (0, .free), (499, .free), (500, .tight), (899, .tight), (900, .full), (999, .full), (1000, .over),
            (5000, .over),
        ]
        for (fill, rung) in table { #expect(ladder.rung(fill) == rung, "\(fill)") }
        #expect(OverloadLadder.Rung.free < .tight && OverloadLadder.Rung.full < .over)
    }

    @Test func readingStopsAndNewWorkIsRefusedAtTheSameRung() {
        let ladder = OverloadLadder()
        for fill in 0...1100 {
            let isFull = ladder.rung(fill) >= .full
            #expect(ladder.stopsReading(fill) == isFull && ladder.refuses(fill) == isFull)
            #expect(ladder.isOver(fill) == (ladder.rung(fill) == .over))
        }
    }

    @Test func windowsThatShrankStaySmallUntilThereIsRoom() {
        let ladder = OverloadLadder()
        #expect(!ladder.wantsSmallWindows(499, areSmall: false))
        #expect(ladder.wantsSmallWindows(500, areSmall: false))
        #expect(ladder.wantsSmallWindows(375, areSmall: true))
        #expect(!ladder.wantsSmallWindows(374, areSmall: true))
    }

    @Test func readingGoesOnOnlyBelowTheRelief() {
        var ladder = OverloadLadder()
        ladder.paused(now: 0)
        #expect(ladder.look(899, now: 1) == .wait)
        #expect(ladder.look(800, now: 1) == .wait)
        #expect(ladder.look(799, now: 1) == .resume)
    }

    @Test func overTheBudgetOneIsCutAtEachLook() {
        var ladder = OverloadLadder()
        ladder.paused(now: 0)
        #expect(ladder.look(1000, now: 1) == .shed)
        #expect(ladder.look(1200, now: 2) == .shed)
    }

    @Test func whatStandsStillIsCutAfterPatienceOneASecond() {
        var ladder = OverloadLadder()
        let begin = 100 * Self.second
        ladder.paused(now: begin)
        #expect(ladder.look(950, now: begin + 5 * Self.second - 1) == .wait)
        #expect(ladder.look(950, now: begin + 5 * Self.second) == .shed)
        #expect(ladder.look(950, now: begin + 6 * Self.second - 1) == .wait)
        #expect(ladder.look(950, now: begin + 6 * Self.second) == .shed)
    }

    @Test func itTakesItsNumbersFromTheLimits() {
        var limits = Limits()
        limits.tightPerMille = 50
        limits.fullPerMille = 100
        limits.overPerMille = 200
        let ladder = OverloadLadder(limits)
        #expect(ladder.rung(150) == .full)
        #expect(ladder.refuses(100) && !ladder.refuses(99) && ladder.isOver(200))
    }
}
