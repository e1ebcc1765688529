internal import CNghttp2
internal import MeshModel

/// One HTTP/2 connection as an engine over nghttp2: bytes in, events to a delegate, bytes out. No socket, no clock.
///
/// Upload data is pulled straight into the output buffer behind its frame header, so a stream owns no buffer. Used on
/// one thread; the delegate must outlive the engine.
package final class HTTP2Engine {
    package enum Role: Sendable { case client, server }

    // Set once, at the end of init; nghttp2 needs `self` to make the session.
    private var sessionStorage: OpaquePointer?
    var session: OpaquePointer { sessionStorage.unsafelyUnwrapped }
    unowned(unsafe) let delegate: any HTTP2Delegate
    package let role: Role
    package let limits: HTTP2Limits
    var header = HeaderBlock()
    var headerRefused = false
    private var walker: FrameWalker
    /// The peer has begun a header block and not ended it: no other frame may come, so a deadline is due.
    package var isInsideHeader: Bool { walker.isInsideHeader }
    /// The stream whose RST_STREAM is being taken; its closing is the peer's doing.
    var peerReset: Int32 = 0
    var budget: GlitchBudget
    /// Monotonic nanoseconds of the current turn, for the budget.
    var now: UInt64
    /// DATA taken since the connection's credit was last returned, bytes; once per `receive` instead of once per frame.
    var unreturnedCredit = 0
    /// How often `produce` has been called: what was submitted at the same count has not been sent.
    package private(set) var productions: UInt64 = 0
    /// Where `produce` writes; nil outside of it.
    var out: UnsafeMutableRawPointer?
    var outCount = 0
    var outCapacity = 0
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
        budget = GlitchBudget(capacity: limits.glitches, perSecond: limits.glitchesForgiven, now: now)
        let me = Unmanaged.passUnretained(self).toOpaque()
        let callbacks = HTTP2Callbacks.shared.raw
        let option = HTTP2Callbacks.shared.option
        var made: OpaquePointer?
        let result =
            role == .client
            ? nghttp2_session_client_new2(&made, callbacks, me, option)
            : nghttp2_session_server_new2(&made, callbacks, me, option)
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
        nghttp2_submit_settings(session, 0, settings, settings.count)
        nghttp2_session_set_local_window_size(session, 0, 0, Int32(limits.connectionWindow))
    }

    // MARK: - Bytes

    /// Takes bytes of the peer; false when the connection is to end (see ``failure``), what waits to be sent included.
    package func receive(_ bytes: UnsafeRawPointer, count: Int, now: UInt64) -> Bool {
        guard failure == nil else { return false }
        self.now = now
        let verdict = walker.walk(bytes, count: count)
        while walker.unknownFrames > 0 {
            walker.unknownFrames -= 1
            glitch("unknown frames")
        }
        guard failure == nil else { return false }
        var count = count
        if case .broken(let offset, _, _) = verdict { count = offset }
        let result = nghttp2_session_mem_recv(session, bytes.assumingMemoryBound(to: UInt8.self), count)
        if unreturnedCredit > 0 {
            nghttp2_session_consume_connection(session, unreturnedCredit)
            unreturnedCredit = 0
        }
        if result < 0, failure == nil {
            let text = String(cString: nghttp2_strerror(Int32(result)))
            failure = HTTP2Failure(.http2Failed, "the peer broke HTTP/2: \(text)")
        }
        if case .broken(_, let code, let what) = verdict { fail(code, what) }
        return failure == nil
    }

    /// Writes frames into the buffer until it is full or nothing waits; returns the bytes written. Call again while it
    /// returns more than 0. The buffer should hold at least 32 KiB.
    package func produce(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Int {
        productions &+= 1
        out = buffer
        outCount = 0
        outCapacity = capacity
        let result = nghttp2_session_send(session)
        out = nil
        if result != 0, failure == nil {
            failure = HTTP2Failure(.http2Failed, String(cString: nghttp2_strerror(result)))
        }
        return outCount
    }

    /// Whether frames wait to be produced (sources that said `.later` do not count).
    package var wantsToProduce: Bool { nghttp2_session_want_write(session) != 0 }

    /// Neither side will use the connection again.
    package var isFinished: Bool {
        nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    // MARK: - Streams

    /// Opens a CONNECT stream; its data is pulled once the owner resumes it. Nil when the peer takes no more streams.
    package func connect(_ head: HeaderBlock, context: UnsafeMutableRawPointer) -> Int32? {
        var provider = Self.provider
        let stream = withFields(head) { nghttp2_submit_request(session, nil, $0, $1, &provider, context) }
        return stream > 0 ? stream : nil
    }

    /// Attaches the owner's pointer to a stream of the peer; it comes back with every later event of the stream.
    package func setContext(_ context: UnsafeMutableRawPointer?, of stream: Int32) {
        nghttp2_session_set_stream_user_data(session, stream, context)
    }

    /// Answers a request; with `end` the answer is the header alone.
    package func respond(_ stream: Int32, _ head: HeaderBlock, end: Bool) {
        var provider = Self.provider
        _ = withFields(head) { fields, count in
            withUnsafePointer(to: &provider) {
                nghttp2_submit_response(session, stream, fields, count, end ? nil : $0)
            }
        }
    }

    /// The stream's source has bytes, its end or its breaking to say.
    package func resume(_ stream: Int32) {
        nghttp2_session_resume_data(session, stream)
    }

    /// The owner is done with `count` received bytes of the stream: the peer may send as many more.
    package func consumed(_ stream: Int32, count: Int) {
        nghttp2_session_consume_stream(session, stream, count)
    }

    /// Ends a stream at once with the error code (RFC 9113 section 7).
    package func reset(_ stream: Int32, code: UInt32) {
        nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code)
    }

    /// Sets the window of a stream; a larger one is announced at once.
    package func setWindow(_ stream: Int32, size: Int) {
        nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, Int32(size))
    }

    /// The window of a stream as we announced it, in bytes; it may be negative after the initial one was lowered.
    package func window(of stream: Int32) -> Int {
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
        nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), &entry, 1)
    }

    // MARK: - Connection

    /// The streams the peer lets us have open.
    package var peerConcurrentStreams: Int {
        Int(nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    package func ping() {
        nghttp2_submit_ping(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil)
    }

    /// First step of a graceful end: the peer is told to open no more streams, those under way still count.
    package func announceShutdown() {
        if role == .server { nghttp2_submit_shutdown_notice(session) }
    }

    /// GOAWAY with the last stream we processed; new streams of the peer are refused from now on.
    package func goAway(code: UInt32) {
        let last = nghttp2_session_get_last_proc_stream_id(session)
        nghttp2_submit_goaway(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, code, nil, 0)
    }

    /// Ends the connection: GOAWAY with the code, then nothing more.
    package func terminate(code: UInt32) {
        nghttp2_session_terminate_session(session, code)
    }

    /// The owner's word that the peer reset a stream before it was answered, which is what a rapid reset does.
    package func countEarlyReset() {
        glitch("resets before our answer")
    }

    // MARK: - What the library lets pass

    /// Counts the streams that the library had to reset because of what the peer sent on them.
    func closes(_ stream: Int32, code: UInt32) {
        if stream != peerReset, ErrorCode.blamesPeer.contains(code) { glitch("streams it broke") }
    }

    private func fail(_ code: UInt32, _ what: StaticString) {
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

    private static var provider: nghttp2_data_provider {
        nghttp2_data_provider(source: nghttp2_data_source(), read_callback: HTTP2Callbacks.pull)
    }

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
