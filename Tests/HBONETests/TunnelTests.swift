import EventLoop
import HTTP2
import MeshModel
import TLS
import Testing

@testable import HBONE

@Suite struct TunnelTests {
    @Test func aMegabyteComesBackUnharmed() throws {
        let bench = try TunnelBench()
        let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
        let sink = ClientSink("10.0.0.1:80", sending: bytes)
        bench.pool?.checkout(bench.key(), sink)
        #expect(bench.run { sink.closed != nil || sink.failure != nil })
        #expect(sink.failure == nil)
        #expect(sink.status == 200)
        #expect(sink.received == bytes)
        #expect(sink.ended && sink.closed == 0)
        #expect(sink.connection?.peer?.identity == bench.serverIdentity)
    }

    @Test func callersOfOneKeyShareOneDial() throws {
        let bench = try TunnelBench()
        let sinks = (0..<50).map { ClientSink("10.0.0.1:\($0 + 1)", sending: [1]) }
        for sink in sinks { bench.pool?.checkout(bench.key(), sink) }
        #expect(bench.run { sinks.allSatisfy { $0.closed != nil } })
        #expect(bench.dials == 1)
        #expect(sinks.allSatisfy { $0.received == [1] })
    }

    @Test func aFullConnectionIsJoinedByASecondAndRejoinsWhenStreamsEnd() throws {
        let bench = try TunnelBench(streamsPerConnection: 2)
        let holders = (0..<3).map { ClientSink("10.0.0.1:\($0 + 1)") }
        // Nothing to send and no end: the pull of these never runs, since they are not resumed after 200.
        for holder in holders { bench.pool?.checkout(bench.key(), holder) }
        #expect(bench.run { holders.allSatisfy { $0.status == 200 } })
        #expect(bench.dials == 2)
        #expect(bench.run { holders.allSatisfy { $0.closed == 0 } })
        let more = (0..<2).map { ClientSink("10.0.0.2:\($0 + 1)", sending: [1]) }
        for sink in more { bench.pool?.checkout(bench.key(), sink) }
        #expect(bench.run { more.allSatisfy { $0.closed == 0 } })
        #expect(bench.dials == 2)
    }

    @Test func aFailedDialReachesAllAtOnceAndIsNotRepeatedForAMoment() throws {
        let bench = try TunnelBench()
        let sinks = (0..<20).map { _ in ClientSink("10.0.0.1:80") }
        let dead = bench.key(port: 1)
        for sink in sinks { bench.pool?.checkout(dead, sink) }
        #expect(bench.run { sinks.allSatisfy { $0.failure != nil } })
        #expect(sinks.allSatisfy { $0.failure?.reason == .connectFailed && $0.failure?.isBeforeRequest == true })
        #expect(bench.dials == 1)
        let late = ClientSink("10.0.0.1:80")
        bench.pool?.checkout(dead, late)
        #expect(late.failure?.reason == .connectFailed)
        #expect(bench.dials == 1)
    }

    @Test func aPeerOfAnotherIdentityGetsNoRequest() throws {
        let bench = try TunnelBench()
        let stranger = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "stranger")
        let sink = ClientSink("10.0.0.1:80", sending: [1, 2, 3])
        bench.pool?.checkout(bench.key(expected: stranger), sink)
        #expect(bench.run { sink.failure != nil })
        #expect(sink.failure?.reason == .identityMismatch)
        #expect(bench.server.requests.isEmpty)
    }

    @Test(arguments: [400, 401, 503])
    func aRefusalArrivesWithItsStatusAndTheTunnelLives(status: Int) throws {
        let bench = try TunnelBench()
        bench.server.statuses["10.0.0.1:80"] = status
        let refused = ClientSink("10.0.0.1:80", sending: [1])
        bench.pool?.checkout(bench.key(), refused)
        #expect(bench.run { refused.closed != nil })
        #expect(refused.status == status)
        #expect(refused.received.isEmpty)
        let fine = ClientSink("10.0.0.2:80", sending: [9])
        bench.pool?.checkout(bench.key(), fine)
        #expect(bench.run { fine.closed == 0 })
        #expect(fine.received == [9])
        #expect(bench.dials == 1)
    }

    @Test func afterGoAwayTheNextCallerDialsAnew() throws {
        let bench = try TunnelBench()
        let first = ClientSink("10.0.0.1:80", sending: [1])
        bench.pool?.checkout(bench.key(), first)
        #expect(bench.run { first.closed == 0 })
        for connection in bench.server.connections { connection.drain() }
        #expect(bench.run { bench.server.connections.isEmpty && bench.pool?.counts.connections == 0 })
        let second = ClientSink("10.0.0.1:80", sending: [2])
        bench.pool?.checkout(bench.key(), second)
        #expect(bench.run { second.closed == 0 })
        #expect(bench.dials == 2)
        #expect(bench.server.failures.isEmpty)
    }

    @Test func zeroStreamsMeansAHandshakeForEveryConnection() throws {
        let bench = try TunnelBench(streamsPerConnection: 0)
        for number in 1...3 {
            let sink = ClientSink("10.0.0.1:80", sending: [1])
            bench.pool?.checkout(bench.key(), sink)
            #expect(bench.run { sink.closed == 0 })
            #expect(bench.dials == number)
        }
        #expect(bench.run { bench.server.connections.isEmpty })
    }

    @Test func aDyingConnectionTellsItsStreams() throws {
        let bench = try TunnelBench()
        bench.server.statuses = [:]
        let sink = ClientSink("10.0.0.1:80", sending: [UInt8](repeating: 1, count: 100))
        bench.pool?.checkout(bench.key(), sink)
        #expect(bench.run { sink.status == 200 })
        sink.connection?.close(TunnelFailure(.peerUnresponsive, "test"))
        #expect(sink.closed != nil || sink.failure != nil)
        #expect(bench.run { bench.server.connections.isEmpty })
    }
}
