package import MeshModel

/// Who may be at the other end of a TLS session.
package enum PeerExpectation: Sendable, Hashable {
    /// A client demands that the server is one of these.
    case oneOf([SpiffeID])
    /// A server demands that the client is of this trust domain.
    case trustDomain(String)

    /// Why the identity does not meet the expectation; nil when it does.
    func refusal(of identity: SpiffeID) -> TLSFailure? {
        switch self {
        case .oneOf(let wanted):
            if wanted.contains(identity) { return nil }
            let list = wanted.map(\.description).joined(separator: ", ")
            return TLSFailure(.identityMismatch, "peer did not present the expected SAN (\(list)), got \(identity)")
        case .trustDomain(let domain):
            if identity.trustDomain == domain { return nil }
            return TLSFailure(
                .trustDomainMismatch, "peer did not present the expected trustdomain (\(domain)), got \(identity)")
        }
    }
}
