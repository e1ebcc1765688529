internal import CNghttp2
internal import MeshModel

// Frames of the peer: DATA of tunnels and WINDOW_UPDATE are taken here, all others by the library. The library hears of a
// tunnel's END_STREAM as an empty frame, and of no window: it keeps the states of streams, not their credit.
extension HTTP2Engine {
    /// A frame that is taken here and not by the library.
    struct OwnFrame {
        enum Kind { case data, ignoredData, windowUpdate }

        var kind: Kind
        let header: FrameHeader
        /// DATA: bytes that are neither padding nor its length. WINDOW_UPDATE: what has come of the increment.
        var value = 0
        /// Padding that ends the frame, its length field included.
        var padding = 0
        var awaitsPadLength = false
    }

    /// Takes bytes of the peer; false when the connection is to end (see ``failure``), what waits to be sent included.
    package func receive(_ bytes: UnsafeRawPointer, count: Int, now: UInt64) -> Bool {
        guard failure == nil else { return false }
        self.now = now
        // Read once: each time it is read it is retained.
        let delegate = self.delegate
        var at = 0
        // What the library is to have begins here.
        var run = 0
        while at < count {
            let start = at
            switch walker.next(bytes, at: &at, count: count) {
            case .cut:
                feed(bytes, run, start)
                run = at
            case .payload(let step):
                guard own != nil else { continue }
                takeOwn(bytes + start, step, delegate)
                run = at
                if walker.rest == 0 { endOwn() }
            case .header(let header):
                let isCut = at - start < FrameHeader.size
                let mayBeOwn = header.isType(NGHTTP2_DATA) || header.isType(NGHTTP2_WINDOW_UPDATE)
                if isCut || mayBeOwn {
                    // The state that the frames before it lead to decides about it.
                    feed(bytes, run, start)
                    run = start
                    if failure != nil { break }
                }
                if let breach = walker.judge(header) {
                    feed(bytes, run, start)
                    fail(breach.code, breach.what)
                    break
                }
                if UInt32(header.type) > NGHTTP2_CONTINUATION.rawValue { glitch("unknown frames") }
                if mayBeOwn, begin(header) {
                    run = at
                    if header.length == 0 { endOwn() }
                } else if isCut {
                    feed(header)
                    run = at
                }
            }
            if failure != nil { break }
        }
        if failure == nil { feed(bytes, run, at) }
        if unreturnedCredit > 0 {
            nghttp2_session_consume_connection(touchedSession, unreturnedCredit)
            unreturnedCredit = 0
        }
        return failure == nil
    }

    // MARK: - The library's share

    private func feed(_ bytes: UnsafeRawPointer, _ start: Int, _ end: Int) {
        guard end > start, failure == nil else { return }
        let result = nghttp2_session_mem_recv(
            touchedSession, (bytes + start).assumingMemoryBound(to: UInt8.self), end - start)
        guard result < 0, failure == nil else { return }
        let text = String(cString: nghttp2_strerror(Int32(result)))
        failure = HTTP2Failure(.http2Failed, "the peer broke HTTP/2: \(text)")
    }

    /// Gives the library a frame, as if the peer had sent it; only between frames of its own.
    private func feed(_ header: FrameHeader, value: UInt32? = nil) {
        withUnsafeTemporaryAllocation(byteCount: FrameHeader.size + 4, alignment: 8) { frame in
            guard let start = frame.baseAddress else { return }
            header.write(to: start)
            if let value { start.storeBytes(of: value.bigEndian, toByteOffset: FrameHeader.size, as: UInt32.self) }
            feed(start, 0, FrameHeader.size + (value == nil ? 0 : 4))
        }
    }

    /// Tells the library of a window that it does not know of, so that it lets our END_STREAM pass; false while it has half a
    /// frame of the peer's.
    func openLibraryWindow(_ stream: Int32) -> Bool {
        guard !walker.owesContinuation, walker.rest == 0 || own != nil else { return false }
        feed(FrameHeader(length: 4, type: NGHTTP2_WINDOW_UPDATE, flags: 0, stream: stream), value: 65_535)
        return true
    }

