internal import CNghttp2

/// The nine bytes in front of every HTTP/2 frame (RFC 9113 4.1).
struct FrameHeader: Sendable {
    static let size = 9

    /// Bytes of payload, 0 to 2^24 - 1.
    let length: Int
    let type: UInt8
    let flags: UInt8
    /// 0 for the connection; the reserved bit is left out.
    let stream: Int32

    init(length: Int, type: nghttp2_frame_type, flags: UInt8, stream: Int32) {
        self.length = length
        self.type = UInt8(truncatingIfNeeded: type.rawValue)
        self.flags = flags
        self.stream = stream
    }

    /// - Parameter bytes: nine of them.
    init(_ bytes: UnsafeRawPointer) {
        let word = UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))
        length = Int(word >> 8)
        type = UInt8(truncatingIfNeeded: word)
        flags = bytes.load(fromByteOffset: 4, as: UInt8.self)
        let number = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 5, as: UInt32.self))
        stream = Int32(bitPattern: number & 0x7fff_ffff)
    }

    /// Writes its nine bytes.
    func write(to bytes: UnsafeMutableRawPointer) {
        let word = UInt32(truncatingIfNeeded: length) << 8 | UInt32(type)
        bytes.storeBytes(of: word.bigEndian, as: UInt32.self)
        bytes.storeBytes(of: flags, toByteOffset: 4, as: UInt8.self)
        bytes.storeBytes(of: UInt32(bitPattern: stream).bigEndian, toByteOffset: 5, as: UInt32.self)
    }

    func isType(_ value: nghttp2_frame_type) -> Bool { UInt32(type) == value.rawValue }

    /// The direction of its sender is over; only DATA and HEADERS say so.
    var endsStream: Bool { flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 }
    var endsHeaders: Bool { flags & UInt8(NGHTTP2_FLAG_END_HEADERS.rawValue) != 0 }
    var isPadded: Bool { flags & UInt8(NGHTTP2_FLAG_PADDED.rawValue) != 0 }
}
