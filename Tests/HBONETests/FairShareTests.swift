import EventLoop
import Telemetry
import Testing

@testable import HBONE

@Suite struct FairShareTests {
    @Test func aPodMovesItsQuantumInATurnAndPaysBackWhatItTookMore() throws {
        let loop = try EventLoop()
        let share = FairShare(loop: loop, memory: .unlimited)
        #expect(share.mayMove)
        share.spend(FairShare.quantum * 5 / 2)
        #expect(!share.mayMove)
        loop.turn(wait: false)
        #expect(!share.mayMove, "still in debt")
        loop.turn(wait: false)
        #expect(share.mayMove)
    }

    @Test func aPodThatWasIdleSavesNothing() throws {
        let loop = try EventLoop()
        let share = FairShare(loop: loop, memory: .unlimited)
        for _ in 0..<10 {
            loop.turn(wait: false)
            #expect(share.mayMove)
        }
        share.spend(FairShare.quantum)
        #expect(!share.mayMove)
    }

    @Test func whatAPodHoldsIsOnTheProcessToo() {
        let process = MemoryAccount(budget: 1000)
        let pod = MemoryAccount(budget: 400, partOf: process)
        pod.charge(300)
        #expect((pod.held, process.held, pod.fill, process.fill) == (300, 300, 750, 300))
        pod.charge(-300)
        #expect((pod.held, process.held) == (0, 0))
    }

    @Test func aFullProcessIsFeltByThoseWhoFillIt() {
        let process = MemoryAccount(budget: 1000)
        let heavy = MemoryAccount(budget: 2000, partOf: process)
        let light = MemoryAccount(budget: 2000, partOf: process)
        let idle = MemoryAccount(budget: 2000, partOf: process)
        heavy.charge(930)
        light.charge(10)
        #expect(heavy.isFull && !light.isFull && !idle.isFull)
        heavy.charge(70)
        #expect(OverloadLadder().isOver(heavy.fill) && OverloadLadder().isOver(light.fill))
        #expect(!idle.isFull, "who holds nothing goes on even then")
    }

    @Test func theUnlimitedAccountIsNeverFull() {
        let account = MemoryAccount.unlimited
        account.charge(1 << 40)
        #expect(!account.isFull && account.fill == 0)
    }

    @Test func eightBusyTunnelsOfOnePodMoveAQuantumInATurnAndAllOfThemGetOn() throws {
        let bench = try TunnelBench(streamsPerConnection: 1)
        let sinks = (0..<8).map { EndlessSink("discard:\($0 + 1)") }
        for sink in sinks { bench.pool?.checkout(bench.key(), sink) }
        #expect(bench.run { sinks.allSatisfy { $0.pulled > 0 } })
        let before = sinks.map(\.pulled)
        var largest = 0
        for _ in 0..<200 {
            let start = sinks.reduce(0) { $0 + $1.pulled }
            bench.loop.turn(wait: false)
            largest = max(largest, sinks.reduce(0) { $0 + $1.pulled } - start)
        }
        // A quantum, and what the batch that began within it went beyond.
        #expect(largest > 0 && largest <= FairShare.quantum + TunnelBuffers.size)
        let moved = zip(sinks, before).map { $0.pulled - $1 }
        #expect(moved.allSatisfy { $0 > 0 }, "\(moved)")
    }

    @Test func handshakesOfManyConnectionsAllComeThrough() throws {
        // One stream each: as many handshakes as connections, far more than a turn takes.
        let bench = try TunnelBench(streamsPerConnection: 1)
        let sinks = (0..<24).map { ClientSink("10.0.0.1:\($0 + 1)", sending: [1]) }
        for sink in sinks { bench.pool?.checkout(bench.key(), sink) }
        #expect(bench.run { sinks.allSatisfy { $0.closed != nil } })
        #expect(sinks.allSatisfy { $0.received == [1] })
    }
}
