internal import EventLoop
internal import HBONE
internal import HTTP1
internal import MeshModel
internal import RoutingCore

extension HTTPSession: L7Fields {
    private static let droppedFromRequest = HTTP1FieldSet(
        .connection, .keepAlive, .proxyConnection, .upgrade, .te, .transferEncoding, .contentLength, .connectionOption,
        .proxyAuthenticate, .proxyAuthorization, .expect, .xEnvoy, .upstreamServiceTime, .xForwardedClientCert)
    /// The same when the target named the authority: it replaces Host.
    private static let droppedWithHost = HTTP1FieldSet(
        .connection, .keepAlive, .proxyConnection, .upgrade, .te, .transferEncoding, .contentLength, .connectionOption,
        .proxyAuthenticate, .proxyAuthorization, .expect, .xEnvoy, .upstreamServiceTime, .xForwardedClientCert, .host)

    func hasField(named name: String, where body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        parser.head.block.hasField(named: name, where: body)
    }

    // MARK: - HTTP1RequestDelegate

    func parser(_ parser: HTTP1RequestParser, didReadHead head: HTTP1RequestHead) {
        disarm()
        exchange = Exchange()
        exchange.start = worker.loop.now
        exchange.requestBytes = UInt64(head.block.byteCount)
        phase = .connecting
        switch head.method {
        case .connect, .trace: return fail(405, .requestInvalid, "the method \(head.methodText) is not served")
        case .get, .head, .post, .put, .delete, .options, .patch, .other: break
        }
        let path = head.block.withBytes(head.path) { L7Path.normalized($0) }
        exchange.path = path
        if let routes {
            guard let entry = match(head, path: path, in: routes) else {
                return fail(404, .routeNotFound, "no rule of the route matches")
            }
            exchange.route = entry
            guard let backend = HTTPRouteMatcher.backend(of: entry, random: &worker.random) else {
                return fail(503, .noHealthyUpstream, "every backend of \(entry.name) has weight 0")
            }
            exchange.backend = backend
        }
        connect()
    }

    private func match(
        _ head: HTTP1RequestHead, path: [UInt8]?, in routes: HTTPRouteTable.Routes
    ) -> HTTPRouteTable.Entry? {
        head.block.withBytes(head.methodSlice) { method in
            head.block.withBytes(head.authority) { authority in
                func find(_ path: UnsafeRawBufferPointer) -> HTTPRouteTable.Entry? {
                    let request = L7Request(method: method, authority: authority, path: path, fields: self)
                    return HTTPRouteMatcher.match(request, in: routes)
                }
                if let path { return path.withUnsafeBytes { find($0) } }
                // An absolute target without a path means the root.
                if head.path.isEmpty { return [UInt8(ascii: "/")].withUnsafeBytes { find($0) } }
                return head.block.withBytes(head.path) { find($0) }
            }
        }
    }

    func parser(_ parser: HTTP1RequestParser, didReadBody bytes: UnsafeRawPointer, count: Int) {
        exchange.requestBytes += UInt64(count)
        guard let upstream, exchange.requestSent, !exchange.responseEnded else {
            exchange.discarded += count
            if exchange.discarded > Self.discardLimit { beginClosing() }
            return
        }
        guard parser.head.framing == .chunked else { return upstream.channel.send(bytes, count) }
        worker.writer.writeChunkHead(size: count)
        upstream.channel.send(worker.writer)
        upstream.channel.send(bytes, count)
        worker.writer.write("\r\n")
        upstream.channel.send(worker.writer)
    }

    func parserDidEndRequest(_ parser: HTTP1RequestParser) {
        exchange.requestEnded = true
        if let upstream, exchange.requestSent, !exchange.responseEnded, parser.head.framing == .chunked {
            worker.writer.writeLastChunk()
            upstream.channel.send(worker.writer)
        }
        completeIfDone()
    }

    func parser(_ parser: HTTP1RequestParser, didFail failure: HTTP1Failure) {
        let isInHead = phase == .idle
        if isInHead {
            exchange = Exchange()
            exchange.start = worker.loop.now
        }
        refuse(failure.status, .requestInvalid, failure.rawValue)
    }

    // MARK: - The upstream

