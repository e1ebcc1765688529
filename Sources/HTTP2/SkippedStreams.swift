/// Which stream numbers a client has passed over: opening a stream closes all lower ones that were not opened (RFC 9113
/// 5.1.1). Clients count in steps of two, so the last gap is all that is kept.
struct SkippedStreams: Sendable {
    // Never negative, so that no difference of two overflows.
    private var latest: Int32 = 0
    private var gap: Range<Int32> = 0..<0

    /// Takes note of a HEADERS frame; false when it is on a number that was passed over.
    mutating func admits(_ stream: Int32) -> Bool {
        if stream > latest {
            if stream - latest > 2 { gap = (latest + 1)..<stream }
            latest = stream
            return true
        }
        return !gap.contains(stream)
    }
}
