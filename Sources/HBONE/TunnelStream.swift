package import HTTP2

/// One CONNECT stream of a tunnel connection: joins the connection's HTTP/2 to a ``TunnelSink``.
///
/// The engine's pointer to it owns it while the stream is open. Not thread-safe; lives on its connection's worker.
package final class TunnelStream {
    /// The HTTP/2 stream identifier.
    package internal(set) var id: Int32 = 0
    // The connection clears both before it goes away, and outlives the turn in which it does. Unmanaged, like the relay: they
    // are used for every batch of bytes, where counting references is a seventh of our instructions.
    private var connectionReference: Unmanaged<TunnelConnection>?
    private var engine: Unmanaged<HTTP2Engine>?
    package private(set) var sink: (any TunnelSink)?
    /// The sink where it is a relay, as it nearly always is. A relay that lets go of its stream lives to the end of the turn.
    private var relay: Unmanaged<SocketRelay>?
    unowned(unsafe) var previous: TunnelStream?
    unowned(unsafe) var next: TunnelStream?
    var isTouched = false
    /// The final response has been sent (server) or received (client).
    package internal(set) var isAnswered = false
    /// Server: the engine's count of productions when it was answered.
    private var answeredAt: UInt64 = 0
    /// What its sink holds for a slow reader, bytes.
    private(set) var kept = 0
    private var window: Int
    private var drained = 0

    init(owner: TunnelConnection, sink: (any TunnelSink)?) {
        connectionReference = Unmanaged.passUnretained(owner)
        if let http2 = owner.http2 { engine = Unmanaged.passUnretained(http2) }
        window = owner.limits.streamWindow
        hand(to: sink)
    }

    /// The connection has let go of it.
    var isOver: Bool { connectionReference == nil }
    var owner: TunnelConnection? { connectionReference?.takeUnretainedValue() }

    /// The connection is done with the stream: the sink, which is to hear of it.
    func disown() -> (any TunnelSink)? {
        let last = sink
        connectionReference = nil
        engine = nil
        hand(to: nil)
        return last
    }

    private func hand(to sink: (any TunnelSink)?) {
        self.sink = sink
        if let found = sink?.relay { relay = Unmanaged.passUnretained(found) } else { relay = nil }
    }

    /// What a client is told that sent something else than CONNECT, a person with an ordinary HTTP client most likely;
    /// nothing to HEAD, whose answers have no content.
    package static func notConnect(_ head: HeaderBlock) -> StaticString {
        head.text(":method") == "HEAD"
            ? "" : "This is an HBONE port: it takes HTTP/2 CONNECT from verified peers and nothing else.\n"
    }

    /// The connection it runs on; nil once the stream is closed.
    package var connection: TunnelConnection? { owner }

    /// Server: attaches what handles the stream from now on.
    package func attach(_ sink: any TunnelSink) {
        hand(to: sink)
    }

    /// Server: answers the CONNECT. With `end` the stream is over on our side.
    /// - Parameter text: the body of an answer that ends the stream; empty for peers, which read the header alone.
    package func respond(_ head: HeaderBlock, end: Bool, text: StaticString = "") {
        guard let owner else { return }
        isAnswered = true
        answeredAt = owner.http2?.productions ?? 0
        if end { hand(to: RefusedStream(self, text: text)) }
        owner.http2?.respond(id, head, end: false)
        owner.markForOutput()
    }

    /// Server: whether the peer cannot have seen an answer: none was given, or it waits to be sent.
    var isUnheard: Bool { !isAnswered || answeredAt == owner?.http2?.productions }

    /// The sink has bytes, its end or its breaking to say: it will be pulled.
    package func resume() {
        guard let engine, let connectionReference else { return }
        engine._withUnsafeGuaranteedRef { $0.resume(id) }
        connectionReference._withUnsafeGuaranteedRef { $0.markForOutput() }
    }

    /// The sink is done with `count` bytes it was given: the peer may send as many more.
    ///
    /// A stream whose reader keeps up through two whole windows gets a larger one, so that a long path fills without
    /// every stream being allowed megabytes from the start. While memory is tight a large window shrinks to a small one as
    /// the peer uses it.
    package func consumed(_ count: Int) {
        guard let engine, let connectionReference, count > 0 else { return }
        engine._withUnsafeGuaranteedRef { http2 in
            http2.consumed(id, count: count)
            drained += count
            connectionReference._withUnsafeGuaranteedRef { owner in
                if owner.hasSmallWindows { shrink(http2) } else if drained >= 2 * window { grow(http2, owner.limits) }
                owner.markForOutput()
            }
        }
    }

    private func grow(_ http2: HTTP2Engine, _ limits: HTTP2Limits) {
        guard window < limits.largestStreamWindow else { return }
        window = min(max(http2.window(of: id), limits.streamWindow) * 2, limits.largestStreamWindow)
        drained = 0
        http2.setWindow(id, size: window)
    }

    private func shrink(_ http2: HTTP2Engine) {
        drained = 0
        // Until the peer has acknowledged the smaller initial window it would be taken off twice.
        guard window > TunnelConnection.smallWindow, http2.initialWindow <= TunnelConnection.smallWindow else { return }
        window = TunnelConnection.smallWindow
        if http2.window(of: id) > window { http2.setWindow(id, size: window) }
    }

    /// The sink holds so many bytes more (or fewer, below 0) for its reader.
    package func keeps(_ change: Int) {
        kept += change
        owner?.keptBytes += change
    }

    /// The reader fell behind: growth starts over.
    package func stalled() {
        drained = 0
    }

    /// Ends both directions at once.
    package func reset(code: UInt32 = HTTP2Engine.ErrorCode.cancel) {
        guard let owner else { return }
        owner.http2?.reset(id, code: code)
        owner.markForOutput()
    }

    /// Server: takes the sink off again; what still arrives is dropped until somebody answers.
    package func detach() {
        hand(to: nil)
    }

    /// Lets go of the stream: it is reset, and its sink hears nothing of it any more.
    package func abandon() {
        hand(to: nil)
        reset()
    }

    // MARK: - Bytes, for the connection

    func pull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        if let relay { return relay._withUnsafeGuaranteedRef { $0.tunnelPull(into: buffer, capacity: capacity) } }
        return sink?.tunnelPull(into: buffer, capacity: capacity) ?? .later
    }

    func take(_ bytes: UnsafeRawPointer, _ count: Int) {
        if let relay {
            relay._withUnsafeGuaranteedRef { $0.tunnelData(bytes, count) }
        } else {
            sink?.tunnelData(bytes, count)
        }
    }

    func flush() {
        if let relay { relay._withUnsafeGuaranteedRef { $0.tunnelFlush() } } else { sink?.tunnelFlush() }
    }
}
