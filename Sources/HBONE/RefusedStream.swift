internal import HTTP2

/// The sink of a stream whose CONNECT was refused: says its end, then resets it.
///
/// A refused client may never end its half, and RFC 9113 8.1 lets a server close it after a complete answer. The reset has to
/// wait until the end is on its way: nghttp2 drops an answer that is not sent yet when its stream is reset.
final class RefusedStream: TunnelSink {
    private unowned(unsafe) let stream: TunnelStream

    /// - Parameter stream: owns this sink, so it outlives it.
    init(_ stream: TunnelStream) {
        self.stream = stream
    }

    func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        stream.reset(code: HTTP2Engine.ErrorCode.noError)
        return .end
    }

    func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) {
        stream.consumed(count)
    }

    func tunnelAnswered(status: Int, head: HeaderBlock) {}
    func tunnelFlush() {}
    func tunnelEnded() {}
    func tunnelClosed(code: UInt32, failure: TunnelFailure?) {}
}
