import MeshModel
import Testing

@testable import HBONE

@Suite struct HandshakeCensusTests {
    final class Handshake {
        let source: HandshakeSource
        init(_ source: HandshakeSource) { self.source = source }
    }

    static func source(_ text: String) throws -> HandshakeSource { HandshakeSource(try #require(IPAddress(text))) }

    @Test func theOldestOfTheSourceWithMostIsGivenUp() throws {
        var census = HandshakeCensus<Handshake>(limit: 5)
        let peer = Handshake(try Self.source("10.0.0.1"))
        let flood = try (0..<5).map { _ in Handshake(try Self.source("10.0.0.2")) }
        #expect(census.began(peer, from: peer.source) == nil)
        for one in flood.dropLast() { #expect(census.began(one, from: one.source) == nil) }
        let victim = census.began(flood[4], from: flood[4].source)
        #expect(victim === flood[0], "not the peer, although it began first")
        census.ended(flood[0], from: flood[0].source)
        #expect(census.count == 5)
    }

    @Test func amongSourcesWithOneEachTheOldestGoes() throws {
        var census = HandshakeCensus<Handshake>(limit: 3)
        let all = try (1...4).map { Handshake(try Self.source("10.0.0.\($0)")) }
        for one in all.dropLast() { #expect(census.began(one, from: one.source) == nil) }
        #expect(census.began(all[3], from: all[3].source) === all[0])
    }

    @Test func whoeverEndsMakesRoomAndStrangersToTheCensusDoNot() throws {
        var census = HandshakeCensus<Handshake>(limit: 1)
        let one = Handshake(try Self.source("10.0.0.1"))
        let other = Handshake(one.source)
        #expect(census.began(one, from: one.source) == nil)
        census.ended(other, from: other.source)
        #expect(census.count == 1)
        census.ended(one, from: one.source)
        census.ended(one, from: one.source)
        #expect(census.count == 0)
        #expect(census.began(other, from: other.source) == nil)
    }

    @Test func aPrefixOf64BitsIsOneSource() throws {
        #expect(try Self.source("2001:db8::1") == Self.source("2001:db8::ffff:0:1"))
        #expect(try Self.source("2001:db8::1") != Self.source("2001:db8:0:1::1"))
        #expect(try Self.source("10.0.0.1") != Self.source("10.0.0.2"))
    }

    @Test func sourcesTakeTurnsInAQueue() throws {
        var queue = SourceQueue<Int>()
        let heavy = try Self.source("10.0.0.1")
        for number in 0..<3 { queue.append(number, from: heavy) }
        queue.append(10, from: try Self.source("10.0.0.2"))
        queue.append(20, from: try Self.source("10.0.0.3"))
        var order: [Int] = []
        while let next = queue.popFirst() { order.append(next) }
        #expect(order == [0, 10, 20, 1, 2])
        #expect(queue.isEmpty)
    }
}
