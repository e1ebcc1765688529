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
        nghttp2_session_callbacks_set_send_data_callback(raw, Self.sendData)
        nghttp2_session_callbacks_set_data_source_read_length_callback(raw, Self.readLength)
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
    private static let frameHeader = 9
    /// Below this much room a DATA frame is left for the next buffer.
    private static let smallestData = 2048

    private static func isType(_ type: UInt8, _ value: nghttp2_frame_type) -> Bool { type == UInt8(value.rawValue) }

    // MARK: - Sending

    private static let send: nghttp2_send_callback = { _, bytes, count, _, context in
        engine(context) { engine in
            guard let out = engine.out, count <= engine.outCapacity - engine.outCount, let bytes else {
                return Int(wouldBlock)
            }
            (out + engine.outCount).copyMemory(from: bytes, byteCount: count)
            engine.outCount += count
            return count
        }
    }

    private static let readLength: nghttp2_data_source_read_length_callback = {
        _, _, _, sessionWindow, streamWindow, largestFrame, _ in
        Int(min(min(sessionWindow, streamWindow), Int32(min(largestFrame, 65_527))))
    }

    /// Reads the source straight behind the place of the frame header that `sendData` fills in.
    static let pull: nghttp2_data_source_read_callback = { session, stream, _, length, flags, _, context in
        engine(context) { engine in
            let room = engine.outCapacity - engine.outCount - frameHeader
            guard let out = engine.out, room >= smallestData else { return Int(NGHTTP2_ERR_PAUSE.rawValue) }
            guard let owner = nghttp2_session_get_stream_user_data(session, stream) else {
                return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
            }
            let target = out + engine.outCount + frameHeader
            switch engine.delegate.http2Pull(owner, into: target, capacity: min(length, room)) {
            case .bytes(let count):
                flags?.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_COPY.rawValue)
                return count
            case .later:
                return Int(NGHTTP2_ERR_DEFERRED.rawValue)
            case .end:
                flags?.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_COPY.rawValue | NGHTTP2_DATA_FLAG_EOF.rawValue)
                return 0
            case .broken:
                engine.reset(stream, code: HTTP2Engine.ErrorCode.cancel)
                return Int(NGHTTP2_ERR_DEFERRED.rawValue)
            }
        }
    }

    private static let sendData: nghttp2_send_data_callback = { _, _, header, length, _, context in
        engine(context) { engine in
            guard let out = engine.out, let header, engine.outCapacity - engine.outCount >= length + frameHeader else {
                return wouldBlock
            }
            (out + engine.outCount).copyMemory(from: header, byteCount: frameHeader)
            engine.outCount += frameHeader + length
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
            guard let owner = nghttp2_session_get_stream_user_data(session, stream), let bytes else {
                nghttp2_session_consume_stream(session, stream, count)
                return 0
            }
            engine.delegate.http2Data(owner, bytes: UnsafeRawPointer(bytes), count: count)
            return 0
        }
    }

    private static let streamClosed: nghttp2_on_stream_close_callback = { session, stream, code, context in
        engine(context) { engine in
            engine.closes(stream, code: code)
            if let owner = nghttp2_session_get_stream_user_data(session, stream) {
                nghttp2_session_set_stream_user_data(session, stream, nil)
                engine.delegate.http2Closed(owner, code: code)
            }
            return 0
        }
    }
}
