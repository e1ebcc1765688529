internal import EventLoop
internal import HTTP2

/// The sink of a stream whose request was refused: says its text and its end, then resets it.
///
/// A refused client may never end its half, and RFC 9113 8.1 lets a server close it after a complete answer. The reset has to
/// wait until the end is on its way: nghttp2 drops an answer that is not sent yet when its stream is reset.
final class RefusedStream: EventHandler, TunnelSink {
    private unowned(unsafe) let stream: TunnelStream
    private let text: StaticString
    private var sent = 0
    // For a request that has an end of its own: it gets the time of a CONNECT to come to it.
    private var patience: Deadline?

    /// - Parameters:
    ///   - stream: owns this sink, so it outlives it.
    ///   - text: the body of the answer; with one, the client is not a peer that knows CONNECT, and may end its request.
    init(_ stream: TunnelStream, text: StaticString) {
        self.stream = stream
        self.text = text
    }

    func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        let count = min(capacity, text.utf8CodeUnitCount - sent)
        if count > 0 {
            buffer.copyMemory(from: text.utf8Start + sent, byteCount: count)
            sent += count
            return .bytes(count)
        }
        if sent == 0 {
            stream.reset(code: HTTP2Engine.ErrorCode.noError)
        } else if let loop = stream.connection?.loop {
            let deadline = Deadline(owner: self, kind: 0)
            deadline.arm(loop.deadlines(seconds: TunnelConnection.stepLimit), now: loop.now)
            patience = deadline
        }
        return .end
    }

    override func expired(_ kind: UInt8) {
        stream.reset(code: HTTP2Engine.ErrorCode.noError)
    }

    func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) {
        stream.consumed(count)
    }

    func tunnelAnswered(status: Int, head: HeaderBlock) {}
    func tunnelFlush() {}
    func tunnelEnded() {}
    func tunnelClosed(code: UInt32, failure: TunnelFailure?) { patience = nil }
}
