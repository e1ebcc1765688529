internal import EventLoop
internal import HTTP1
internal import MeshModel

extension HTTPSession {
    private static let droppedFromResponse = HTTP1FieldSet(
        .connection, .keepAlive, .proxyConnection, .upgrade, .te, .transferEncoding, .contentLength, .connectionOption,
        .upstreamServiceTime)
    /// An answer without body keeps the length that it speaks of.
    private static let droppedFromBodiless = HTTP1FieldSet(
        .connection, .keepAlive, .proxyConnection, .upgrade, .te, .transferEncoding, .connectionOption,
        .upstreamServiceTime)

    /// A head has come from the upstream: an interim one is passed on, the final one begins the answer.
    func upstreamResponded(_ upstream: UpstreamConnection, _ head: HTTP1ResponseHead) {
        let request = parser.head
        let writer = worker.writer
        let isOld = request.minorVersion == 0
        guard !head.isInterim else {
            // 100 was ours to give; HTTP/1.0 clients know no interim answers.
            guard head.status != 100, !isOld else { return }
            writer.writeStatusLine(of: head)
            writer.writeFields(of: head.block, except: Self.droppedFromResponse)
            writer.endHead()
            return channel.send(writer)
        }
        exchange.responseStarted = true
        exchange.status = head.status
        exchange.responseBytes = UInt64(head.block.byteCount)
        var framing = head.framing
        if framing == .untilClose, !isOld { framing = .chunked }
        if framing == .chunked, isOld { framing = .untilClose }
        exchange.isChunked = framing == .chunked
        exchange.endsWithClose = framing == .untilClose
        exchange.keepsAlive = mayKeepAlive && !exchange.endsWithClose
        writer.writeStatusLine(of: head)
        let keepsLength = framing == .none && head.status != 204
        writer.writeFields(of: head.block, except: keepsLength ? Self.droppedFromBodiless : Self.droppedFromResponse)
        writer.writeFraming(framing)
        if head.block.field(.date) == nil { writer.writeField("date", worker.date) }
        if head.block.field(.server) == nil { writer.writeField("server", "ztun-waypoint") }
        writer.writeField(
            "x-envoy-upstream-service-time", decimal: (worker.loop.now &- exchange.start) / 1_000_000)
        finishHead(isOld: isOld)
        channel.send(writer)
    }

    /// Says how the connection goes on, and ends the head.
    private func finishHead(isOld: Bool) {
        if !exchange.keepsAlive {
            worker.writer.write("connection: close\r\n")
        } else if isOld {
            worker.writer.write("connection: keep-alive\r\n")
        }
        worker.writer.endHead()
    }

    /// Bytes of the answer's body.
    func upstreamSent(_ bytes: UnsafeRawPointer, _ count: Int) {
        exchange.responseBytes += UInt64(count)
        guard exchange.isChunked else { return channel.send(bytes, count) }
        worker.writer.writeChunkHead(size: count)
        channel.send(worker.writer)
        channel.send(bytes, count)
        worker.writer.write("\r\n")
        channel.send(worker.writer)
    }

    /// The answer is complete.
    func upstreamEnded(_ upstream: UpstreamConnection) {
        if exchange.isChunked {
            worker.writer.writeLastChunk()
            channel.send(worker.writer)
        }
        exchange.responseEnded = true
        if !exchange.requestEnded {
            // The rest of the request is dropped, and its upstream, which waits for it, is not used again.
            dropUpstream()
            parser.isPaused = false
            armForDiscarding()
            return feed()
        }
        completeIfDone()
    }

    // MARK: - Our own answers

    /// Answers the request ourselves where no answer has begun; cuts the client off where one has.
    func fail(_ status: UInt16, _ reason: Reason, _ detail: String) {
        exchange.reason = reason
        exchange.detail = detail
        dropUpstream()
        if exchange.responseStarted {
            worker.completed(self)
            return abort()
        }
        // A body that is still to come is not waited for.
        exchange.keepsAlive = mayKeepAlive && (exchange.requestEnded || !parser.head.framing.hasBody)
        writeReply(status, reason)
        if exchange.keepsAlive {
            completeIfDone()
        } else {
            worker.completed(self)
            beginClosing()
        }
    }

    /// Answers bytes that are not a request, and closes.
    func refuse(_ status: UInt16, _ reason: Reason, _ detail: String) {
        exchange.reason = reason
        exchange.detail = detail
        dropUpstream()
        if exchange.responseStarted {
            worker.completed(self)
            return abort()
        }
        exchange.keepsAlive = false
        writeReply(status, reason)
        worker.completed(self)
        beginClosing()
    }

    /// The same before any request was read.
    func refuseUnread(_ status: UInt16, _ reason: Reason, _ detail: String) {
        exchange = Exchange()
        exchange.start = worker.loop.now
        refuse(status, reason, detail)
    }

    private func writeReply(_ status: UInt16, _ reason: Reason) {
        let writer = worker.writer
        exchange.status = status
        exchange.responseStarted = true
        exchange.responseEnded = true
        writer.writeStatusLine(status)
        if status == 405 { writer.writeField("allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH") }
        writer.writeField("content-length", decimal: 0)
        writer.writeField("date", worker.date)
        writer.writeField("server", "ztun-waypoint")
        writer.writeField("proxy-status", ProxyStatus.value(reason))
        finishHead(isOld: parser.head.minorVersion == 0)
        channel.send(writer)
    }
}
