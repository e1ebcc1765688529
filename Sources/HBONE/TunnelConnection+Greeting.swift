internal import EventLoop
internal import MeshModel

extension TunnelConnection {
    private static let recordHeader = 5
    private static let handshakeRecord: UInt8 = 22
    /// RFC 8446 5.2: what a record may hold at most, with what protection adds.
    private static let longestRecord = 16_384 + 256

    /// Begins the handshake once the client's first record is whole; false while it is not.
    ///
    /// A session and its buffers are some 50 KiB. A stranger who sends nothing, or a byte a second, gets none: what he has
    /// sent stays in the kernel, and he costs a descriptor until the deadline.
    func greet(_ readiness: Readiness) -> Bool {
        guard !readiness.isDisjoint(with: [.peerClosed, .hungUp, .failed]) || hasWholeRecord else { return false }
        phase = .handshaking
        return true
    }

    /// Server: makes the session when the first step of the handshake has its turn; false when there is none to be had.
    ///
    /// Strangers who begin and do not go on could fill the memory with sessions, so a worker has a limit of them
    /// (``HandshakeCensus`` says who goes then).
    func beginHandshake() -> Bool {
        do throws(TunnelFailure) {
            try makeSession()
        } catch {
            fail(error)
            return false
        }
        if let other = buffers.handshakes.began(self) {
            other.fail(
                TunnelFailure(
                    .overLimit,
                    "\(buffers.handshakes.limit) TLS handshakes are under way on this worker, and this was the oldest of "
                        + "the address that had begun most of them (\(other.remote))",
                    isBeforeRequest: true))
        }
        return phase == .handshaking
    }

    /// Whether the first record has come, as far as its header says. What is no handshake record is let through at once: the
    /// session has the words for it.
    private var hasWholeRecord: Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.recordHeader) { header in
            guard let base = header.baseAddress else { return true }
            let count = Kernel.peek(fd, base, Self.recordHeader)
            guard count > 0 else { return !Kernel.wouldBlock(count) }
            guard header[0] == Self.handshakeRecord else { return true }
            guard count == Self.recordHeader else { return false }
            let length = Int(header[3]) << 8 | Int(header[4])
            return length > Self.longestRecord || Kernel.pendingBytes(fd) >= Self.recordHeader + length
        }
    }
}
