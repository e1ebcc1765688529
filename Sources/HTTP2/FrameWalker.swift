internal import CNghttp2

/// Reads the frame headers of a peer before the library does, for what the library ignores without a word: frames on
/// streams that are over, and the size of header blocks. It looks at nine bytes per frame and keeps no payload.
struct FrameWalker: Sendable {
    /// What a frame header says that ends the connection.
    enum Verdict: Sendable, Equatable {
        case fine
        /// Take the bytes before `offset`, then end with the code.
        case broken(offset: Int, code: UInt32, what: StaticString)

        static func == (a: Self, b: Self) -> Bool {
            switch (a, b) {
            case (.fine, .fine): true
            case (.broken(let offset, let code, _), .broken(let other, let otherCode, _)):
                offset == other && code == otherCode
            default: false
            }
        }
    }

    /// Payload (or preface) bytes to pass over before the next header.
    private var skip: Int
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
    private var owesContinuation = false
    /// The peer has begun a header block and not ended it.
    var isInsideHeader: Bool { owesContinuation || isHeaderFrame && skip > 0 }
    /// Frames of types the RFC does not know, since the owner last took them.
    var unknownFrames = 0

    static let headerSize = 9

    init(_ role: HTTP2Engine.Role, limits: HTTP2Limits) {
        isServer = role == .server
        skip = isServer ? 24 : 0
        longestBlock = limits.headerBlockBytes
        longestFrame = limits.frameSize
    }

    /// Walks over the next bytes of the connection.
    mutating func walk(_ bytes: UnsafeRawPointer, count: Int) -> Verdict {
        var at = 0
        while at < count {
            if skip > 0 {
                let step = min(skip, count - at)
                skip -= step
                at += step
                continue
            }
            let start = at
            let header: UnsafeRawPointer
            if partialCount == 0, count - at >= Self.headerSize {
                header = bytes + at
                at += Self.headerSize
                if let verdict = take(header, start) { return verdict }
                continue
            }
            while partialCount < Self.headerSize, at < count {
                let byte = bytes.load(fromByteOffset: at, as: UInt8.self)
                withUnsafeMutableBytes(of: &partial) { $0[partialCount] = byte }
                partialCount += 1
                at += 1
            }
            guard partialCount == Self.headerSize else { return .fine }
            partialCount = 0
            let copy = partial
            // A header that a read has cut is judged at its last piece; the library has had the rest of it.
            let verdict = withUnsafeBytes(of: copy) { raw in raw.baseAddress.flatMap { take($0, start) } }
            if let verdict { return verdict }
        }
        return .fine
    }

    private mutating func take(_ header: UnsafeRawPointer, _ offset: Int) -> Verdict? {
        let word = UInt32(bigEndian: header.loadUnaligned(as: UInt32.self))
        let length = Int(word >> 8)
        let type = word & 0xff
        let flags = header.load(fromByteOffset: 4, as: UInt8.self)
        let stream = Int32(
            bitPattern: UInt32(bigEndian: header.loadUnaligned(fromByteOffset: 5, as: UInt32.self)) & 0x7fff_ffff)
        skip = length
        // The library has words of its own for these two.
        guard length <= longestFrame, !owesContinuation || type == NGHTTP2_CONTINUATION.rawValue else { return nil }
        isHeaderFrame = type == NGHTTP2_HEADERS.rawValue || type == NGHTTP2_CONTINUATION.rawValue
        switch type {
        case NGHTTP2_DATA.rawValue:
            if ended.contains(stream) {
                return .broken(
                    offset: offset, code: HTTP2Engine.ErrorCode.streamClosed, what: "DATA on a stream it had ended")
            }
            if flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 { ended.insert(stream) }
        case NGHTTP2_HEADERS.rawValue:
            blockBytes = length
            owesContinuation = flags & UInt8(NGHTTP2_FLAG_END_HEADERS.rawValue) == 0
            if ended.contains(stream) {
                return .broken(
                    offset: offset, code: HTTP2Engine.ErrorCode.streamClosed, what: "HEADERS on a stream it had ended")
            }
            if isServer, stream > 0, !skipped.admits(stream) {
                // RFC 9113 5.1.1: a new stream closes those of lower numbers that were never opened.
                return .broken(
                    offset: offset, code: HTTP2Engine.ErrorCode.protocolError,
                    what: "HEADERS on a stream number it had passed over")
            }
            if flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 { ended.insert(stream) }
        case NGHTTP2_CONTINUATION.rawValue:
            blockBytes += length
            if flags & UInt8(NGHTTP2_FLAG_END_HEADERS.rawValue) != 0 { owesContinuation = false }
        case NGHTTP2_RST_STREAM.rawValue:
            if length == 4 { ended.insert(stream) }
        case (NGHTTP2_CONTINUATION.rawValue + 1)...:
            unknownFrames += 1
        default:
            break
        }
        guard blockBytes <= longestBlock else {
            return .broken(
                offset: offset, code: HTTP2Engine.ErrorCode.enhanceYourCalm,
                what: "a header block longer than any list we take")
        }
        return nil
    }
}
