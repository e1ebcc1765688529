import MeshModel
import Testing

@testable import HTTP2

/// What the engine adds to the library about frames on streams that are over or were never there.
@Suite struct StreamNumberTests {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]

    private static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8] = []) -> [UInt8] {
        let length = payload.count
        return [UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags]
            + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: stream >> $0) } + payload
    }

    /// CONNECT to `a:1`, with END_HEADERS.
    private static func connect(_ stream: UInt32, flags: UInt8 = 4) -> [UInt8] {
        frame(1, flags, stream, [0x02, 7] + Array("CONNECT".utf8) + [0x01, 3] + Array("a:1".utf8))
    }

    /// Integer overflow, found by the fuzzer: the largest number there is, as the first stream of a connection.
    @Test func theLargestStreamNumberIsNoOverflow() {
        let peer = RawPeer()
        peer.send(Self.preface + Self.connect(0x7fff_ffff))
        #expect(peer.delegate.events == [.request(0x7fff_ffff, authority: "a:1")])
    }

    @Test(arguments: [
        // DATA and HEADERS after END_STREAM, the stream open on our side still.
        (connect(1, flags: 5) + frame(0, 0, 1, [1]), HTTP2Engine.ErrorCode.streamClosed),
        (connect(1, flags: 5) + connect(1), HTTP2Engine.ErrorCode.streamClosed),
        // After RST_STREAM, when the library has forgotten the stream.
        (connect(1) + frame(3, 0, 1, [0, 0, 0, 8]) + frame(0, 0, 1, [1]), HTTP2Engine.ErrorCode.streamClosed),
        (connect(1) + frame(3, 0, 1, [0, 0, 0, 8]) + connect(1), HTTP2Engine.ErrorCode.streamClosed),
        // A number that a higher one has closed.
        (connect(5) + connect(3), HTTP2Engine.ErrorCode.protocolError),
        (connect(3) + connect(1), HTTP2Engine.ErrorCode.protocolError),
        (frame(0, 0, 1, [1]), HTTP2Engine.ErrorCode.protocolError),
    ])
    func framesOnStreamsThatAreOverEndTheConnection(bytes: [UInt8], code: UInt32) {
        // In one piece, and byte by byte: nothing may depend on how reads cut the frames.
        for piece in [10_000, 1] {
            let peer = RawPeer()
            peer.send(Self.preface + bytes, piece: piece)
            #expect(peer.goAwayCodes() == [code])
        }
    }

    /// Our own resets cross with what the peer sent before it heard of them; that is nobody's fault.
    @Test func whatCrossesOurResetIsIgnored() {
        let peer = RawPeer()
        peer.send(Self.preface + Self.connect(1))
        peer.engine.reset(1, code: HTTP2Engine.ErrorCode.cancel)
        _ = peer.drain()
        for _ in 0..<300 { peer.send(Self.frame(0, 0, 1, [1, 2, 3])) }
        peer.send(Self.frame(0, 1, 1, [1]) + Self.connect(3))
        #expect(peer.delegate.events.last == .request(3, authority: "a:1"))
        #expect(peer.engine.failure == nil)
    }

    /// CVE-2025-8671 (MadeYouReset): resets that the peer provokes count, whatever the library calls them.
    @Test func provokedResetsSpendTheBudget() {
        let peer = RawPeer()
        peer.delegate.respondsAtOnce = true
        peer.send(Self.preface)
        var streams = 0
        while streams < 2000, peer.engine.failure == nil {
            let stream = UInt32(2 * streams + 1)
            // Answered at once, then a window that overflows.
            peer.send(Self.connect(stream) + Self.frame(8, 0, stream, [0x7f, 255, 255, 255]))
            _ = peer.drain()
            streams += 1
        }
        #expect(streams <= 100)
        #expect(peer.engine.failure?.reason == .peerMisbehaved)
    }

    /// CVE-2019-9518: DATA that is padding alone is empty too.
    @Test func paddedEmptyDataSpendsTheBudget() {
        let peer = RawPeer()
        peer.send(Self.preface + Self.connect(1))
        var survived = 0
        while survived < 1000, peer.send(Self.frame(0, 8, 1, [3, 0, 0, 0])) { survived += 1 }
        #expect((50...100).contains(survived))
    }

    /// A header block that cannot be of an acceptable list is not decoded to its end.
    @Test func aLongHeaderBlockEndsTheConnection() {
        let peer = RawPeer()
        _ = peer.drain()
        // Indexed fields of one byte each: cheap to send, dear to decode.
        peer.send(Self.preface + Self.frame(4, 1, 0) + Self.frame(1, 4, 1, [UInt8](repeating: 0x82, count: 65_537)))
        #expect(peer.engine.failure?.reason == .http2Failed)
        #expect(peer.goAwayCodes() == [HTTP2Engine.ErrorCode.enhanceYourCalm])
    }

    @Test func repeatedGoAwaySpendsTheBudget() {
        let peer = RawPeer()
        peer.send(Self.preface + Self.connect(1))
        var survived = 0
        while survived < 1000, peer.send(Self.frame(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0])) { survived += 1 }
        #expect((2...101).contains(survived))
    }

    /// How far a header block has come decides about its deadline, wherever the reads cut it.
    @Test func aHeaderBlockIsUnderWayUntilItsLastByte() {
        let frame = Self.connect(1)
        for cut in 10..<frame.count {
            let peer = RawPeer()
            peer.send(Self.preface + frame[..<cut])
            #expect(peer.engine.isInsideHeader, "cut at \(cut)")
            peer.send(Array(frame[cut...]))
            #expect(!peer.engine.isInsideHeader)
        }
        let peer = RawPeer()
        peer.send(Self.preface + Self.connect(1, flags: 0))
        #expect(peer.engine.isInsideHeader)
        peer.send(Self.frame(9, 4, 1))
        #expect(!peer.engine.isInsideHeader)
    }
}
