import COpenSSL
import MeshModel
import Testing

@testable import TLS

/// Our record layer with the library at the other end, and with itself.
@Suite struct RecordLayerTests {
    static let suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
    /// Who has our record layer.
    enum Sides: CaseIterable { case client, server, both }

    private static func pair(_ sides: Sides, suite: String = suites[0]) throws -> SessionPair {
        let now = Int64(wallSeconds())
        let client = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "client")
        let server = SpiffeID(trustDomain: "cluster.local", namespace: "default", serviceAccount: "server")
        let authority = try CertificateBench().authority(now: now)
        let pair = try SessionPair(
            client: authority.issue(client, now: now), server: authority.issue(server, now: now), expected: [server],
            trustDomain: "cluster.local", clientRecords: sides == .server ? .libssl : .own,
            serverRecords: sides == .client ? .libssl : .own, suite: suite)
        try #require(pair.shakeHands())
        try #require((pair.client.records != nil) == (sides != .server))
        try #require((pair.server.records != nil) == (sides != .client))
        return pair
    }

    private func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

    @Test(arguments: suites, Sides.allCases)
    func everyCipherCarriesEverySizeBothWays(suite: String, sides: Sides) throws {
        let pair = try Self.pair(sides, suite: suite)
        for count in [1, 2, 15, 16, 17, 1000, 16_383, 16_384, 16_385, 65_536] {
            for (from, to) in [(pair.client, pair.server), (pair.server, pair.client)] {
                let sent = text(count)
                let (plain, end) = pair.open(pair.seal(sent, by: from), by: to)
                #expect(plain == sent && end == 0, "\(suite) \(sides) \(count)")
            }
        }
        #expect(!pair.client.keyExchange.isEmpty && pair.client.keyExchange == pair.server.keyExchange)
        #expect(pair.client.peer != nil && pair.server.peer != nil)
    }

    @Test(arguments: [1, 2, 4, 5, 6, 7, 100, 16_000, 16_406, 16_407])
    func anyCutOfTheStreamReadsTheSame(piece: Int) throws {
        let pair = try Self.pair(.server)
        let sent = text(piece < 10 ? 20_000 : 65_536)
        var sealed = pair.seal(sent, by: pair.client)
        sealed += pair.seal([1, 2, 3], by: pair.client)
        let (plain, end) = pair.open(sealed, by: pair.server, piece: piece)
        #expect(plain == sent + [1, 2, 3] && end == 0)
    }

    @Test func keyUpdatesOfTheLibraryAreFollowedAndAnswered() throws {
        let pair = try Self.pair(.server)
        for round in 0..<50 {
            // SSL_KEY_UPDATE_REQUESTED: the server's keys are to change too.
            #expect(pair.updateKeys())
            let (plain, end) = pair.open(pair.seal([UInt8(round)], by: pair.client), by: pair.server, piece: 3)
            #expect(plain == [UInt8(round)] && end == 0)
            let answer = pair.pending(of: pair.server) + pair.seal([7, UInt8(round)], by: pair.server)
            #expect(pair.open(answer, by: pair.client).plain == [7, UInt8(round)])
        }
    }

    @Test(arguments: Sides.allCases) func ourKeyUpdatesAreUnderstood(sides: Sides) throws {
        let pair = try Self.pair(sides)
        let ours = sides == .server ? pair.server : pair.client
        let other = sides == .server ? pair.client : pair.server
        for round in 0..<20 {
            #expect(ours.records?.updateKeys() == true)
            let sealed = pair.pending(of: ours) + pair.seal([UInt8(round)], by: ours)
            #expect(pair.open(sealed, by: other).plain == [UInt8(round)])
            #expect(pair.open(pair.seal([9], by: other), by: ours).plain == [9])
        }
    }

    @Test func closeNotifyEndsBothWays() throws {
        for sides in Sides.allCases {
            let pair = try Self.pair(sides)
            pair.client.close()
            #expect(pair.open(pair.pending(of: pair.client), by: pair.server).end == -1)
            #expect(pair.server.failure == nil)
            pair.server.close()
            #expect(pair.open(pair.pending(of: pair.server), by: pair.client).end == -1)
        }
    }

    @Test func everyFlippedBitIsRefusedAndTold() throws {
        let length = RecordProtection.headerLength + 40 + RecordProtection.overhead
        for byte in 0..<length {
            let pair = try Self.pair(.server)
            var sealed = pair.seal(text(40), by: pair.client)
            let next = pair.seal([1], by: pair.client)
            try #require(sealed.count == length)
            sealed[byte] ^= 1 << UInt8(byte % 8)
            let (plain, end) = pair.open(sealed, by: pair.server)
            // A longer length only waits for more; a shorter one breaks the tag.
            let waits = end == 0 && (byte == 3 || byte == 4)
            #expect(plain.isEmpty && (end == -2 || waits), "byte \(byte)")
            guard end == -2 else { continue }
            #expect(pair.server.failure?.reason == .tlsFailed)
            // The library reads our alert, which is its end too.
            #expect(pair.open(pair.pending(of: pair.server), by: pair.client).end == -2)
            #expect(pair.open(next, by: pair.server).end == -2, "nothing is read after that")
            var one: UInt8 = 1
            #expect(!pair.server.write(&one, count: 1))
        }
    }

    @Test(
        arguments: [
            [21, 3, 3, 0, 2, 1, 0], [20, 3, 3, 0, 1, 1], [22, 3, 3, 0, 4, 24, 0, 0, 1], [23, 3, 3, 0, 0],
            [23, 3, 3, 0, 16] + [UInt8](repeating: 0, count: 16), [23, 3, 3, 0x41, 0x01], [0, 0, 0, 0, 0],
            [0x47, 0x45, 0x54, 0x20, 0x2f],
        ] as [[UInt8]])
    func recordsThatCannotBeAreTheEnd(record: [UInt8]) throws {
        let pair = try Self.pair(.server)
        #expect(pair.open(record, by: pair.server, piece: 1).end == -2)
        #expect(!pair.pending(of: pair.server).isEmpty, "an alert says why")
    }

    // MARK: - Records that no honest library makes

    /// Our layer as a client has it, and the sealing end of its peer, which says whatever the test wants.
    private final class Forger {
        let layer: RecordLayer
        let channel = TLSChannel()
        private var keys: RecordProtection

        init(updateAfter: UInt64 = 1 << 23) throws {
            layer = try #require(
                RecordLayer(
                    .aes128GCM, sealing: Self.secret(1), opening: Self.secret(2), channel: channel,
                    updateAfter: updateAfter))
            guard let keys = RecordProtection(.aes128GCM, secret: try Self.secret(2), seals: true) else {
                throw TLSFailure(.tlsFailed, "no keys")
            }
            self.keys = keys
        }

        static func secret(_ seed: UInt8) throws -> TrafficSecret {
            let digits = [UInt8](repeating: 0x30 + seed, count: 64)
            return try #require(digits.withUnsafeBufferPointer { TrafficSecret(hexadecimal: $0) })
        }

        func advance() -> Bool { keys.update() }

        func record(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
            let out = UnsafeMutablePointer<UInt8>.allocate(capacity: content.count + 64)
            defer { out.deallocate() }
            let isSealed = content.withUnsafeBytes { keys.seal(type, $0.baseAddress, count: $0.count, into: out) }
            let count = RecordProtection.headerLength + content.count + RecordProtection.overhead
            return isSealed ? Array(UnsafeBufferPointer(start: out, count: count)) : []
        }

        /// What the layer reads, and how that ended.
        func read(_ bytes: [UInt8]) -> (plain: [UInt8], end: Int) {
            let buffer = UnsafeMutableRawPointer.allocate(byteCount: 20_000, alignment: 16)
            defer { buffer.deallocate() }
            var plain: [UInt8] = []
            var end = 0
            bytes.withUnsafeBytes { input in
                channel.setInput(input.baseAddress.unsafelyUnwrapped, count: input.count)
                repeat {
                    end = layer.read(into: buffer, capacity: 20_000)
                    if end > 0 { plain += UnsafeRawBufferPointer(start: buffer, count: end) }
                } while end > 0
            }
            return (plain, end)
        }
    }

    @Test func ticketsArePassedOverHoweverTheyAreCut() throws {
        let forger = try Forger()
        let ticket: [UInt8] = [4, 0, 1, 0] + [UInt8](repeating: 7, count: 256)
        var bytes = forger.record(22, ticket + ticket)
        bytes += forger.record(22, Array(ticket[..<2])) + forger.record(22, Array(ticket[2..<100]))
        bytes += forger.record(22, Array(ticket[100...])) + forger.record(23, [1, 2, 3])
        let (plain, end) = forger.read(bytes)
        #expect(plain == [1, 2, 3] && end == 0)
        #expect(forger.channel.outputCount == 0)
    }

    @Test func paddingIsTakenOffAndNothingElse() throws {
        let forger = try Forger()
        // The type is the last byte that is not zero: content and type in the forger's content, zeros behind.
        let (plain, end) = forger.read(forger.record(0, [5, 0, 6, 23, 0, 0, 0]))
        #expect(plain == [5, 0, 6] && end == 0)
    }

    @Test(
        arguments: [
            (22, [4, 0, 0]), (22, [4, 0, 0, 9, 1]),
        ] as [(UInt8, [UInt8])])
    func nothingComesWithinAHandshakeMessage(type: UInt8, beginning: [UInt8]) throws {
        let forger = try Forger()
        #expect(forger.read(forger.record(type, beginning) + forger.record(23, [1])).end == -2)
    }

    @Test(
        arguments: [
            (0, []), (0, [0, 0, 0]), (22, []), (21, [1]), (21, [1, 0, 0]), (21, [2, 40]), (20, [1]), (24, [1]),
            (99, [1]),
            (22, [24, 0, 0, 1, 2]), (22, [24, 0, 0, 2, 0, 0]), (22, [24, 0, 0, 0]), (22, [24, 0, 0, 1, 0, 4]),
            (22, [1, 0, 0, 0]),
            (22, [13, 0, 0, 1, 0]), (22, [4, 0, 0, 0]), (22, [4, 255, 255, 255]),
            (23, [UInt8](repeating: 1, count: 16_385)),
        ] as [(UInt8, [UInt8])])
    func forgedRecordsAreTheEnd(type: UInt8, content: [UInt8]) throws {
        let forger = try Forger()
        let (plain, end) = forger.read(forger.record(type, content) + forger.record(23, [1]))
        #expect(plain.isEmpty && end == -2)
        #expect(forger.layer.failure != nil)
    }

    @Test func emptyRecordsAreTakenButNotWithoutEnd() throws {
        let forger = try Forger()
        for _ in 0..<32 { #expect(forger.read(forger.record(23, [])).end == 0) }
        #expect(forger.read(forger.record(23, [1])).plain == [1])
        var rounds = 0
        while forger.read(forger.record(23, [])).end == 0, rounds < 100 { rounds += 1 }
        #expect(rounds == 32)
    }

    @Test func aFloodOfKeyUpdatesEndsTheSession() throws {
        let forger = try Forger()
        var rounds = 0
        while forger.read(forger.record(22, [24, 0, 0, 1, 1])).end == 0, rounds < 2000 {
            #expect(forger.advance())
            forger.channel.clearOutput()
            rounds += 1
        }
        #expect(rounds == 1000)
        #expect(forger.layer.failure?.reason == .peerMisbehaved)
    }

    @Test func manyKeyUpdatesInOneReadDoNotOverflowTheOutput() throws {
        let forger = try Forger()
        var bytes: [UInt8] = []
        for _ in 0..<900 {
            bytes += forger.record(22, [24, 0, 0, 1, 1])
            #expect(forger.advance())
        }
        #expect(forger.read(bytes).end == 0)
        #expect(forger.channel.outputCount == 900 * (5 + RecordProtection.headerLength + RecordProtection.overhead))
    }

    @Test func keysChangeBeforeTheLimitOfTheCipher() throws {
        let forger = try Forger(updateAfter: 3)
        let peer = TLSChannel()
        let reader = try #require(
            RecordLayer(.aes128GCM, sealing: Forger.secret(2), opening: Forger.secret(1), channel: peer))
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: 20_000, alignment: 16)
        defer { buffer.deallocate() }
        for round in 0..<20 {
            var byte = UInt8(round)
            #expect(forger.layer.write(&byte, count: 1))
            // Every third record is preceded by a key update, which the reader follows.
            let expected = (round > 0 && round % 3 == 0 ? 27 : 0) + 23
            #expect(forger.channel.outputCount == expected, "record \(round)")
            peer.setInput(forger.channel.output, count: forger.channel.outputCount)
            #expect(reader.read(into: buffer, capacity: 20_000) == 1)
            #expect(buffer.load(as: UInt8.self) == byte)
            forger.channel.clearOutput()
        }
    }

    @Test func aFullOutputIsAFailureAndNotAnOverrun() throws {
        let forger = try Forger()
        let block = [UInt8](repeating: 1, count: TLSChannel.unit)
        #expect(block.withUnsafeBytes { forger.layer.write($0.baseAddress.unsafelyUnwrapped, count: $0.count) })
        #expect(!block.withUnsafeBytes { forger.layer.write($0.baseAddress.unsafelyUnwrapped, count: $0.count) })
        #expect(forger.layer.failure != nil)
    }

    @Test(arguments: [
        "", "CLIENT_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0 00 zz", "CLIENT_TRAFFIC_SECRET_0 00 1234",
    ])
    func linesOfTheKeyLogThatAreNoneGiveNoSecret(line: String) {
        var secrets = TrafficSecrets()
        line.withCString { secrets.take($0) }
        #expect(secrets.client == nil && secrets.server == nil)
    }
}
