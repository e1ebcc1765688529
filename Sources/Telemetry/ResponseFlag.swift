package import MeshModel

/// How a connection ended, in Istio's `response_flags` label.
package enum ResponseFlag: String, Sendable, CaseIterable, Hashable {
    case none = "-"
    case deny = "DENY"
    case connect = "CONNECT"
    case tlsFailure = "TLS_FAILURE"
    case http2HandshakeFailure = "H2_HANDSHAKE_FAILURE"
    case networkPolicy = "NETWORK_POLICY"
    case identityError = "IDENTITY_ERROR"
    case certificateRevoked = "CERT_REVOKED"

    /// The flag Istio's dashboards expect for a reason of ours; `CONNECT` is its word for everything else.
    package init(_ reason: Reason) {
        self =
            switch reason {
            case .policyDenied, .policyNotAllowed, .policyUnknown, .policyChanged, .workloadUnknown,
                .destinationMismatch, .destinationUnknown:
                .deny
            case .tlsFailed, .tlsTimeout, .identityMismatch, .trustDomainMismatch: .tlsFailure
            case .http2Failed: .http2HandshakeFailure
            case .tunnelPortBlocked, .networkPolicyDenied: .networkPolicy
            case .certificateUnavailable: .identityError
            case .certificateRevoked: .certificateRevoked
            default: .connect
            }
    }
}
