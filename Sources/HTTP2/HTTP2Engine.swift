internal import CNghttp2
internal import MeshModel

/// One HTTP/2 connection as an engine over nghttp2: bytes in, events to a delegate, bytes out. No socket, no clock.
///
/// DATA of tunnels and all windows are this engine's own; nghttp2 has headers, settings and the states of streams. Upload data is pulled straight into the output buffer behind its frame header, so a stream owns no buffer. Used on
/// one thread; the delegate must outlive the engine.
package final class HTTP2Engine {
    package enum Role: Sendable { case client, server }

    // Set once, at the end of init; nghttp2 needs `self` to make the session.
    private var sessionStorage: OpaquePointer?
    /// The library's session, to look at.
    var session: OpaquePointer { sessionStorage.unsafelyUnwrapped }
    /// The same, for calls after which it may have something to send.
    var touchedSession: OpaquePointer {
        isLibraryTouched = true
        return session
    }
    unowned(unsafe) let delegate: any HTTP2Delegate
    package let role: Role
    package let limits: HTTP2Limits
    var header = HeaderBlock()
    var headerRefused = false
    var walker: FrameWalker
    /// The peer has begun a header block and not ended it: no other frame may come, so a deadline is due.
    package var isInsideHeader: Bool { walker.isInsideHeader }
    /// The stream whose RST_STREAM is being taken; its closing is the peer's doing.
    var peerReset: Int32 = 0
    var budget: GlitchBudget
    /// Monotonic nanoseconds of the current turn, for the budget.
    var now: UInt64
    /// Streams that have an owner.
    var streams = StreamTable()
    /// Streams to be asked for bytes, in turn.
    var ready = StreamQueue()
    /// Streams with credit to announce.
    var creditors = StreamQueue()
    /// The CONNECT request that is just being told of; 0 outside of it.
    var tunnelRequest: Int32 = 0
    /// What we may send on all streams together, bytes.
    var connectionSendWindow = 65_535
    /// The initial window and the largest frame that the peer takes, bytes.
    var peerInitialWindow = 65_535
    var peerFrameSize = 16_384
    /// The initial window of ours that the peer has acknowledged.
    var acknowledgedWindow = 65_535
    /// What the peer may send on all tunnels; the library counts the other streams by itself.
    var connectionReceiveWindow: ReceiveWindow
    /// The frame of ours whose payload is coming.
    var own: OwnFrame?
    /// The peer's first SETTINGS have come.
    var hasSettings = false
    /// GOAWAY has been written.
    var hasSaidGoAway = false
    /// GOAWAY with an error is said, or will be: nothing but it is sent.
    var isTerminated = false
    /// DATA the library took since its connection credit was last returned, bytes; once per `receive`.
    var unreturnedCredit = 0
    /// How often `produce` has been called: what was submitted at the same count has not been sent.
    package internal(set) var productions: UInt64 = 0
    /// Where `produce` writes; nil outside of it.
    var out: UnsafeMutableRawPointer?
    var outCount = 0
    var outCapacity = 0
    /// The library has a frame for which there was no room.
    var isLibraryBlocked = false
    /// The library was called since it last had nothing to send, and may have something now.
    var isLibraryTouched = true
    /// The connection must end: set once, never cleared.
    package internal(set) var failure: HTTP2Failure?
    /// The peer said GOAWAY.
    package internal(set) var peerGoingAway = false

    /// - Parameter delegate: held without retaining.
    package init(_ role: Role, delegate: any HTTP2Delegate, limits: HTTP2Limits, now: UInt64) {
        self.role = role
        self.delegate = delegate
        self.limits = limits
        self.now = now
        walker = FrameWalker(role, limits: limits)
        connectionReceiveWindow = ReceiveWindow(size: limits.connectionWindow)
        budget = GlitchBudget(capacity: limits.glitches, perSecond: limits.glitchesForgiven, now: now)
        let me = Unmanaged.passUnretained(self).toOpaque()
        let callbacks = HTTP2Callbacks.shared.raw
        let option = HTTP2Callbacks.shared.option
        let memory = SessionMemory.shared.raw
        var made: OpaquePointer?
        let result =
            role == .client
            ? nghttp2_session_client_new3(&made, callbacks, me, option, memory)
            : nghttp2_session_server_new3(&made, callbacks, me, option, memory)
        precondition(result == 0 && made != nil, "nghttp2 is out of memory")
        sessionStorage = made
        submitPreface()
    }

    deinit {
        nghttp2_session_del(session)
    }

    private func submitPreface() {
        var settings: [nghttp2_settings_entry] = [
            .init(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(limits.streamWindow)),
            .init(settings_id: Int32(NGHTTP2_SETTINGS_MAX_FRAME_SIZE.rawValue), value: UInt32(limits.frameSize)),
            .init(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue), value: UInt32(limits.headerListSize)
            ),
        ]
        switch role {
        case .client:
            settings.append(.init(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0))
        case .server:
            settings.append(
                .init(
                    settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                    value: UInt32(limits.concurrentStreams)))
        }
        nghttp2_submit_settings(touchedSession, 0, settings, settings.count)
        nghttp2_session_set_local_window_size(touchedSession, 0, 0, Int32(limits.connectionWindow))
    }

    // MARK: - State

    /// Whether frames wait to be produced (sources that said `.later` do not count).
    package var wantsToProduce: Bool {
        if isLibraryTouched, nghttp2_session_want_write(session) != 0 { return true }
        guard !isTerminated, failure == nil else { return false }
        return !creditors.isEmpty || connectionReceiveWindow.due > 0 || !ready.isEmpty && connectionSendWindow > 0
    }

    /// Neither side will use the connection again.
    package var isFinished: Bool {
        // Without a GOAWAY from either side there is always something to read.
        (hasSaidGoAway || peerGoingAway) && nghttp2_session_want_read(session) == 0
            && nghttp2_session_want_write(session) == 0
    }

    // MARK: - Streams

    /// Opens a CONNECT stream; its data is pulled once the owner resumes it. Nil when the peer takes no more streams.
    package func connect(_ head: HeaderBlock, context: UnsafeMutableRawPointer) -> Int32? {
        let stream = withFields(head) { nghttp2_submit_headers(touchedSession, Self.noFlags, -1, nil, $0, $1, nil) }
        guard stream > 0 else { return nil }
        addFlow(stream, context)
        return stream
    }

    /// Attaches the owner's pointer to a stream of the peer; it comes back with every later event of the stream.
    package func setContext(_ context: UnsafeMutableRawPointer, of stream: Int32) {
        let flow = streams[stream] == nil ? addFlow(stream, context) : nil
        if stream == tunnelRequest { flow?.pointee.isTunnel = true }
    }

    @discardableResult private func addFlow(_ stream: Int32, _ context: UnsafeMutableRawPointer) -> StreamTable.Entry {
        // The library knows no stream that is not sent yet; such a one is given its window with the answer.
        let window = role == .server ? libraryWindow(of: stream) : 0
        return streams.insert(
            StreamFlow(
                id: stream, context: context, sendWindow: peerInitialWindow, receiveWindow: ReceiveWindow(size: window))
        )
    }

    /// Answers a request; with `end` the answer is the header alone.
    package func respond(_ stream: Int32, _ head: HeaderBlock, end: Bool) {
        let flags = end ? UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) : Self.noFlags
        if end { streams[stream]?.pointee.hasEnded = true }
        _ = withFields(head) { nghttp2_submit_headers(touchedSession, flags, stream, nil, $0, $1, nil) }
    }

    /// The stream's source has bytes, its end or its breaking to say.
    package func resume(_ stream: Int32) {
        guard let flow = streams[stream] else { return }
        enqueue(flow)
    }

    /// The owner is done with `count` received bytes of the stream: the peer may send as many more.
    package func consumed(_ stream: Int32, count: Int) {
        guard let flow = streams[stream], flow.pointee.isTunnel else {
            nghttp2_session_consume_stream(touchedSession, stream, count)
            return
        }
        flow.pointee.receiveWindow.release(count)
        if flow.pointee.receiveWindow.due > 0 { oweCredit(flow) }
    }

    /// Ends a stream at once with the error code (RFC 9113 section 7).
    package func reset(_ stream: Int32, code: UInt32) {
        streams[stream]?.pointee.isReset = true
        nghttp2_submit_rst_stream(touchedSession, Self.noFlags, stream, code)
    }

    /// Sets the window of a stream; a larger one is announced at once.
    package func setWindow(_ stream: Int32, size: Int) {
        guard let flow = streams[stream], flow.pointee.isTunnel else {
            nghttp2_session_set_local_window_size(touchedSession, Self.noFlags, stream, Int32(size))
            return
        }
        flow.pointee.receiveWindow.resize(size)
        if flow.pointee.receiveWindow.missing > 0 { oweCredit(flow) }
    }

    /// The window of a stream as we announced it, in bytes; it may be negative after the initial one was lowered.
    package func window(of stream: Int32) -> Int {
        guard let flow = streams[stream], flow.pointee.isTunnel else { return libraryWindow(of: stream) }
        return flow.pointee.receiveWindow.size
    }

    func libraryWindow(of stream: Int32) -> Int {
        Int(nghttp2_session_get_stream_effective_local_window_size(session, stream))
    }

    /// The initial window of streams that the peer has acknowledged, in bytes.
    package var initialWindow: Int {
        Int(nghttp2_session_get_local_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE))
    }

    /// Announces another initial window; it changes every open stream's by the difference once it is acknowledged.
    package func setInitialWindow(_ size: Int) {
        var entry = nghttp2_settings_entry(
            settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: UInt32(size))
        nghttp2_submit_settings(touchedSession, Self.noFlags, &entry, 1)
    }

    // MARK: - Connection

    /// The streams the peer lets us have open.
    package var peerConcurrentStreams: Int {
        Int(nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    package func ping() {
        nghttp2_submit_ping(touchedSession, Self.noFlags, nil)
    }

    /// First step of a graceful end: the peer is told to open no more streams, those under way still count.
    package func announceShutdown() {
        if role == .server { nghttp2_submit_shutdown_notice(touchedSession) }
    }

    /// GOAWAY with the last stream we processed; new streams of the peer are refused from now on.
    package func goAway(code: UInt32) {
        let last = nghttp2_session_get_last_proc_stream_id(session)
        nghttp2_submit_goaway(touchedSession, Self.noFlags, last, code, nil, 0)
    }

    /// Ends the connection: GOAWAY with the code, then nothing more.
    package func terminate(code: UInt32) {
        isTerminated = true
        nghttp2_session_terminate_session(touchedSession, code)
    }

    /// The owner's word that the peer reset a stream before it was answered, which is what a rapid reset does.
    package func countEarlyReset() {
        glitch("resets before our answer")
    }

    // MARK: - What the library lets pass

    /// The library is done with a stream. Counts those that it had to reset because of what the peer sent on them.
    func closes(_ stream: Int32, code: UInt32) {
        if stream != peerReset, ErrorCode.blamesPeer.contains(code) { glitch("streams it broke") }
        guard let flow = streams.remove(stream) else { return }
        if flow.isQueued { ready.remove(stream) }
        if flow.owesCredit { creditors.remove(stream) }
        delegate.http2Closed(flow.context, code: code)
    }

    func fail(_ code: UInt32, _ what: StaticString) {
        guard failure == nil else { return }
        failure = HTTP2Failure(.http2Failed, "the peer broke HTTP/2: \(what)")
        terminate(code: code)
    }

    /// Takes a point of the budget of misbehaviour; without one left the connection ends.
    func glitch(_ what: StaticString) {
        guard failure == nil, !budget.spend(now: now) else { return }
        failure = HTTP2Failure(.peerMisbehaved, "the peer spent its budget of misbehaviour, last by \(what)")
        terminate(code: ErrorCode.enhanceYourCalm)
    }

    // MARK: - Pieces

    /// Error codes of RFC 9113 section 7 that we send.
    package enum ErrorCode {
        package static let noError: UInt32 = 0
        package static let protocolError: UInt32 = 1
        package static let internalError: UInt32 = 2
        static let flowControlError: UInt32 = 3
        static let streamClosed: UInt32 = 5
        static let frameSizeError: UInt32 = 6
        package static let refusedStream: UInt32 = 7
        package static let cancel: UInt32 = 8
        package static let connectError: UInt32 = 10
        package static let enhanceYourCalm: UInt32 = 11
        /// What the library resets a stream with when the peer broke the protocol on it; we ourselves never do.
        static let blamesPeer: Set<UInt32> = [protocolError, flowControlError, streamClosed, frameSizeError]
    }

    private static let noFlags: UInt8 = 0
    /// RFC 9113 6.9.1: no window may be larger.
    static let largestWindow = 0x7fff_ffff

    private func withFields<Result>(
        _ head: HeaderBlock, _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result
    ) -> Result {
        head.withRawFields { bytes, fields in
            withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: fields.count) { vector in
                var start = 0
                for i in 0..<fields.count {
                    let field = fields[i]
                    let name = UnsafeMutablePointer(mutating: bytes)
                    vector.initializeElement(
                        at: i,
                        to: nghttp2_nv(
                            name: name.map { $0 + start }, value: name.map { $0 + field.nameEnd },
                            namelen: field.nameEnd - start, valuelen: field.valueEnd - field.nameEnd,
                            flags: UInt8(
                                field.isUnique ? NGHTTP2_NV_FLAG_NO_INDEX.rawValue : NGHTTP2_NV_FLAG_NONE.rawValue)))
                    start = field.valueEnd
                }
                return body(UnsafePointer(vector.baseAddress), fields.count)
            }
        }
    }
}
