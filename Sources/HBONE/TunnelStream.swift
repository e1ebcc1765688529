package import HTTP2

/// One CONNECT stream of a tunnel connection: joins the connection's HTTP/2 to a ``TunnelSink``.
///
/// nghttp2's pointer to it owns it while the stream is open. Not thread-safe; lives on its connection's worker.
package final class TunnelStream {
    /// The HTTP/2 stream identifier.
    package internal(set) var id: Int32 = 0
    // The connection clears it before it goes away.
    unowned(unsafe) var owner: TunnelConnection?
    package internal(set) var sink: (any TunnelSink)?
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
        self.owner = owner
        self.sink = sink
        window = owner.limits.streamWindow
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
        self.sink = sink
    }

    /// Server: answers the CONNECT. With `end` the stream is over on our side.
    /// - Parameter text: the body of an answer that ends the stream; empty for peers, which read the header alone.
    package func respond(_ head: HeaderBlock, end: Bool, text: StaticString = "") {
        guard let owner else { return }
        isAnswered = true
        answeredAt = owner.http2?.productions ?? 0
        if end { sink = RefusedStream(self, text: text) }
        owner.http2?.respond(id, head, end: false)
        owner.markForOutput()
    }

    /// Server: whether the peer cannot have seen an answer: none was given, or it waits to be sent.
    var isUnheard: Bool { !isAnswered || answeredAt == owner?.http2?.productions }

    /// The sink has bytes, its end or its breaking to say: it will be pulled.
    package func resume() {
        guard let owner else { return }
        owner.http2?.resume(id)
        owner.markForOutput()
    }

    /// The sink is done with `count` bytes it was given: the peer may send as many more.
    ///
    /// A stream whose reader keeps up through two whole windows gets a larger one, so that a long path fills without
    /// every stream being allowed megabytes from the start. While memory is tight a large window shrinks to a small one as
    /// the peer uses it.
    package func consumed(_ count: Int) {
        guard let owner, let http2 = owner.http2, count > 0 else { return }
        http2.consumed(id, count: count)
        drained += count
        if owner.hasSmallWindows {
            shrink(http2)
        } else if drained >= 2 * window, window < owner.limits.largestStreamWindow {
            window = min(max(http2.window(of: id), owner.limits.streamWindow) * 2, owner.limits.largestStreamWindow)
            drained = 0
            http2.setWindow(id, size: window)
        }
        owner.markForOutput()
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
        sink = nil
    }

    /// Lets go of the stream: it is reset, and its sink hears nothing of it any more.
    package func abandon() {
        sink = nil
        reset()
    }
}