    /// Chooses an endpoint and takes or opens a connection to it.
    func connect() {
        exchange.attempts += 1
        let choice: L7Upstream
        do throws(RoutingCore.Refusal) {
            choice = try worker.choose(exchange.backend, called: destination, for: source, excluding: exchange.excluded)
        } catch {
            let status: UInt16 = error.reason == .networkPolicyDenied ? 403 : 503
            return fail(
                status, exchange.reason ?? error.reason, exchange.detail.isEmpty ? error.detail : exchange.detail)
        }
        exchange.choice = choice
        let key = UpstreamKey(choice)
        if let known = worker.upstreams.take(key) {
            upstream = known
            known.begin(self)
            return sendRequest(known)
        }
        // Nothing of the body is taken before the upstream stands.
        if parser.head.framing.hasBody { parser.isPaused = true }
        do throws(TunnelFailure) {
            let fresh = try worker.dial(choice, key: key)
            upstream = fresh
            fresh.begin(self)
            worker.start(fresh)
        } catch {
            upstreamFailed(nil, .connect(error))
        }
    }

    func upstreamOpened(_ upstream: UpstreamConnection) {
        sendRequest(upstream)
    }

    /// Sends the head, and lets the body follow.
    private func sendRequest(_ upstream: UpstreamConnection) {
        let head = parser.head
        let writer = worker.writer
        phase = .exchanging
        exchange.requestSent = true
        (exchange.reason, exchange.detail) = (nil, "")
        upstream.parser.expect(answerTo: head.method)
        writer.writeRequestLine(of: head, path: exchange.path)
        let hasOwnAuthority = head.path != head.target && !head.authority.isEmpty
        if hasOwnAuthority {
            writer.write("host: ")
            head.block.withBytes(head.authority) { writer.write($0) }
            writer.write("\r\n")
        } else if head.minorVersion == 0, head.block.field(.host) == nil {
            // HTTP/1.1 demands what HTTP/1.0 need not say.
            writer.writeField("host", destination.service?.fields.hostname ?? destination.address.description)
        }
        writer.writeFields(
            of: head.block, except: hasOwnAuthority ? Self.droppedWithHost : Self.droppedFromRequest)
        if head.block.field(.xForwardedProto) == nil { writer.writeField("x-forwarded-proto", "http") }
        if head.block.field(.xRequestID) == nil {
            let id = exchange.requestID ?? RequestID(&worker.random)
            exchange.requestID = id
            writer.write("x-request-id: ")
            id.write(to: writer)
            writer.write("\r\n")
        }
        writer.writeField("x-envoy-attempt-count", decimal: UInt64(exchange.attempts))
        writer.writeFraming(head.framing)
        writer.endHead()
        upstream.channel.send(writer)
        if head.expectsContinue, head.framing.hasBody {
            writer.write("HTTP/1.1 100 Continue\r\n\r\n")
            channel.send(writer)
        }
        if parser.isPaused {
            parser.isPaused = false
            feed()
        }
    }

    /// The connection failed before its response had ended.
    func upstreamFailed(_ failed: UpstreamConnection?, _ failure: UpstreamFailure) {
        if let failed, failed !== upstream { return }
        let isReused = failed?.isReused ?? false
        let isUntouched = !exchange.responseStarted
        upstream = nil
        switch failure {
        case .connect(let cause):
            exchange.reason = cause.reason
            exchange.detail = cause.description
            if let choice = exchange.choice { exchange.excluded.append(choice.workload.fields.uid) }
            let mayRetry = exchange.choice?.mayTryAnother ?? false
            guard mayRetry, cause.isWorthAnotherEndpoint, exchange.attempts < Self.attemptLimit else {
                return fail(503, cause.reason, cause.description)
            }
            connect()
        case .cut(let cause):
            // A kept connection that the far end closed while our request was on its way: nothing was done with it.
            if isReused, isUntouched, isReplayable, exchange.attempts < Self.attemptLimit { return connect() }
            fail(
                503, cause?.reason ?? .reset, cause?.description ?? "the upstream closed before its answer was complete"
            )
        case .invalid(let cause):
            fail(502, .responseInvalid, cause.rawValue)
        }
    }

    /// Whether sending the request again does no harm: it has no body, and its method promises as much.
    private var isReplayable: Bool {
        guard !parser.head.framing.hasBody else { return false }
        switch parser.head.method {
        case .get, .head, .options, .put, .delete: return true
        case .post, .patch, .connect, .trace, .other: return false
        }
    }
}
