package import HTTP2

/// The local end of a tunnel stream: what the stream's bytes come from and go to.
///
/// Called on the worker's thread, inside the connection's own processing: an implementation may respond, resume, reset
/// and report consumption on the stream, all of which only mark the connection. `tunnelClosed` is always the last call.
package protocol TunnelSink: AnyObject {
    /// Client: the peer answered the CONNECT; any status but 2xx ends the stream.
    func tunnelAnswered(status: Int, head: HeaderBlock)
    /// Bytes arrived; borrowed until `tunnelFlush` returns. Every byte is to be reported by `TunnelStream.consumed`.
    func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int)
    /// The batch of `tunnelData` calls is over: what was borrowed must be written or copied now.
    func tunnelFlush()
    /// The next bytes of the other direction, written to the buffer.
    func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull
    /// The peer ended its direction, after all its data.
    func tunnelEnded()
    /// The stream is gone. `code` 0 is an orderly end; another is the RST_STREAM code or why the connection died.
    func tunnelClosed(code: UInt32, failure: TunnelFailure?)
    /// The sink itself where it is a relay, whose stream then calls it without a detour; nil for all others.
    var relay: SocketRelay? { get }
}

extension TunnelSink {
    package var relay: SocketRelay? { nil }
}
