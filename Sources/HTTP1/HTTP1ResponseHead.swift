/// The head of the response a parser is at; it lives in the parser and holds until the next message begins.
package final class HTTP1ResponseHead {
    package let block: HTTP1FieldBlock
    /// 100 to 599.
    package private(set) var status: UInt16 = 0
    package private(set) var reason = HTTP1Slice.empty
    /// 0 or 1, of HTTP/1.x.
    package private(set) var minorVersion: UInt8 = 1
    package private(set) var framing = HTTP1Framing.none
    /// Whether the connection can carry another request once this response has ended.
    package private(set) var keepAlive = true

    init(limits: HTTP1Limits) {
        block = HTTP1FieldBlock(limits: limits)
    }

    /// Whether this is a 1xx, after which the real response follows.
    package var isInterim: Bool { status < 200 }
    /// The first value of a field; the name in lower case.
    package func value(of name: StaticString) -> String? { block.value(of: name) }

    /// Reads the gathered bytes as the answer to a request of that method; on failure the head must not be used.
    func read(answering method: HTTP1Method) throws(HTTP1Failure) {
        try block.readFields(from: readStatusLine())
        let fields = try HTTP1FramingFields(of: block)
        let http10 = minorVersion == 0
        guard !(fields.hasTransferEncoding && http10) else { throw .transferEncodingInHTTP10 }
        keepAlive = !fields.close && (!http10 || fields.keepAlive)
        if method == .head || status < 200 || status == 204 || status == 304 {
            framing = .none
        } else if fields.hasTransferEncoding {
            framing = .chunked
        } else if let length = fields.contentLength {
            framing = .length(length)
        } else {
            framing = .untilClose
            keepAlive = false
        }
    }

    /// Reads `HTTP/1.x SP 3DIGIT [ SP [ reason ] ] CRLF`; returns where the fields start.
    private func readStatusLine() throws(HTTP1Failure) -> Int {
        let bytes = block.bytes
        let span = bytes.span
        guard span.count >= 16, span.hold("HTTP/", at: 0, end: 5), span[5].isDigit, span[6] == UInt8(ascii: "."),
            span[7].isDigit, span[8] == space
        else { throw .startLineInvalid }
        guard span[5] == 49, span[7] <= 49 else { throw .versionUnsupported }
        minorVersion = span[7] - 48
        guard span[9].isDigit, span[10].isDigit, span[11].isDigit else { throw .statusInvalid }
        status = UInt16(span[9] - 48) * 100 + UInt16(span[10] - 48) * 10 + UInt16(span[11] - 48)
        guard (100...599).contains(status) else { throw .statusInvalid }
        var at = 12
        if span[at] == space { at += 1 }
        let start = at
        while span[at].isFieldValueOctet { at += 1 }
        guard span[at] == carriageReturn, start > 12 || at == 12 else { throw .statusInvalid }
        guard span[at + 1] == lineFeed else { throw .loneCarriageReturn }
        reason = HTTP1Slice(start: start, end: at)
        return at + 2
    }
}
