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

    @Test func theStartIsOverOnce() {
        var decision = MemoryReturn()
        let moments: [UInt64] = [7, 8, 10, 11, 12, 60]
        let answers = moments.map { decision.isStartOver(now: $0 * 1_000_000_000) }
        #expect(answers == [false, false, false, true, false, false])
    }

    /// What runs on comes back.
    @Test func codeThatWasReturnedRunsOn() {
        // Other tests take memory meanwhile.
        let hasShrunk = (0..<100).contains { _ in
            let before = Kernel.residentMemory() ?? 0
            Kernel.returnCode()
            return Kernel.residentMemory() ?? .max < before
        }
        #expect(hasShrunk)
    }

    @Test func theLeanestMomentIsTheMeasure() {
        #expect(decisions([(60, 1), (20, 2), (30, 3)]) == [false, false, true])
    }
}