    // MARK: - Our share

    /// Whether the frame is ours; what is wrong with it in any way is the library's to name.
    private func begin(_ header: FrameHeader) -> Bool {
        // The first frame is to be SETTINGS.
        guard hasSettings, !isTerminated, !walker.owesContinuation, header.length <= limits.frameSize else {
            return false
        }
        if header.isType(NGHTTP2_WINDOW_UPDATE) {
            guard header.length == 4 else { return false }
            if header.stream > 0 {
                guard let flow = streams[header.stream], role == .server || flow.pointee.hasSentHeaders else {
                    return false
                }
            }
            own = OwnFrame(kind: .windowUpdate, header: header)
            return true
        }
        guard let flow = streams[header.stream], flow.pointee.isTunnel, !flow.pointee.peerHasEnded,
            !flow.pointee.isReset, !header.isPadded || header.length > 0
        else { return false }
        var frame = OwnFrame(kind: .data, header: header, value: header.length, awaitsPadLength: header.isPadded)
        if !connectionReceiveWindow.take(header.length) {
            fail(ErrorCode.flowControlError, "DATA beyond the connection's window")
        } else if !flow.pointee.receiveWindow.take(header.length) {
            reset(header.stream, code: ErrorCode.flowControlError)
            frame.kind = .ignoredData
        }
        own = frame
        return true
    }

    private func takeOwn(_ bytes: UnsafeRawPointer, _ count: Int, _ delegate: any HTTP2Delegate) {
        guard var frame = own else { return }
        if frame.kind == .windowUpdate {
            for i in 0..<count { frame.value = frame.value << 8 | Int(bytes.load(fromByteOffset: i, as: UInt8.self)) }
            own = frame
            return
        }
        connectionReceiveWindow.release(count)
        var bytes = bytes
        var count = count
        if frame.awaitsPadLength {
            frame.awaitsPadLength = false
            frame.padding = Int(bytes.load(as: UInt8.self)) + 1
            guard frame.padding <= frame.header.length else {
                own = frame
                return fail(ErrorCode.protocolError, "DATA with more padding than payload")
            }
            frame.value -= frame.padding
            bytes += 1
            count -= 1
        }
        let data = min(count, frame.value)
        frame.value -= data
        own = frame
        // Its stream may have been closed between two pieces.
        guard data > 0, frame.kind == .data, let flow = streams[frame.header.stream], !flow.pointee.isReset else {
            return
        }
        delegate.http2Data(flow.pointee.context, bytes: bytes, count: data)
    }

    private func endOwn() {
        guard let frame = own else { return }
        own = nil
        guard failure == nil else { return }
        let header = frame.header
        guard frame.kind != .windowUpdate else { return endWindowUpdate(header, frame.value) }
        if frame.padding > 0 { consumed(header.stream, count: frame.padding) }
        if header.endsStream {
            // The library knows what the end means for the stream, and tells of it.
            feed(FrameHeader(length: 0, type: NGHTTP2_DATA, flags: header.flags & 1, stream: header.stream))
        } else if header.length == frame.padding {
            glitch("empty DATA frames")
        }
    }

    private func endWindowUpdate(_ header: FrameHeader, _ value: Int) {
        let increment = value & 0x7fff_ffff
        guard increment > 0 else { return feed(header, value: UInt32(truncatingIfNeeded: value)) }
        if increment == 1 { glitch("one-byte WINDOW_UPDATEs") }
        if header.stream == 0 {
            connectionSendWindow += increment
            if connectionSendWindow > Self.largestWindow {
                fail(ErrorCode.flowControlError, "a connection window beyond 2^31 - 1")
            }
            return
        }
        guard let flow = streams[header.stream] else { return }
        flow.pointee.sendWindow += increment
        guard flow.pointee.sendWindow <= Self.largestWindow else {
            return reset(header.stream, code: ErrorCode.flowControlError)
        }
        unblock(flow)
    }
}
