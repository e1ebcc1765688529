/// The fields that framing or proxying gives a meaning to; every other field is ``other`` and passes through.
package enum HTTP1FieldKind: UInt8, Sendable, CaseIterable {
    case other
    case host, connection, contentLength, transferEncoding, keepAlive, proxyConnection, upgrade, te, trailer, expect
    case date, server, userAgent, xForwardedFor, xForwardedProto, xForwardedClientCert, xRequestID, proxyStatus
    case proxyAuthenticate, proxyAuthorization
    /// How long the upstream took, as the proxy before us saw it; each proxy states its own.
    case upstreamServiceTime
    /// Any other `x-envoy-…` field: they steer proxies and are not to be believed from a peer.
    case xEnvoy
    /// A field that the message's own Connection field names.
    case connectionOption

    /// Recognises a lower-cased field name.
    static func of(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> HTTP1FieldKind {
        func named(_ text: StaticString, _ kind: HTTP1FieldKind) -> HTTP1FieldKind? {
            bytes.hold(text, at: start, end: end) ? kind : nil
        }
        let known: HTTP1FieldKind? =
            switch end - start {
            case 2: named("te", .te)
            case 4: named("host", .host) ?? named("date", .date)
            case 6: named("server", .server) ?? named("expect", .expect)
            case 7: named("upgrade", .upgrade) ?? named("trailer", .trailer)
            case 10:
                named("connection", .connection) ?? named("user-agent", .userAgent) ?? named("keep-alive", .keepAlive)
            case 12: named("x-request-id", .xRequestID) ?? named("proxy-status", .proxyStatus)
            case 14: named("content-length", .contentLength)
            case 15: named("x-forwarded-for", .xForwardedFor)
            case 16: named("proxy-connection", .proxyConnection)
            case 17: named("transfer-encoding", .transferEncoding) ?? named("x-forwarded-proto", .xForwardedProto)
            case 18: named("proxy-authenticate", .proxyAuthenticate)
            case 19: named("proxy-authorization", .proxyAuthorization)
            case 23: named("x-forwarded-client-cert", .xForwardedClientCert)
            case 29: named("x-envoy-upstream-service-time", .upstreamServiceTime)
            default: nil
            }
        if let known { return known }
        guard end - start > 8, bytes.hold("x-envoy-", at: start, end: start + 8) else { return .other }
        return .xEnvoy
    }
}

/// A set of field kinds, one bit each.
package struct HTTP1FieldSet: Sendable {
    private var bits: UInt32

    package init(_ kinds: HTTP1FieldKind...) {
        bits = kinds.reduce(0) { $0 | 1 << UInt32($1.rawValue) }
    }

    mutating func insert(_ kind: HTTP1FieldKind) { bits |= 1 << UInt32(kind.rawValue) }

    /// Whether the two have a kind in common.
    func intersects(_ other: HTTP1FieldSet) -> Bool { bits & other.bits != 0 }

    package func contains(_ kind: HTTP1FieldKind) -> Bool { bits >> UInt32(kind.rawValue) & 1 == 1 }

    /// Fields that concern one connection only, so a proxy consumes them (RFC 9110, 7.6.1), and the framing fields, which
    /// the writer states itself.
    package static let hopByHop = HTTP1FieldSet(
        .connection, .keepAlive, .proxyConnection, .upgrade, .te, .transferEncoding, .contentLength, .connectionOption,
        .proxyAuthenticate, .proxyAuthorization)
}
