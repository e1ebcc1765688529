internal import CNghttp2

extension HTTP2Engine {
    /// Takes one complete, valid frame of the peer.
    func received(_ frame: UnsafePointer<nghttp2_frame>, _ session: OpaquePointer?) {
        let header = frame.pointee.hd
        let ended = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        let isAck = header.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0
        switch nghttp2_frame_type(UInt32(header.type)) {
        case NGHTTP2_DATA:
            if ended {
                tellEnd(header.stream_id)
            } else if header.length == frame.pointee.data.padlen {
                // Padding carries nothing either; its length includes the field that tells it.
                glitch("empty DATA frames")
            }
        case NGHTTP2_HEADERS:
            receivedHeaders(header.stream_id, ended: ended)
        case NGHTTP2_RST_STREAM:
            peerReset = header.stream_id
        case NGHTTP2_SETTINGS:
            if !isAck {
                glitch("SETTINGS")
                delegate.http2SettingsChanged()
            }
        case NGHTTP2_PING:
            if isAck { delegate.http2Pong() } else { glitch("PING") }
        case NGHTTP2_PRIORITY:
            glitch("PRIORITY")
        case NGHTTP2_WINDOW_UPDATE:
            if frame.pointee.window_update.window_size_increment == 1 { glitch("one-byte WINDOW_UPDATEs") }
        case NGHTTP2_GOAWAY:
            // A graceful end takes two of them.
            if peerGoingAway { glitch("GOAWAY frames") }
            peerGoingAway = true
            delegate.http2GoAway(lastStream: frame.pointee.goaway.last_stream_id, code: frame.pointee.goaway.error_code)
        default:
            break
        }
    }

    private func receivedHeaders(_ stream: Int32, ended: Bool) {
        switch role {
        case .server:
            // Trailers belong to a stream that has its request already; a CONNECT has none worth keeping.
            guard nghttp2_session_get_stream_user_data(session, stream) == nil, header.first(":method") != nil else {
                if ended { tellEnd(stream) }
                return
            }
            delegate.http2Request(stream, head: header, endStream: ended)
        case .client:
            guard let owner = nghttp2_session_get_stream_user_data(session, stream) else { return }
            if let status = header.status, status < 200 {
                glitch("interim answers")
            } else if header.status != nil {
                delegate.http2Response(owner, head: header)
            }
            if ended { tellEnd(stream) }
        }
    }

    private func tellEnd(_ stream: Int32) {
        guard let owner = nghttp2_session_get_stream_user_data(session, stream) else { return }
        delegate.http2End(owner)
    }
}
