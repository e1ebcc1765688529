internal import CNghttp2
internal import MeshModel

/// The table of C functions nghttp2 calls, and the options of every session; made once, only read afterwards.
struct HTTP2Callbacks: @unchecked Sendable {
    static let shared = HTTP2Callbacks()
    let raw: OpaquePointer?
    let option: OpaquePointer?

    private init() {
        var raw: OpaquePointer?
        nghttp2_session_callbacks_new(&raw)
        nghttp2_session_callbacks_set_send_callback(raw, Self.send)
        nghttp2_session_callbacks_set_on_frame_send_callback(raw, Self.frameSent)
        nghttp2_session_callbacks_set_on_begin_headers_callback(raw, Self.beginHeaders)
        nghttp2_session_callbacks_set_on_header_callback(raw, Self.headerField)
        nghttp2_session_callbacks_set_on_frame_recv_callback(raw, Self.frameReceived)
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(raw, Self.invalidFrame)
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw, Self.dataChunk)
        nghttp2_session_callbacks_set_on_stream_close_callback(raw, Self.streamClosed)
        self.raw = raw
        var option: OpaquePointer?
        nghttp2_option_new(&option)
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_no_closed_streams(option, 1)
        nghttp2_option_set_peer_max_concurrent_streams(option, UInt32(Limits.standard.concurrentStreams))
        nghttp2_option_set_max_outbound_ack(option, Limits.standard.pendingAnswers)
        nghttp2_option_set_max_deflate_dynamic_table_size(option, Limits.standard.encoderTableBytes)
        // Application resets are not abuse; GlitchBudget counts what is.
        nghttp2_option_set_stream_reset_rate_limit(option, 1 << 40, 1 << 40)
        self.option = option
    }

    /// The engine behind the pointer nghttp2 carries; alive while its session is.
    private static func engine<Result>(_ pointer: UnsafeMutableRawPointer?, _ body: (HTTP2Engine) -> Result) -> Result {
        Unmanaged<HTTP2Engine>.fromOpaque(pointer.unsafelyUnwrapped)._withUnsafeGuaranteedRef(body)
    }

    private static let fatal = NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
    private static let wouldBlock = NGHTTP2_ERR_WOULDBLOCK.rawValue

    // MARK: - Sending

    private static let send: nghttp2_send_callback = { _, bytes, count, _, context in
        engine(context) { engine in
            guard let out = engine.out, let bytes else { return Int(wouldBlock) }
            // The END_STREAM that `produce` has written already: the library is to know of it, and no more.
            if count == FrameHeader.size, FrameHeader(bytes).isType(NGHTTP2_DATA) { return count }
            guard count <= engine.outCapacity - engine.outCount else {
                engine.isLibraryBlocked = true
                return Int(wouldBlock)
            }
            (out + engine.outCount).copyMemory(from: bytes, byteCount: count)
            engine.outCount += count
            return count
        }
    }

    /// The source of the one empty frame that tells the library of our END_STREAM.
    static let end: nghttp2_data_source_read_callback = { _, _, _, _, flags, _, _ in
        flags?.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
        return 0
    }

    private static let frameSent: nghttp2_on_frame_send_callback = { _, frame, context in
        engine(context) { engine in
            if let frame { engine.sent(frame) }
            return 0
        }
    }

    // MARK: - Receiving

    private static let beginHeaders: nghttp2_on_begin_headers_callback = { _, _, context in
        engine(context) { engine in
            engine.header.removeAll()
            engine.headerRefused = false
            return 0
        }
    }

    private static let headerField: nghttp2_on_header_callback = {
        _, frame, name, nameCount, value, valueCount, _, context in
        engine(context) { engine in
            guard let name, let value else { return fatal }
            let size = engine.header.listSize + nameCount + valueCount + 32
            guard size <= engine.limits.headerListSize, engine.header.count < engine.limits.headerFields else {
                if !engine.headerRefused { engine.glitch("oversized header lists") }
                engine.headerRefused = true
                return engine.failure == nil ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue : fatal
            }
            engine.header.append(
                name: UnsafeBufferPointer(start: name, count: nameCount),
                bytes: UnsafeBufferPointer(start: value, count: valueCount))
            return 0
        }
    }

    private static let frameReceived: nghttp2_on_frame_recv_callback = { session, frame, context in
        engine(context) { engine in
            guard let frame else { return 0 }
            engine.received(frame, session)
            return engine.failure == nil ? 0 : fatal
        }
    }

    private static let invalidFrame: nghttp2_on_invalid_frame_recv_callback = { _, _, _, context in
        engine(context) { engine in
            engine.glitch("invalid frames")
            return engine.failure == nil ? 0 : fatal
        }
    }

    private static let dataChunk: nghttp2_on_data_chunk_recv_callback = { session, _, stream, bytes, count, context in
        engine(context) { engine in
            engine.unreturnedCredit += count
            guard let flow = engine.streams[stream], let bytes else {
                nghttp2_session_consume_stream(session, stream, count)
                return 0
            }
            engine.delegate.http2Data(flow.pointee.context, bytes: UnsafeRawPointer(bytes), count: count)
            return 0
        }
    }

    private static let streamClosed: nghttp2_on_stream_close_callback = { _, stream, code, context in
        engine(context) { engine in
            engine.closes(stream, code: code)
            return 0
        }
    }
}
