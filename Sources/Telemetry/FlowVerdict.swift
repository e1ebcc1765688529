package import MeshModel

/// What became of a connection.
package enum FlowVerdict: String, Sendable, CaseIterable, Hashable {
    /// It was carried; what ended it was the application's or the network's.
    case forwarded
    /// Policy or identity refused it, or cut it later.
    case refused
    /// It could not be carried, or broke on the way.
    case failed

    /// The verdict of a connection that ended for this reason; nil is an orderly end.
    package init(_ reason: Reason?) {
        switch reason {
        case nil, .reset: self = .forwarded
        case .policyDenied, .policyNotAllowed, .policyUnknown, .networkPolicyDenied, .policyChanged, .identityMismatch,
            .trustDomainMismatch, .certificateRevoked:
            self = .refused
        default: self = .failed
        }
    }
}
