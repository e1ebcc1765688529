/// How the end of a message's body is found (RFC 9112, 6).
package enum HTTP1Framing: Equatable, Sendable {
    /// There is no body.
    case none
    /// The body has that many bytes.
    case length(UInt64)
    /// The body comes in chunks and ends with the empty one.
    case chunked
    /// The body ends with the connection; responses only.
    case untilClose

    /// Whether bytes of a body are to come.
    package var hasBody: Bool { self != .none && self != .length(0) }
}

/// What the framing and connection fields of one head say, before the rules of requests or responses are applied.
struct HTTP1FramingFields {
    var contentLength: UInt64?
    var hasTransferEncoding = false
    var close = false
    var keepAlive = false
    var upgrade = false

    private static let kinds = HTTP1FieldSet(.contentLength, .transferEncoding, .connection)

    /// Collects them in one pass over the table and marks the fields that Connection names.
    init(of block: HTTP1FieldBlock) throws(HTTP1Failure) {
        guard block.kinds.intersects(Self.kinds) else { return }
        var options = false
        for field in block.fields {
            switch field.kind {
            case .contentLength:
                guard contentLength == nil else { throw .contentLengthRepeated }
                contentLength = try Self.length(block, field.value)
            case .transferEncoding:
                guard !hasTransferEncoding else { throw .transferEncodingRepeated }
                try Self.checkCoding(block, field.value)
                hasTransferEncoding = true
            case .connection:
                readConnection(block, field.value, &options)
            case .proxyConnection, .other, .host, .keepAlive, .upgrade, .te, .trailer, .expect, .date, .server,
                .userAgent,
                .xForwardedFor, .xForwardedProto, .xForwardedClientCert, .xRequestID, .proxyStatus, .proxyAuthenticate,
                .proxyAuthorization, .upstreamServiceTime, .xEnvoy, .connectionOption:
                continue
            }
        }
        guard contentLength == nil || !hasTransferEncoding else { throw .lengthAndTransferEncoding }
        guard options else { return }
        for field in block.fields where field.kind == .connection {
            block.forEachElement(field.value) { block.markConnectionOption(Int($0.start), $0.range.upperBound) }
        }
    }

    private mutating func readConnection(_ block: HTTP1FieldBlock, _ value: HTTP1Slice, _ options: inout Bool) {
        // Nearly every Connection field is one of these two; the list is walked only for the rest.
        if block.equals(value, "keep-alive") {
            keepAlive = true
            return
        }
        if block.equals(value, "close") {
            close = true
            return
        }
        var found = (close: false, keepAlive: false, upgrade: false, other: false)
        block.forEachElement(value) { element in
            if block.equals(element, "close") {
                found.close = true
            } else if block.equals(element, "keep-alive") {
                found.keepAlive = true
            } else if block.equals(element, "upgrade") {
                found.upgrade = true
            } else {
                found.other = true
            }
        }
        close = close || found.close
        keepAlive = keepAlive || found.keepAlive
        upgrade = upgrade || found.upgrade
        options = options || found.other
    }

    /// `1*DIGIT` and nothing else: no sign, no list, no blank; at most 18 digits, so that sums never overflow.
    private static func length(_ block: HTTP1FieldBlock, _ value: HTTP1Slice) throws(HTTP1Failure) -> UInt64 {
        guard value.count > 0, value.count <= 18 else { throw .contentLengthInvalid }
        var length: UInt64 = 0
        for i in value.range {
            let byte = block.bytes[i]
            guard byte.isDigit else { throw .contentLengthInvalid }
            length = length * 10 + UInt64(byte - 48)
        }
        return length
    }

    /// Only `chunked` is spoken; what merely contains the word is an attempt to make two readers disagree.
    private static func checkCoding(_ block: HTTP1FieldBlock, _ value: HTTP1Slice) throws(HTTP1Failure) {
        if block.equals(value, "chunked") { return }
        let bytes = block.bytes
        let span = bytes.span
        let end = value.range.upperBound
        var at = Int(value.start)
        while at + 7 <= end {
            if span.holdIgnoringCase("chunked", at: at, end: at + 7) { throw .transferEncodingInvalid }
            at += 1
        }
        throw value.isEmpty ? .transferEncodingInvalid : .transferEncodingUnsupported
    }
}
