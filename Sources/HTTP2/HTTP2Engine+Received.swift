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
            if isAck {
                acknowledged()
            } else {
                hasSettings = true
                adoptPeerSettings()
                glitch("SETTINGS")
                delegate.http2SettingsChanged()
            }
        case NGHTTP2_PING:
            if isAck { delegate.http2Pong() } else { glitch("PING") }
        case NGHTTP2_PRIORITY:
            glitch("PRIORITY")
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
            guard streams[stream] == nil, let method = header.first(":method") else {
                if ended { tellEnd(stream) }
                return
            }
            if method.elementsEqual("CONNECT".utf8), !ended { tunnelRequest = stream }
            delegate.http2Request(stream, head: header, endStream: ended)
            tunnelRequest = 0
            if ended { streams[stream]?.pointee.peerHasEnded = true }
        case .client:
            guard let flow = streams[stream] else { return }
            if let status = header.status, status < 200 {
                glitch("interim answers")
            } else if let status = header.status {
                // An answer 204 has no content, whatever was asked; the library holds the peer to it.
                if status < 300, status != 204, !ended, !flow.pointee.isTunnel {
                    flow.pointee.receiveWindow = ReceiveWindow(size: libraryWindow(of: stream))
                    flow.pointee.isTunnel = true
                }
                delegate.http2Response(flow.pointee.context, head: header)
            }
            if ended { tellEnd(stream) }
        }
    }

    private func tellEnd(_ stream: Int32) {
        guard let flow = streams[stream] else { return }
        flow.pointee.peerHasEnded = true
        delegate.http2End(flow.pointee.context)
    }

    // MARK: - Settings

    private func adoptPeerSettings() {
        peerFrameSize = Int(nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_FRAME_SIZE))
        let window = Int(nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE))
        let change = window - peerInitialWindow
        guard change != 0 else { return }
        peerInitialWindow = window
        var isBroken = false
        streams.forEach { flow in
            flow.pointee.sendWindow += change
            if flow.pointee.sendWindow > Self.largestWindow { isBroken = true }
            unblock(flow)
        }
        if isBroken { fail(ErrorCode.flowControlError, "an initial window that lets a stream's exceed 2^31 - 1") }
    }

    /// The peer has taken our settings: the windows of all streams change as its own account of them does.
    private func acknowledged() {
        let window = initialWindow
        let change = window - acknowledgedWindow
        guard change != 0 else { return }
        acknowledgedWindow = window
        streams.forEach { flow in
            guard flow.pointee.isTunnel else { return }
            flow.pointee.receiveWindow.shift(change)
            if flow.pointee.receiveWindow.due > 0 { oweCredit(flow) }
        }
    }
}
