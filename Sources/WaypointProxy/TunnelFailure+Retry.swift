internal import HBONE
internal import MeshModel

extension TunnelFailure {
    /// Whether a failed dial says something of this endpoint only. A refusal by policy or identity is an answer, not an
    /// accident: asking elsewhere would only hide it.
    var isWorthAnotherEndpoint: Bool {
        if let status { return status == 503 }
        switch reason {
        case .identityMismatch, .trustDomainMismatch, .certificateRevoked, .certificateUnavailable, .policyDenied,
            .policyNotAllowed, .policyUnknown, .networkPolicyDenied:
            return false
        default: return true
        }
    }
}
