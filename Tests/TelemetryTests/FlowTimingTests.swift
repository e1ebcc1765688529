import MeshModel
import Telemetry
import Testing

@Suite struct FlowTimingTests {
    private func stages(_ timing: FlowTiming) -> [FlowStage: UInt64] {
        var stages: [FlowStage: UInt64] = [:]
        for stage in FlowStage.allCases { stages[stage] = timing[stage] }
        return stages
    }

    @Test func standsStillUntilStarted() {
        var timing = FlowTiming()
        timing.pass(.decision, at: 10)
        timing.passTunnel(TunnelMilestones(dialled: 1, connected: 2, secured: 3), at: 20)
        timing.passFirstBytes(request: 5, answer: 6)
        #expect(!timing.isRunning && stages(timing).isEmpty)
    }

    @Test func everyMomentBelongsToOneStage() {
        var timing = FlowTiming(accepted: 1000, age: 700, now: 1200)
        timing.pass(.decision, at: 1300)
        timing.passTunnel(TunnelMilestones(dialled: 1350, connected: 1400, secured: 1600), at: 1700)
        timing.pass(.answer, at: 1750)
        timing.passFirstBytes(request: 1800, answer: 2000)
        #expect(
            stages(timing) == [
                .capture: 500, .decision: 300, .pool: 150, .connect: 50, .tls: 200, .answer: 50, .request: 50,
                .firstByte: 200,
            ])
    }

    @Test func aTunnelThatWasThereCostsOnlyThePool() {
        var timing = FlowTiming(accepted: 1000, age: 0, now: 1000)
        timing.passTunnel(TunnelMilestones(dialled: 100, connected: 200, secured: 300), at: 1010)
        #expect(stages(timing) == [.pool: 10])
    }

    @Test func whoComesDuringADialHasThePartThatItWaited() {
        var timing = FlowTiming(accepted: 1000, age: 0, now: 1000)
        timing.passTunnel(TunnelMilestones(dialled: 500, connected: 800, secured: 1400), at: 1500)
        #expect(stages(timing) == [.pool: 100, .tls: 400])
    }

    @Test func attemptsAddUp() {
        var timing = FlowTiming(accepted: 1000, age: 0, now: 1000)
        timing.pass(FlowStage(ofFailedDial: .connectTimeout), at: 1500)
        timing.passTunnel(TunnelMilestones(dialled: 1500, connected: 1600, secured: 1700), at: 1700)
        #expect(timing[.connect] == 600 && timing[.tls] == 100 && timing[.pool] == 0)
        #expect(FlowStage(ofFailedDial: .identityMismatch) == .tls)
        #expect(FlowStage(ofFailedDial: .certificateUnavailable) == .pool)
    }

    @Test func aServerThatSpeaksFirstHasNoRequest() {
        var timing = FlowTiming(accepted: 1000, age: 0, now: 1000)
        timing.passFirstBytes(request: 1500, answer: 1100)
        #expect(stages(timing) == [.firstByte: 100])
        var silent = FlowTiming(accepted: 1000, age: 0, now: 1000)
        silent.passFirstBytes(request: 1200, answer: 0)
        #expect(stages(silent) == [.request: 200])
    }

    @Test func clocksThatDisagreeNeverGiveATimeBelowNothing() {
        // A cached time of the loop's turn may be older than a fresh one.
        var timing = FlowTiming(accepted: 1000, age: 5, now: 2000)
        timing.pass(.answer, at: 3000)
        timing.passTunnel(TunnelMilestones(dialled: 2500, connected: 2600, secured: 2700), at: 2900)
        timing.passFirstBytes(request: 2800, answer: 2900)
        #expect(timing[.capture] == 0 && timing[.pool] == 0 && timing[.request] == 0 && timing[.firstByte] == 0)
        #expect(timing[.connect] == nil && timing[.tls] == nil)
    }
}

@Suite struct FlowRingTests {
    private func record(_ port: UInt16) -> FlowRecord {
        let address = SocketAddress(.loopbackV4, port)
        return FlowRecord(time: UInt64(port), direction: .outbound, source: address, destination: address)
    }

    private func times(_ batch: FlowRing.Batch) -> [UInt64] { batch.records.map(\.time) }

    @Test func readersGoOnWhereTheyWere() {
        var ring = FlowRing(capacity: 4)
        #expect(ring.batch(after: nil, limit: 10).records.isEmpty)
        for port in 1...3 { ring.append(record(UInt16(port))) }
        let first = ring.batch(after: nil, limit: 2)
        #expect(times(first) == [1, 2] && first.lost == 0)
        let second = ring.batch(after: first.cursor, limit: 2)
        #expect(times(second) == [3] && second.cursor == 3)
        #expect(ring.batch(after: second.cursor, limit: 2).records.isEmpty)
    }

    @Test func whatIsOverwrittenIsCounted() {
        var ring = FlowRing(capacity: 4)
        for port in 1...3 { ring.append(record(UInt16(port))) }
        let cursor = ring.batch(after: nil, limit: 1).cursor
        for port in 4...9 { ring.append(record(UInt16(port))) }
        let batch = ring.batch(after: cursor, limit: 10)
        #expect(times(batch) == [6, 7, 8, 9] && batch.lost == 4 && ring.count == 4)
        // A newcomer misses nothing that it could have known.
        #expect(ring.batch(after: nil, limit: 10).lost == 0)
    }

    @Test func emptyingLosesWhatNobodyRead() {
        var ring = FlowRing(capacity: 3)
        for port in 1...5 { ring.append(record(UInt16(port))) }
        ring.removeAll()
        #expect(ring.count == 0)
        for port in 6...9 { ring.append(record(UInt16(port))) }
        let batch = ring.batch(after: 5, limit: 10)
        #expect(times(batch) == [7, 8, 9] && batch.lost == 1 && batch.cursor == 9)
        let late = ring.batch(after: 2, limit: 10)
        #expect(late.lost == 4)
    }

    @Test func verdictsByReason() {
        #expect(FlowVerdict(nil) == .forwarded && FlowVerdict(.reset) == .forwarded)
        #expect(FlowVerdict(.networkPolicyDenied) == .refused && FlowVerdict(.policyChanged) == .refused)
        #expect(FlowVerdict(.connectTimeout) == .failed)
    }
}
