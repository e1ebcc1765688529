import MeshModel
import Telemetry
import Testing

@Suite struct BoundedMemoryTests {
    static func refusal(_ time: UInt64) -> Refusal {
        let address = SocketAddress(.loopbackV4, 80)
        return Refusal(time: time, reason: .draining, direction: .inbound, source: address, destination: address)
    }

    @Test(arguments: [0, 1, 3, 4, 5, 11])
    func ringKeepsTheNewest(count: Int) {
        var ring = RefusalRing(capacity: 4)
        for time in 0..<count { ring.append(Self.refusal(UInt64(time))) }
        let expected = (0..<count).reversed().prefix(4).map { UInt64($0) }
        #expect(ring.newest().map(\.time) == Array(expected))
        #expect(ring.newest(2).map(\.time) == Array(expected.prefix(2)))
    }

    @Test func repeatsAreHeldBackAndCounted() {
        var guarded = RepeatGuard<String>(interval: 1000)
        #expect(guarded.admits("a", now: 0) == 0)
        #expect(guarded.admits("a", now: 500) == nil)
        #expect(guarded.admits("b", now: 500) == 0)
        #expect(guarded.admits("a", now: 999) == nil)
        #expect(guarded.admits("a", now: 1000) == 2)
        #expect(guarded.admits("a", now: 2000) == 0)
    }

    @Test func causesAreBounded() {
        var guarded = RepeatGuard<Int>(interval: 1000, limit: 16)
        for cause in 0..<1000 { #expect(guarded.admits(cause, now: UInt64(cause)) == 0) }
        #expect(guarded.admits(999, now: 1000) == nil)
    }
}
