import MeshModel
import Testing

@testable import NodeProxy

struct SetAsideEndpointsTests {
    private let second: UInt64 = 1_000_000_000
    private let one = SocketAddress(IPAddress(v4: 0x0a00_0001), 80)
    private let other = SocketAddress(IPAddress(v4: 0x0a00_0002), 80)

    @Test func nothingIsAvoidedAtFirst() {
        let endpoints = SetAsideEndpoints()
        #expect(endpoints.isEmpty && endpoints.uids(for: one, now: 0).isEmpty)
    }

    @Test func anUnreachableEndpointIsAvoidedEverywhere() {
        var endpoints = SetAsideEndpoints()
        endpoints.failed("a", destination: nil, now: 0)
        #expect(endpoints.uids(for: one, now: 10 * second - 1) == ["a"])
        #expect(endpoints.uids(for: other, now: 0) == ["a"])
        #expect(endpoints.uids(for: one, now: 10 * second).isEmpty)
    }

    @Test func anEndpointThatAnsweredIsAvoidedForItsDestinationOnly() {
        var endpoints = SetAsideEndpoints()
        endpoints.failed("a", destination: one, now: 0)
        #expect(endpoints.uids(for: one, now: 0) == ["a"])
        #expect(endpoints.uids(for: other, now: 0).isEmpty)
    }

    @Test func theTimeDoublesUpToAMinute() {
        var endpoints = SetAsideEndpoints()
        var now: UInt64 = 0
        for length: UInt64 in [10, 20, 40, 60, 60] {
            endpoints.failed("a", destination: nil, now: now)
            #expect(endpoints.uids(for: one, now: now + length * second - 1) == ["a"], "\(length)")
            now += length * second
            #expect(endpoints.uids(for: one, now: now).isEmpty, "\(length)")
        }
        #expect(endpoints.count == 5)
    }

    @Test func failuresOfConnectionsUnderWayCountOnce() {
        var endpoints = SetAsideEndpoints()
        for now in 0..<100 { endpoints.failed("a", destination: nil, now: UInt64(now)) }
        #expect(endpoints.count == 1)
        #expect(endpoints.uids(for: one, now: 10 * second).isEmpty)
    }

    @Test func successForgetsIt() {
        var endpoints = SetAsideEndpoints()
        endpoints.failed("a", destination: nil, now: 0)
        endpoints.failed("a", destination: one, now: 0)
        endpoints.failed("b", destination: nil, now: 0)
        endpoints.succeeded("a", destination: one)
        #expect(endpoints.uids(for: one, now: 1) == ["b"])
        endpoints.failed("a", destination: nil, now: 10 * second)
        #expect(endpoints.uids(for: one, now: 20 * second).isEmpty, "the time starts at ten seconds again")
    }

    @Test func aLongQuietTimeForgetsItToo() {
        var endpoints = SetAsideEndpoints()
        endpoints.failed("a", destination: nil, now: 0)
        endpoints.failed("b", destination: nil, now: 100 * second)
        endpoints.failed("a", destination: nil, now: 100 * second)
        #expect(endpoints.uids(for: one, now: 110 * second).isEmpty)
    }

    @Test func theNumberIsBounded() {
        var endpoints = SetAsideEndpoints()
        for index in 0..<(SetAsideEndpoints.limit + 10) { endpoints.failed("\(index)", destination: nil, now: 0) }
        #expect(endpoints.uids(for: one, now: 0).count == SetAsideEndpoints.limit)
    }
}
