/// The last eight streams a peer has ended or reset: what it sends on them still is an error of its own (RFC 9113 5.1).
///
/// Eight, because the library forgets closed streams so that an idle tunnel holds nothing of them; a frame on one that is
/// older is ignored, which the RFC allows.
struct RecentStreams: Sendable {
    // Zero is no stream that can end.
    private var streams = SIMD8<Int32>(repeating: 0)
    private var next = 0
    private var highest: Int32 = 0

    mutating func insert(_ stream: Int32) {
        streams[next & 7] = stream
        next &+= 1
        highest = max(highest, stream)
    }

    func contains(_ stream: Int32) -> Bool {
        // Stream numbers only grow: the common case, a stream above all that ended, is one comparison.
        guard stream <= highest, stream != 0 else { return false }
        for lane in 0..<8 where streams[lane] == stream { return true }
        return false
    }
}
