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
        switch end - start {
        case 2: return named("te", .te) ?? .other
        case 4: return named("host", .host) ?? named("date", .date) ?? .other
        case 6: return named("server", .server) ?? named("expect", .expect) ?? .other
        case 7: return named("upgrade", .upgrade) ?? named("trailer", .trailer) ?? .other
        case 10:
            return named("connection", .connection) ?? named("user-agent", .userAgent) ?? named(
                "keep-alive", .keepAlive)
                ?? .other
        case 12: return named("x-request-id", .xRequestID) ?? named("proxy-status", .proxyStatus) ?? .other
        case 14: return named("content-length", .contentLength) ?? .other
        case 15: return named("x-forwarded-for", .xForwardedFor) ?? .other
        case 16: return named("proxy-connection", .proxyConnection) ?? .other
        case 17:
            return named("transfer-encoding", .transferEncoding) ?? named("x-forwarded-proto", .xForwardedProto)
                ?? .other
        case 18: return named("proxy-authenticate", .proxyAuthenticate) ?? .other
        case 19: return named("proxy-authorization", .proxyAuthorization) ?? .other
        case 23: if let kind = named("x-forwarded-client-cert", .xForwardedClientCert) { return kind }
        case 29: if let kind = named("x-envoy-upstream-service-time", .upstreamServiceTime) { return kind }
        default: break
        }
        guard end - start > 8, bytes.hold("x-envoy-", at: start, end: start + 8) else { return .other }
        return .xEnvoy
    }
}

/// A set of field kinds, one bit each.
package struct HTTP1FieldSet: Sendable {
    private let bits: UInt32

    package init(_ kinds: HTTP1FieldKind...) {
        bits = kinds.reduce(0) { $0 | 1 << UInt32($1.rawValue) }
    }

    package func contains(_ kind: HTTP1FieldKind) -> Bool { bits >> UInt32(kind.rawValue) & 1 == 1 }

    /// Fields that concern one connection only, so a proxy consumes them (RFC 9110, 7.6.1), and the framing fields, which
    /// the writer states itself.
    package static let hopByHop = HTTP1FieldSet(
        .connection, .keepAlive, .proxyConnection, .upgrade, .te, .transferEncoding, .contentLength, .connectionOption,
        .proxyAuthenticate, .proxyAuthorization)
}
