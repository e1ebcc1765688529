import MeshModel
import Testing

@testable import HTTP2

@Suite struct HTTP2EngineTests {
    @Test func connectAnswerDataAndBothEnds() throws {
        let pair = EnginePair()
        let (source, id) = pair.open()
        let stream = try #require(id)
        pair.exchange()
        #expect(pair.serverSide.events == [.request(1, authority: "10.0.0.1:80")])
        #expect(pair.clientSide.events == [.response(status: 200)])
        source.bytes = Array("hello".utf8)
        source.ends = true
        pair.client.resume(stream)
        pair.exchange()
        #expect(pair.serverSide.received == Array("hello".utf8))
        #expect(pair.serverSide.events.last == .end)
        let back = try #require(pair.serverSide.sources[1])
        back.bytes = Array("world".utf8)
        back.ends = true
        pair.server.resume(1)
        pair.exchange()
        #expect(pair.clientSide.received == Array("world".utf8))
        #expect(pair.clientSide.events.suffix(2) == [.end, .closed(0)])
        #expect(pair.serverSide.events.last == .closed(0))
    }

    @Test func megabytesPassInOrderThroughASmallWindow() throws {
        let pair = EnginePair()
        let (source, id) = pair.open()
        pair.exchange()
        let sent = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 >> 8 ^ $0) }
        source.bytes = sent
        source.ends = true
        pair.client.resume(try #require(id))
        pair.exchange()
        #expect(pair.serverSide.received == sent)
        // Large frames: the unit of work, not the protocol's default of 16 KiB.
        #expect(pair.clientSide.largestPull > 60_000)
    }

    @Test func aStalledReaderStopsItsStreamAtItsWindowAndNoOther() throws {
        let pair = EnginePair()
        let (slow, slowID) = pair.open("10.0.0.1:81")
        let (quick, quickID) = pair.open("10.0.0.1:82")
        pair.exchange()
        try #require(pair.serverSide.sources[1]).consumesAtOnce = false
        slow.bytes = [UInt8](repeating: 1, count: 1_000_000)
        pair.client.resume(try #require(slowID))
        pair.exchange()
        #expect(pair.serverSide.received.count == HTTP2Limits().streamWindow)
        quick.bytes = [UInt8](repeating: 2, count: 1_000_000)
        pair.client.resume(try #require(quickID))
        pair.exchange()
        #expect(pair.serverSide.received.count { $0 == 2 } == 1_000_000)
        pair.server.consumed(1, count: HTTP2Limits().streamWindow)
        pair.exchange()
        #expect(pair.serverSide.received.count { $0 == 1 } == 2 * HTTP2Limits().streamWindow)
    }

    @Test func aBrokenSourceResetsWithCancel() throws {
        let pair = EnginePair()
        let (source, id) = pair.open()
        pair.exchange()
        source.breaks = true
        pair.client.resume(try #require(id))
        pair.exchange()
        #expect(pair.serverSide.events.last == .closed(8))
    }

    @Test func goAwayLeavesRunningStreams() throws {
        let pair = EnginePair()
        let (source, id) = pair.open()
        pair.exchange()
        pair.server.goAway(code: 0)
        pair.exchange()
        #expect(pair.clientSide.events.last == .goAway(last: 1, code: 0))
        #expect(pair.client.peerGoingAway)
        source.bytes = [7]
        pair.client.resume(try #require(id))
        pair.exchange()
        #expect(pair.serverSide.received == [7])
    }

    @Test func tooManyFieldsAreRefusedAndTheConnectionLives() throws {
        let pair = EnginePair()
        var head = HeaderBlock()
        head.append(":method", "CONNECT")
        head.append(":authority", "10.0.0.1:80")
        for i in 0..<70 { head.append(name: Array("x-\(i)".utf8), value: [65]) }
        let (_, context) = pair.clientSide.makeSource()
        _ = pair.client.connect(head, context: context)
        pair.exchange()
        #expect(!pair.serverSide.events.contains { if case .request = $0 { true } else { false } })
        #expect(pair.server.failure == nil)
        _ = pair.open()
        pair.exchange()
        #expect(pair.serverSide.events.contains(.request(3, authority: "10.0.0.1:80")))
    }

    /// CVE-2023-44487 and its kin: what the owner reports as early resets ends the connection at the budget.
    @Test func earlyResetsSpendTheBudget() {
        let pair = EnginePair()
        pair.exchange()
        for _ in 0..<200 { pair.server.countEarlyReset() }
        #expect(pair.server.failure?.reason == .peerMisbehaved)
        pair.exchange()
        #expect(pair.clientSide.events.contains(.goAway(last: 0, code: 11)))
    }

    @Test func pingFloodEndsTheConnection() {
        let pair = EnginePair()
        pair.exchange()
        let ping: [UInt8] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        var survived = 0
        while survived < 1000, pair.inject(ping) { survived += 1 }
        #expect((50...100).contains(survived))
        #expect(pair.server.failure?.reason == .peerMisbehaved)
    }

    @Test func unknownFramesCount() {
        let pair = EnginePair()
        pair.exchange()
        let unknown: [UInt8] = [0, 0, 0, 0xee, 0, 0, 0, 0, 0]
        var survived = 0
        while survived < 1000, pair.inject(unknown) { survived += 1 }
        #expect((50...100).contains(survived))
    }

    /// Preface garbage, a frame larger than allowed, a stream of the wrong parity: refused, never a crash.
    @Test(arguments: [
        Array("GET / HTTP/1.1\r\n\r\n".utf8),
        [0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 1, 4, 0, 0, 0, 2],
    ])
    func garbageEndsTheConnection(bytes: [UInt8]) {
        let pair = EnginePair()
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]
        let first = bytes.first == UInt8(ascii: "G") ? [] : preface
        let isAlive = first.isEmpty || pair.inject(first)
        #expect(isAlive)
        _ = pair.inject(bytes)
        pair.exchange()
        let saidGoAway = pair.clientSide.events.contains {
            if case .goAway(_, let code) = $0 { code != 0 } else { false }
        }
        #expect(pair.server.failure != nil || saidGoAway)
    }

    @Test func theBudgetRefillsWithTime() {
        var budget = GlitchBudget(capacity: 2, perSecond: 10, now: 0)
        let times: [UInt64] = [0, 0, 99_999_999, 100_000_000, 100_000_000, .max, .max, .max]
        let granted = times.map { budget.spend(now: $0) }
        // Never more than its capacity, and no arithmetic trap at the end of time.
        #expect(granted == [true, true, false, true, false, true, true, false])
    }
}
