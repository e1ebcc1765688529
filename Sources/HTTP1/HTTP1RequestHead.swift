/// The head of the request a parser is at; it lives in the parser and holds until the next message begins.
package final class HTTP1RequestHead {
    /// The longest method accepted, in bytes.
    static let longestMethod = 32

    package let block: HTTP1FieldBlock
    package private(set) var method = HTTP1Method.other
    package private(set) var methodSlice = HTTP1Slice.empty
    /// The request target as it came.
    package private(set) var target = HTTP1Slice.empty
    /// Path and query of the target: all of it for the origin form, what follows the authority for the absolute form, and
    /// empty when an absolute form has none.
    package private(set) var path = HTTP1Slice.empty
    /// The authority asked for, of an absolute target before that of Host; empty when an HTTP/1.0 request names none.
    package private(set) var authority = HTTP1Slice.empty
    /// 0 or 1, of HTTP/1.x.
    package private(set) var minorVersion: UInt8 = 1
    package private(set) var framing = HTTP1Framing.none
    /// Whether the client will use the connection for another request.
    package private(set) var keepAlive = true
    /// Whether the client waits for a 100 before it sends the body.
    package private(set) var expectsContinue = false
    /// Whether the client asks for another protocol on this connection.
    package private(set) var upgrade = false

    init(limits: HTTP1Limits) {
        block = HTTP1FieldBlock(limits: limits)
    }

    /// The method as text.
    package var methodText: String { block.text(methodSlice) }
    /// The request target as text; it holds visible ASCII only.
    package var targetText: String { block.text(target) }
    /// The first value of a field; the name in lower case.
    package func value(of name: StaticString) -> String? { block.value(of: name) }

    /// Forgets the head.
    func clear() {
        block.clear()
        (methodSlice, target, path, authority) = (.empty, .empty, .empty, .empty)
    }

    /// Reads the gathered bytes; on failure the head must not be used.
    func read() throws(HTTP1Failure) {
        let fieldsStart = try readRequestLine()
        try block.readFields(from: fieldsStart)
        let framingFields = try HTTP1FramingFields(of: block)
        try readHost()
        let http10 = minorVersion == 0
        if framingFields.hasTransferEncoding {
            guard !http10 else { throw .transferEncodingInHTTP10 }
            framing = .chunked
        } else if let length = framingFields.contentLength {
            framing = .length(length)
        } else {
            framing = .none
        }
        keepAlive = !framingFields.close && (!http10 || framingFields.keepAlive)
        upgrade = framingFields.upgrade && !http10 && block.field(.upgrade) != nil
        expectsContinue = false
        if framing.hasBody, !http10, let expect = block.field(.expect) {
            expectsContinue = block.equals(block.fields[expect].value, "100-continue")
        }
    }

    /// Reads `method SP target SP HTTP/1.x CRLF`; returns where the fields start.
    private func readRequestLine() throws(HTTP1Failure) -> Int {
        let bytes = block.bytes
        let span = bytes.span
        var at = 0
        while span[at].isTokenOctet { at += 1 }
        guard at > 0, at <= Self.longestMethod, span[at] == space else { throw .methodInvalid }
        method = HTTP1Method.of(span, at)
        methodSlice = HTTP1Slice(start: 0, end: at)
        let start = at + 1
        at = start
        while span[at].isTargetOctet { at += 1 }
        guard at > start, span[at] == space else { throw .targetInvalid }
        target = HTTP1Slice(start: start, end: at)
        try splitTarget(span)
        at += 1
        guard at + 10 <= span.count, span.hold("HTTP/", at: at, end: at + 5), span[at + 5].isDigit,
            span[at + 6] == UInt8(ascii: "."), span[at + 7].isDigit, span[at + 8] == carriageReturn,
            span[at + 9] == lineFeed
        else { throw .startLineInvalid }
        guard span[at + 5] == 49, span[at + 7] <= 49 else { throw .versionUnsupported }
        minorVersion = span[at + 7] - 48
        return at + 10
    }

    /// Finds authority and path by the form of the target (RFC 9112, 3.2).
    private func splitTarget(_ span: borrowing Span<UInt8>) throws(HTTP1Failure) {
        authority = .empty
        let start = Int(target.start)
        let end = target.range.upperBound
        if method == .connect {
            guard Self.isAuthority(span, start, end) else { throw .targetInvalid }
            authority = target
            path = .empty
            return
        }
        if span[start] == UInt8(ascii: "/") || (method == .options && end - start == 1 && span[start] == 42) {
            path = target
            return
        }
        let prefix =
            span.holdIgnoringCase("http://", at: start, end: min(start + 7, end))
            ? 7 : span.holdIgnoringCase("https://", at: start, end: min(start + 8, end)) ? 8 : 0
        guard prefix > 0 else { throw .targetInvalid }
        var at = start + prefix
        while at < end, span[at] != UInt8(ascii: "/"), span[at] != UInt8(ascii: "?") { at += 1 }
        guard Self.isAuthority(span, start + prefix, at) else { throw .targetInvalid }
        // A query without a path would need a byte that the client did not send.
        guard at == end || span[at] == UInt8(ascii: "/") else { throw .targetInvalid }
        authority = HTTP1Slice(start: start + prefix, end: at)
        path = HTTP1Slice(start: at, end: end)
    }

    private func readHost() throws(HTTP1Failure) {
        var host: HTTP1Slice?
        if block.kinds.contains(.host) {
            for field in block.fields where field.kind == .host {
                guard host == nil else { throw .hostRepeated }
                host = field.value
            }
        }
        guard let host else {
            guard minorVersion == 0 else { throw .hostMissing }
            return
        }
        let bytes = block.bytes
        guard host.isEmpty || Self.isAuthority(bytes.span, Int(host.start), host.range.upperBound) else {
            throw .hostInvalid
        }
        if authority.isEmpty { authority = host }
    }

    private static func isAuthority(_ span: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        guard end > start else { return false }
        for i in start..<end where !span[i].isAuthorityOctet { return false }
        return true
    }
}
