package import HTTP2

extension TunnelConnection: HTTP2Delegate {
    private func stream<Result>(_ context: UnsafeMutableRawPointer, _ body: (TunnelStream) -> Result) -> Result {
        Unmanaged<TunnelStream>.fromOpaque(context)._withUnsafeGuaranteedRef(body)
    }

    package func http2Request(_ id: Int32, head: HeaderBlock, endStream: Bool) {
        let stream = TunnelStream(owner: self, sink: nil)
        stream.id = id
        link(stream)
        http2?.setContext(Unmanaged.passRetained(stream).toOpaque(), of: id)
        owner?.tunnelRequested(self, stream: stream, head: head, endStream: endStream)
    }

    package func http2Response(_ context: UnsafeMutableRawPointer, head: HeaderBlock) {
        stream(context) { stream in
            guard !stream.isAnswered else { return }
            stream.isAnswered = true
            stream.sink?.tunnelAnswered(status: head.status ?? 0, head: head)
        }
    }

    package func http2Data(_ context: UnsafeMutableRawPointer, bytes: UnsafeRawPointer, count: Int) {
        stream(context) { stream in
            guard stream.sink != nil else {
                http2?.consumed(stream.id, count: count)
                return
            }
            if !stream.isTouched {
                stream.isTouched = true
                // Should it be closed before the batch ends, its last reference passes to this list.
                touched.append(Unmanaged.passUnretained(stream))
            }
            stream.take(bytes, count)
        }
    }

    package func http2End(_ context: UnsafeMutableRawPointer) {
        stream(context) { stream in
            // Order matters to a sink: all data is written or kept before it hears of the end.
            if stream.isTouched { stream.flush() }
            stream.sink?.tunnelEnded()
        }
    }

    package func http2Closed(_ context: UnsafeMutableRawPointer, code: UInt32) {
        stream(context) { stream in
            if stream.isTouched { stream.flush() }
            // Whatever code it gives: without our answer there is no orderly end.
            if role == .server, stream.isUnheard { http2?.countEarlyReset() }
            close(stream, code: code, failure: nil)
        }
    }

    package func http2Pull(
        _ context: UnsafeMutableRawPointer, into buffer: UnsafeMutableRawPointer, capacity: Int
    ) -> Pull {
        stream(context) { $0.pull(into: buffer, capacity: capacity) }
    }

    package func http2GoAway(lastStream: Int32, code: UInt32) {
        isClosedToNewStreams = true
        owner?.tunnelChanged(self)
        if streamCount == 0 { endWhenWritten() }
    }

    package func http2Pong() {
        guard awaitsPong else { return }
        awaitsPong = false
        schedulePing()
    }

    package func http2SettingsChanged() {
        awaitsSettings = false
        owner?.tunnelChanged(self)
    }
}
