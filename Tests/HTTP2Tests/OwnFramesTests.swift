import MeshModel
import Testing

@testable import HTTP2

/// DATA and WINDOW_UPDATE, which the engine takes and writes itself: the rules of RFC 9113 that come with them.
@Suite struct OwnFramesTests {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private static let greeting = preface + frame(4, 0, 0) + frame(4, 1, 0)

    private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8] = []) -> [UInt8] {
        let length = payload.count
        return [UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags] + word(stream)
            + payload
    }

    private static func word(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    private static func setting(_ id: UInt8, _ value: UInt32) -> [UInt8] { frame(4, 0, 0, [0, id] + word(value)) }

    /// CONNECT to `a:1`, with END_HEADERS.
    private static func connect(_ stream: UInt32, flags: UInt8 = 4) -> [UInt8] {
        frame(1, flags, stream, [0x02, 7] + Array("CONNECT".utf8) + [0x01, 3] + Array("a:1".utf8))
    }

    /// POST to `/` of `a:1` with a content-length of 5.
    private static func post(_ stream: UInt32) -> [UInt8] {
        frame(
            1, 4, stream, [0x83, 0x84, 0x86, 0x01, 3] + Array("a:1".utf8) + [0x0f, 0x0d, 1, UInt8(ascii: "5")])
    }

    private static let data: UInt8 = 0
    private static let reset: UInt8 = 3
    private static let windowUpdate: UInt8 = 8

    // MARK: - What ends the connection

    @Test(arguments: [
        // More padding than payload; a padded frame without its length; both sides of each border.
        (greeting + connect(1) + frame(0, 8, 1, [4, 1, 2, 3]), HTTP2Engine.ErrorCode.protocolError),
        (greeting + connect(1) + frame(0, 8, 1), HTTP2Engine.ErrorCode.protocolError),
        // Larger than announced.
        (
            greeting + connect(1) + frame(0, 0, 1, [UInt8](repeating: 1, count: HTTP2Limits().frameSize + 1)),
            HTTP2Engine.ErrorCode.frameSizeError
        ),
        // Streams 0, idle, of the wrong side.
        (greeting + connect(1) + frame(0, 0, 0, [1]), HTTP2Engine.ErrorCode.protocolError),
        (greeting + connect(1) + frame(0, 0, 3, [1]), HTTP2Engine.ErrorCode.protocolError),
        (greeting + connect(1) + frame(0, 0, 2, [1]), HTTP2Engine.ErrorCode.protocolError),
        (greeting + connect(1) + frame(8, 0, 3, word(1)), HTTP2Engine.ErrorCode.protocolError),
        // In the middle of a header block.
        (greeting + connect(1) + connect(3, flags: 0) + frame(0, 0, 1, [1]), HTTP2Engine.ErrorCode.protocolError),
        (greeting + connect(1) + connect(3, flags: 0) + frame(8, 0, 1, word(9)), HTTP2Engine.ErrorCode.protocolError),
        (greeting + connect(1) + connect(3, flags: 0) + frame(8, 0, 0, word(9)), HTTP2Engine.ErrorCode.protocolError),
        // Before SETTINGS.
        (preface + frame(8, 0, 0, word(9)), HTTP2Engine.ErrorCode.protocolError),
        (preface + frame(0, 0, 1, [1]), HTTP2Engine.ErrorCode.protocolError),
        // Windows: not four bytes, nothing, more than there can be.
        (greeting + connect(1) + frame(8, 0, 1, [0, 0, 9]), HTTP2Engine.ErrorCode.frameSizeError),
        (greeting + frame(8, 0, 0, [0, 0, 0, 9, 0]), HTTP2Engine.ErrorCode.frameSizeError),
        (greeting + frame(8, 0, 0, word(0)), HTTP2Engine.ErrorCode.protocolError),
        (greeting + connect(1) + frame(8, 0, 1, word(0)), HTTP2Engine.ErrorCode.protocolError),
        (greeting + frame(8, 0, 0, word(0x7fff_ffff)), HTTP2Engine.ErrorCode.flowControlError),
        (
            greeting + connect(1) + frame(8, 0, 1, word(0x7fff_0000)) + setting(4, 0x7fff_ffff),
            HTTP2Engine.ErrorCode.flowControlError
        ),
    ])
    func aBrokenRuleEndsTheConnection(bytes: [UInt8], code: UInt32) {
        // In one piece, and cut: nothing may depend on how reads cut the frames.
        for piece in [2_000_000, 7, 1] {
            let peer = RawPeer()
            peer.send(bytes, piece: piece)
            #expect(peer.goAwayCodes() == [code], "in pieces of \(piece)")
            #expect(peer.delegate.received.isEmpty)
        }
    }

    @Test func moreThanTheConnectionsWindowEndsTheConnection() {
        var limits = HTTP2Limits()
        limits.connectionWindow = 100_000
        let peer = RawPeer(limits: limits)
        peer.send(Self.greeting + Self.connect(1) + Self.connect(3))
        // One frame under way is not read yet, so its credit is not returned.
        let frame = Self.frame(0, 0, 1, [UInt8](repeating: 1, count: 100_001))
        #expect(!peer.send(Array(frame[..<20])))
        #expect(peer.goAwayCodes() == [HTTP2Engine.ErrorCode.flowControlError])
    }

    // MARK: - What ends the stream

    @Test func moreThanTheStreamsWindowResetsTheStream() throws {
        for piece in [1_000_000, 1000] {
            let peer = RawPeer()
            peer.send(Self.greeting + Self.connect(1))
            try #require(peer.delegate.sources[1]).consumesAtOnce = false
            let window = HTTP2Limits().streamWindow
            peer.send(Self.frame(0, 0, 1, [UInt8](repeating: 1, count: window)), piece: piece)
            #expect(peer.delegate.received.count == window)
            _ = peer.drain()
            peer.send(Self.frame(0, 0, 1, [1]) + Self.frame(0, 1, 1, [2]), piece: piece)
            let resets = peer.drain().filter { $0.type == Self.reset }
            #expect(resets.map(\.payload) == [Self.word(HTTP2Engine.ErrorCode.flowControlError)])
            #expect(peer.delegate.received.count == window)
            #expect(peer.delegate.events.last == .closed(HTTP2Engine.ErrorCode.flowControlError))
            // The connection lives, and its credit is not lost.
            peer.send(Self.connect(3) + Self.frame(0, 1, 3, [3]))
            #expect(peer.delegate.received.last == 3)
            #expect(peer.engine.failure == nil)
        }
    }

    @Test func aStreamsWindowBeyondAllBoundsResetsTheStream() {
        let peer = RawPeer()
        peer.send(Self.greeting + Self.connect(1) + Self.frame(8, 0, 1, Self.word(0x7fff_ffff)))
        let resets = peer.drain().filter { $0.type == Self.reset }
        #expect(resets.map(\.payload) == [Self.word(HTTP2Engine.ErrorCode.flowControlError)])
        #expect(peer.delegate.events.last == .closed(HTTP2Engine.ErrorCode.flowControlError))
        #expect(peer.engine.failure == nil)
    }

    /// The library keeps what it knew: requests that are no tunnels are held to their length.
    @Test func contentLengthHoldsWhereThereIsOne() {
        for piece in [1000, 1] {
            for (body, isRight) in [([1, 2, 3, 4, 5], true), ([1, 2, 3, 4], false), ([1, 2, 3, 4, 5, 6], false)] {
                let peer = RawPeer()
                peer.send(Self.greeting + Self.post(1) + Self.frame(0, 1, 1, body.map { UInt8($0) }), piece: piece)
                let resets = peer.drain().filter { $0.type == Self.reset }
                #expect(resets.isEmpty == isRight)
            }
        }
    }

    // MARK: - Receiving

    @Test func framesArriveTheSameHoweverTheyAreCut() {
        let bytes =
            Self.greeting + Self.connect(1) + Self.frame(0, 8, 1, [2, 10, 11, 0, 0])
            + Self.frame(8, 0, 1, Self.word(99))
            + Self.connect(3) + Self.frame(0, 0, 3, [20, 21, 22]) + Self.frame(6, 1, 0, [0, 0, 0, 0, 0, 0, 0, 0])
            + Self.frame(0, 9, 1, [1, 12, 0]) + Self.frame(0, 1, 3)
        for piece in [10_000] + Array(1...40) {
            let peer = RawPeer()
            peer.send(bytes, piece: piece)
            #expect(peer.engine.failure == nil)
            #expect(peer.delegate.received.filter { $0 < 20 } == [10, 11, 12])
            #expect(peer.delegate.received.filter { $0 >= 20 } == [20, 21, 22])
            #expect(peer.delegate.events.count { $0 == .end } == 2)
        }
    }

    /// What is read is announced again, padding included, once it is half a window; of the connection and of the stream.
    @Test func creditReturnsWithWhatIsRead() {
        let peer = RawPeer()
        peer.send(Self.greeting + Self.connect(1))
        _ = peer.drain()
        let half = HTTP2Limits().streamWindow / 2
        peer.send(Self.frame(0, 8, 1, [9] + [UInt8](repeating: 1, count: half - 11) + [UInt8](repeating: 0, count: 9)))
        #expect(peer.drain().isEmpty)
        peer.send(Self.frame(0, 0, 1, [1]))
        let frames = peer.drain()
        #expect(frames.map(\.type) == [Self.windowUpdate])
        #expect(frames.first?.payload == Self.word(UInt32(half)))
    }

    @Test func aLargerWindowIsAnnouncedAtOnceAndASmallerOneAsItIsUsed() {
        let peer = RawPeer()
        peer.send(Self.greeting + Self.connect(1))
        _ = peer.drain()
        let window = HTTP2Limits().streamWindow
        peer.engine.setWindow(1, size: 2 * window)
        #expect(peer.engine.window(of: 1) == 2 * window)
        #expect(peer.drain().map(\.payload) == [Self.word(UInt32(window))])
        peer.engine.setWindow(1, size: 16_384)
        // Down to what the smaller window allows, nothing more is granted.
        let piece = [UInt8](repeating: 1, count: 16_384)
        for _ in 0..<(2 * window / piece.count - 1) { peer.send(Self.frame(0, 0, 1, piece)) }
        #expect(peer.drain().isEmpty)
        peer.send(Self.frame(0, 0, 1, Array(piece[..<8192])))
        #expect(peer.drain().map(\.payload) == [Self.word(8192)])
        #expect(peer.engine.failure == nil)
    }

    // MARK: - Sending

    private static func pull(_ peer: RawPeer, _ count: Int) throws {
        try #require(peer.delegate.sources[1]).bytes = [UInt8](repeating: 7, count: count)
        peer.engine.resume(1)
    }

    @Test func windowsAndFrameSizeOfThePeerAreKept() throws {
        let peer = RawPeer()
        peer.delegate.respondsAtOnce = true
        peer.send(Self.preface + Self.setting(4, 1000) + Self.frame(4, 1, 0) + Self.connect(1))
        try Self.pull(peer, 200_000)
        func sent() -> [Int] { peer.drain().filter { $0.type == Self.data }.map(\.payload.count) }
        #expect(sent() == [1000])
        // Taken back below zero, and up again by more than that.
        peer.send(Self.setting(4, 400) + Self.frame(8, 0, 1, Self.word(600)))
        #expect(sent().isEmpty)
        peer.send(Self.frame(8, 0, 1, Self.word(1)))
        #expect(sent() == [1])
        // The default frame size, then a larger one.
        peer.send(Self.frame(8, 0, 1, Self.word(20_000)))
        #expect(sent() == [16_384, 3616])
        peer.send(Self.setting(5, 30_000) + Self.frame(8, 0, 1, Self.word(150_000)))
        // The connection's window of 65,535 stops it here.
        #expect(sent() == [30_000, 65_535 - 1001 - 20_000 - 30_000])
        #expect(!peer.engine.wantsToProduce)
        peer.send(Self.frame(8, 0, 0, Self.word(10)))
        #expect(peer.engine.wantsToProduce)
        #expect(sent() == [10])
        peer.send(Self.setting(4, 500_000) + Self.frame(8, 0, 0, Self.word(1_000_000)))
        #expect(sent().reduce(0, +) == 200_000 - 65_535 - 10)
    }

    /// A peer that grants nothing by itself: the stream ends all the same, on both sides.
    @Test func anEndNeedsNoWindowOfTheLibrarys() throws {
        let peer = RawPeer()
        peer.delegate.respondsAtOnce = true
        peer.send(Self.preface + Self.setting(4, 0) + Self.frame(4, 1, 0) + Self.connect(1))
        try Self.pull(peer, 5)
        try #require(peer.delegate.sources[1]).ends = true
        #expect(!peer.drain().contains { $0.type == Self.data })
        peer.send(Self.frame(8, 0, 1, Self.word(100)) + Self.frame(0, 1, 1, [1]))
        #expect(peer.drain().filter { $0.type == Self.data }.map(\.payload.count) == [5, 0])
        #expect(peer.delegate.events.last == .closed(0))
    }

    /// Stall of a source that waits to be resumed only after it said "later": every source is asked once by itself.
    @Test func eachSourceIsAskedOnceBehindItsHeaders() throws {
        let pair = EnginePair()
        let (source, _) = pair.open()
        source.bytes = [1, 2]
        pair.exchange()
        #expect(pair.serverSide.received == [1, 2])
        let peer = RawPeer()
        peer.delegate.respondsAtOnce = true
        peer.send(Self.greeting + Self.connect(1))
        try #require(peer.delegate.sources[1]).bytes = [3]
        #expect(peer.drain().filter { $0.type == Self.data }.map(\.payload) == [[3]])
    }

    @Test func streamsTakeTurnsByFrames() throws {
        let pair = EnginePair()
        var limits: [Int32] = []
        for port in 1...5 {
            let (source, id) = pair.open("10.0.0.1:\(port)")
            source.bytes = [UInt8](repeating: UInt8(port), count: 200_000)
            limits.append(try #require(id))
        }
        pair.exchange()
        for id in limits { pair.client.resume(id) }
        pair.exchange()
        for port in 1...5 { #expect(pair.serverSide.received.count { $0 == UInt8(port) } == 200_000) }
        let first = pair.serverSide.received.prefix(300_000)
        #expect(Set(first).count > 1)
    }

    // MARK: - Pieces

    @Test func theTableFindsWhatItHolds() {
        var table = StreamTable()
        var random: UInt32 = 1
        var known: [Int32: Int] = [:]
        let context = UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
        for step in 0..<20_000 {
            random = random &* 1_664_525 &+ 1_013_904_223
            // Few numbers that share their homes, so that searches run over the end and gaps are closed.
            let id = Int32(bitPattern: random >> 8 & 31) * 2 + 1 + (random & 64 == 0 ? 0 : 256)
            if known[id] == nil {
                table.insert(
                    StreamFlow(id: id, context: context, sendWindow: step, receiveWindow: ReceiveWindow(size: 0)))
                known[id] = step
            } else {
                let window = table.remove(id)?.sendWindow
                #expect(window == known.removeValue(forKey: id))
            }
            if step % 64 == 0 {
                for number: Int32 in 0..<400 { #expect(table[number]?.pointee.sendWindow == known[number]) }
            }
        }
        #expect(table.count == known.count)
        var seen = 0
        table.forEach { _ in seen += 1 }
        #expect(seen == known.count)
    }

    @Test func theQueueKeepsItsOrder() {
        var queue = StreamQueue()
        var model: [Int32] = []
        for number: Int32 in 0..<2000 {
            queue.append(number)
            model.append(number)
            if number % 3 == 0 { #expect(queue.popFirst() == model.removeFirst()) }
            if number % 7 == 0, let middle = model.dropFirst(model.count / 2).first {
                queue.remove(middle)
                model.removeAll { $0 == middle }
            }
        }
        while let first = queue.popFirst() { #expect(first == model.removeFirst()) }
        #expect(model.isEmpty && queue.isEmpty)
    }
}
