internal import CNghttp2
internal import MeshModel

extension HTTP2Engine {
    /// Below this much room a DATA frame is left for the next buffer.
    private static let smallestData = 2048
    /// Larger ones would not fit behind their header into the unit of work.
    private static let largestData = 65_527

    /// Writes frames into the buffer until it is full or nothing waits; returns the bytes written. Call again while it
    /// returns more than 0. The buffer should hold at least 32 KiB.
    package func produce(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Int {
        productions &+= 1
        out = buffer
        outCount = 0
        outCapacity = capacity
        isLibraryBlocked = false
        // What the library has goes first: DATA follows its HEADERS, and no window waits behind data.
        sendLibrary()
        if !isLibraryBlocked, !isTerminated, failure == nil {
            announceCredit(buffer)
            if !ready.isEmpty, sendData(buffer) { sendLibrary() }
        }
        out = nil
        return outCount
    }

    private func sendLibrary() {
        guard isLibraryTouched else { return }
        let result = nghttp2_session_send(session)
        isLibraryTouched = isLibraryBlocked
        if result != 0, failure == nil {
            failure = HTTP2Failure(.http2Failed, String(cString: nghttp2_strerror(result)))
        }
    }

    /// The library has written a frame of its own.
    func sent(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = frame.pointee.hd
        switch nghttp2_frame_type(UInt32(header.type)) {
        case NGHTTP2_HEADERS:
            guard let flow = streams[header.stream_id] else { return }
            flow.pointee.hasSentHeaders = true
            // Each source is asked once without being resumed: what it says then is what it waits by.
            enqueue(flow)
        case NGHTTP2_GOAWAY:
            hasSaidGoAway = true
            if frame.pointee.goaway.error_code != ErrorCode.noError { isTerminated = true }
        default:
            break
        }
    }

    // MARK: - Credit

    /// Notes that the stream has credit to announce.
    func oweCredit(_ flow: StreamTable.Entry) {
        guard !flow.pointee.owesCredit else { return }
        flow.pointee.owesCredit = true
        creditors.append(flow.pointee.id)
    }

    private func announceCredit(_ out: UnsafeMutableRawPointer) {
        let size = FrameHeader.size + 4
        let due = connectionReceiveWindow.due
        if due > 0, outCapacity - outCount >= size {
            writeWindowUpdate(0, due, out)
            connectionReceiveWindow.announced(due)
        }
        while !creditors.isEmpty, outCapacity - outCount >= size {
            guard let stream = creditors.popFirst(), let flow = streams[stream] else { continue }
            flow.pointee.owesCredit = false
            let missing = flow.pointee.receiveWindow.missing
            guard missing > 0, !flow.pointee.peerHasEnded, !flow.pointee.isReset else { continue }
            writeWindowUpdate(stream, missing, out)
            flow.pointee.receiveWindow.announced(missing)
        }
    }

    private func writeWindowUpdate(_ stream: Int32, _ increment: Int, _ out: UnsafeMutableRawPointer) {
        let start = out + outCount
        FrameHeader(length: 4, type: NGHTTP2_WINDOW_UPDATE, flags: 0, stream: stream).write(to: start)
        start.storeBytes(
            of: UInt32(truncatingIfNeeded: increment).bigEndian, toByteOffset: FrameHeader.size, as: UInt32.self)
        outCount += FrameHeader.size + 4
    }

    // MARK: - Data

    /// Puts the stream behind those that wait to be asked for bytes; once its HEADERS are out.
    func enqueue(_ flow: StreamTable.Entry) {
        guard flow.pointee.hasSentHeaders, !flow.pointee.isQueued, !flow.pointee.hasEnded, !flow.pointee.isReset else {
            return
        }
        flow.pointee.isQueued = true
        ready.append(flow.pointee.id)
    }

    /// The stream's window has changed.
    func unblock(_ flow: StreamTable.Entry) {
        guard flow.pointee.isBlocked, flow.pointee.sendWindow > 0 else { return }
        flow.pointee.isBlocked = false
        enqueue(flow)
    }

    /// Asks the streams in turn, a frame each; true when the library is to hear of an end or a reset.
    private func sendData(_ out: UnsafeMutableRawPointer) -> Bool {
        let delegate = self.delegate
        var needsLibrary = false
        while connectionSendWindow > 0 {
            let room = outCapacity - outCount - FrameHeader.size
            guard room >= Self.smallestData, let stream = ready.popFirst() else { break }
            guard let flow = streams[stream] else { continue }
            flow.pointee.isQueued = false
            guard !flow.pointee.isReset, !flow.pointee.hasEnded else { continue }
            guard flow.pointee.sendWindow > 0 else {
                flow.pointee.isBlocked = true
                continue
            }
            let length = min(
                min(flow.pointee.sendWindow, connectionSendWindow), min(peerFrameSize, min(room, Self.largestData)))
            let start = out + outCount
            switch delegate.http2Pull(flow.pointee.context, into: start + FrameHeader.size, capacity: length) {
            case .bytes(let count):
                write(count, flow, start)
                enqueue(flow)
            case .last(let count):
                write(count, flow, start)
            case .later:
                break
            case .end:
                end(flow, start)
                needsLibrary = true
            case .broken:
                reset(stream, code: ErrorCode.cancel)
                needsLibrary = true
            }
            if flow.pointee.isReset { needsLibrary = true }
        }
        return needsLibrary
    }

    private func write(_ count: Int, _ flow: StreamTable.Entry, _ start: UnsafeMutableRawPointer) {
        FrameHeader(length: count, type: NGHTTP2_DATA, flags: 0, stream: flow.pointee.id).write(to: start)
        flow.pointee.sendWindow -= count
        connectionSendWindow -= count
        outCount += FrameHeader.size + count
    }

    /// Writes END_STREAM, for which no window is needed, and lets the library account for it.
    private func end(_ flow: StreamTable.Entry, _ start: UnsafeMutableRawPointer) {
        let stream = flow.pointee.id
        let flag = UInt8(NGHTTP2_FLAG_END_STREAM.rawValue)
        FrameHeader(length: 0, type: NGHTTP2_DATA, flags: flag, stream: stream).write(to: start)
        outCount += FrameHeader.size
        flow.pointee.hasEnded = true
        // Under a reset it would drop the frame; and the reset now follows the end.
        guard !flow.pointee.isReset else { return }
        if peerInitialWindow == 0, nghttp2_session_get_stream_remote_window_size(session, stream) <= 0 {
            // The library holds even an empty frame back, and never hears of the window.
            _ = openLibraryWindow(stream)
        }
        var provider = nghttp2_data_provider(source: nghttp2_data_source(), read_callback: HTTP2Callbacks.end)
        nghttp2_submit_data(touchedSession, flag, stream, &provider)
    }
}
