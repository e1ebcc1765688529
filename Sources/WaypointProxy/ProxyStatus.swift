internal import MeshModel

/// The Proxy-Status field (RFC 9209) of our own replies: the registered error type and, as details, our reason token.
enum ProxyStatus {
    static func value(_ reason: Reason) -> String {
        "ztun-waypoint; error=\(error(reason)); details=\"\(reason.rawValue)\""
    }

    private static func error(_ reason: Reason) -> String {
        switch reason {
        case .routeNotFound, .serviceUnknown, .servicePortUnknown, .workloadUnknown, .destinationUnknown,
            .destinationMismatch:
            "destination_not_found"
        case .noHealthyUpstream, .gatewayUnknown, .waypointUnknown: "destination_unavailable"
        case .connectFailed: "connection_refused"
        case .connectTimeout, .tunnelPortBlocked, .tlsTimeout, .tunnelTimeout: "connection_timeout"
        case .reset, .peerUnresponsive, .http2Failed: "connection_terminated"
        case .tlsFailed: "tls_protocol_error"
        case .identityMismatch, .trustDomainMismatch, .certificateRevoked, .certificateUnavailable:
            "tls_certificate_error"
        case .requestInvalid, .authorityInvalid, .methodNotConnect: "http_request_error"
        case .responseInvalid: "http_protocol_error"
        case .policyDenied, .policyNotAllowed, .policyUnknown, .policyChanged, .networkPolicyDenied, .tunnelRefused:
            "http_request_denied"
        case .recursiveCall: "proxy_loop_detected"
        case .overLimit: "connection_limit_reached"
        case .peerMisbehaved, .draining, .drainDeadline, .podRemoved: "proxy_internal_response"
        }
    }
}
