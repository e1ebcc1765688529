package import HTTP2

/// The sink of a request that cannot be answered yet: keeps what the client sends ahead of the answer.
///
/// Nothing it keeps is reported as consumed, so it holds at most one stream window.
package final class WaitingStream: TunnelSink {
    /// The waiting stream; nil once the client gave up.
    package private(set) var stream: TunnelStream?
    private var kept = Backlog()
    private var hasEnded = false

    /// Attaches itself to the stream.
    package init(_ stream: TunnelStream) {
        self.stream = stream
        stream.attach(self)
    }

    /// Lets `answer` deal with the stream, then gives whoever it attached what has come meanwhile.
    package func end(_ answer: (TunnelStream) -> Void) {
        guard let stream else { return }
        self.stream = nil
        stream.detach()
        answer(stream)
        guard let sink = stream.sink else { return stream.consumed(kept.count) }
        if let start = kept.start {
            sink.tunnelData(start, kept.count)
            sink.tunnelFlush()
        }
        if hasEnded { sink.tunnelEnded() }
    }

    // MARK: - TunnelSink

    package func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) {
        kept.append(bytes, count)
    }

    package func tunnelEnded() {
        hasEnded = true
    }

    package func tunnelClosed(code: UInt32, failure: TunnelFailure?) {
        stream = nil
    }

    package func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull { .later }

    package func tunnelAnswered(status: Int, head: HeaderBlock) {}
    package func tunnelFlush() {}
}
