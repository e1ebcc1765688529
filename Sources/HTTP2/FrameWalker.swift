internal import CNghttp2

/// Cuts a peer's bytes into frames and judges their headers before anybody takes them, for what the library ignores
/// without a word: frames on streams that are over, and the size of header blocks. It keeps no payload.
struct FrameWalker: Sendable {
    /// What the next bytes are.
    enum Step: Sendable {
        /// The first bytes of a header; the rest has not come.
        case cut
        /// A header is whole; what follows is its payload.
        case header(FrameHeader)
        /// So many bytes of payload, or of a client's preface.
        case payload(Int)
    }

    /// A frame that ends the connection.
    struct Breach: Sendable {
        let code: UInt32
        let what: StaticString
    }

    /// Payload (or preface) bytes before the next header.
    private(set) var rest: Int
    /// The first bytes of a header that a read has cut.
    private var partial: (UInt64, UInt8) = (0, 0)
    private var partialCount = 0
    private var blockBytes = 0
    private var ended = RecentStreams()
    private var skipped = SkippedStreams()
    private let isServer: Bool
    private let longestBlock: Int
    private let longestFrame: Int
    private var isHeaderFrame = false
    /// A header block goes on in the next frame: no other may come.
    private(set) var owesContinuation = false
    /// The peer has begun a header block and not ended it.
    var isInsideHeader: Bool { owesContinuation || isHeaderFrame && rest > 0 }

    /// Bytes of a client's preface.
    private static let preface = 24

    init(_ role: HTTP2Engine.Role, limits: HTTP2Limits) {
        isServer = role == .server
        rest = isServer ? Self.preface : 0
        longestBlock = limits.headerBlockBytes
        longestFrame = limits.frameSize
    }

    /// Takes a step over `count` bytes, 1 at least, and moves `at` behind it.
    mutating func next(_ bytes: UnsafeRawPointer, at: inout Int, count: Int) -> Step {
        if rest > 0 {
            let step = min(rest, count - at)
            rest -= step
            at += step
            return .payload(step)
        }
        if partialCount == 0, count - at >= FrameHeader.size {
            let header = FrameHeader(bytes + at)
            at += FrameHeader.size
            rest = header.length
            return .header(header)
        }
        let step = min(FrameHeader.size - partialCount, count - at)
        withUnsafeMutableBytes(of: &partial) { raw in
            for i in 0..<step { raw[partialCount + i] = bytes.load(fromByteOffset: at + i, as: UInt8.self) }
        }
        partialCount += step
        at += step
        guard partialCount == FrameHeader.size else { return .cut }
        partialCount = 0
        let copy = partial
        let header = withUnsafeBytes(of: copy) { $0.baseAddress.map { FrameHeader($0) } }
        guard let header else { return .cut }
        rest = header.length
        return .header(header)
    }

    /// What is wrong with a frame whose header has come; nil for nothing, or for what the library has words of its own for.
    mutating func judge(_ header: FrameHeader) -> Breach? {
        guard header.length <= longestFrame, !owesContinuation || header.isType(NGHTTP2_CONTINUATION) else {
            return nil
        }
        isHeaderFrame = header.isType(NGHTTP2_HEADERS) || header.isType(NGHTTP2_CONTINUATION)
        switch UInt32(header.type) {
        case NGHTTP2_DATA.rawValue:
            if ended.contains(header.stream) {
                return Breach(code: HTTP2Engine.ErrorCode.streamClosed, what: "DATA on a stream it had ended")
            }
            if header.endsStream { ended.insert(header.stream) }
        case NGHTTP2_HEADERS.rawValue:
            blockBytes = header.length
            owesContinuation = !header.endsHeaders
            if ended.contains(header.stream) {
                return Breach(code: HTTP2Engine.ErrorCode.streamClosed, what: "HEADERS on a stream it had ended")
            }
            if isServer, header.stream > 0, !skipped.admits(header.stream) {
                // RFC 9113 5.1.1: a new stream closes those of lower numbers that were never opened.
                return Breach(
                    code: HTTP2Engine.ErrorCode.protocolError, what: "HEADERS on a stream number it had passed over")
            }
            if header.endsStream { ended.insert(header.stream) }
        case NGHTTP2_CONTINUATION.rawValue:
            blockBytes += header.length
            if header.endsHeaders { owesContinuation = false }
        case NGHTTP2_RST_STREAM.rawValue:
            if header.length == 4 { ended.insert(header.stream) }
        default:
            break
        }
        guard blockBytes <= longestBlock else {
            return Breach(
                code: HTTP2Engine.ErrorCode.enhanceYourCalm, what: "a header block longer than any list we take")
        }
        return nil
    }
}
