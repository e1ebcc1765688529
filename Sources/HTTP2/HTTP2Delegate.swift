/// What an upload source has for the next DATA frame.
package enum Pull {
    /// Bytes were written to the buffer; more may follow.
    case bytes(Int)
    /// Bytes were written, and there are no more now; as after `later`, the owner resumes the stream.
    case last(Int)
    /// Nothing now; the owner calls ``HTTP2Engine/resume(_:)`` when there is. Every source is asked once by itself, behind
    /// the stream's HEADERS.
    case later
    /// No more bytes will come: the stream is ended.
    case end
    /// The source broke: the stream is reset with CANCEL.
    case broken
}

/// Receives the events of one ``HTTP2Engine``, on its thread and inside its calls.
///
/// `context` is the pointer the owner gave for the stream. Inside a callback the owner may submit, respond, resume,
/// reset and consume; it must not call `receive` or `produce`.
package protocol HTTP2Delegate: AnyObject {
    /// A request's header is complete (servers). To keep the stream call ``HTTP2Engine/setContext(_:of:)``; a stream
    /// without a context gets no further events.
    func http2Request(_ stream: Int32, head: HeaderBlock, endStream: Bool)
    /// A response's header is complete (clients); 1xx are skipped.
    func http2Response(_ context: UnsafeMutableRawPointer, head: HeaderBlock)
    /// Bytes arrived. The connection's credit is returned at once; the stream's when the owner calls `consumed`.
    func http2Data(_ context: UnsafeMutableRawPointer, bytes: UnsafeRawPointer, count: Int)
    /// The peer ended its direction.
    func http2End(_ context: UnsafeMutableRawPointer)
    /// The stream is gone; the last event with this context. `code` is 0 after an orderly end.
    func http2Closed(_ context: UnsafeMutableRawPointer, code: UInt32)
    /// The engine wants up to `capacity` bytes for the stream's next DATA frame.
    func http2Pull(_ context: UnsafeMutableRawPointer, into: UnsafeMutableRawPointer, capacity: Int) -> Pull
    /// The peer sends no more on streams above `lastStream`.
    func http2GoAway(lastStream: Int32, code: UInt32)
    /// The peer answered a ping.
    func http2Pong()
    /// The peer's SETTINGS arrived or changed.
    func http2SettingsChanged()
}
