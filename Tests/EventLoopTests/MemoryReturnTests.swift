import EventLoop
import Testing

@Suite struct MemoryReturnTests {
    /// What is decided at each moment: MiB resident, seconds.
    private func decisions(_ moments: [(resident: UInt64, second: UInt64)]) -> [Bool] {
        var decision = MemoryReturn()
        return moments.map { decision.isDue(resident: $0.resident << 20, now: $0.second * 1_000_000_000) }
    }

    @Test func aProcessThatStaysSmallIsLeftAlone() {
        let moments = (0..<100).map { second in (resident: 20 + UInt64(second) % 4, second: UInt64(second)) }
        #expect(!decisions(moments).contains(true))
    }

    @Test func whatHasGrownIsReturnedNoOftenerThanTheInterval() {
        let moments: [(UInt64, UInt64)] = [(20, 1), (60, 2), (60, 3), (60, 11), (60, 12)]
        #expect(decisions(moments) == [false, true, false, false, true])
    }

    @Test func theLeanestMomentIsTheMeasure() {
        #expect(decisions([(60, 1), (20, 2), (30, 3)]) == [false, false, true])
    }
}
