/// One identity the program holds, or wants to hold, a certificate for.
package struct CertificateStatus: Codable, Sendable, Hashable {
    /// ztunnel's words for the state of a certificate.
    package enum State: String, Codable, Sendable, CaseIterable {
        case available = "Available"
        case initializing = "Initializing"
        case unavailable = "Unavailable"
        case expired = "Expired"
    }

    /// `spiffe://…`.
    package var identity: String
    package var state: State
    /// Why there is none, or why the last renewal failed; empty otherwise.
    package var error: String
    package var notBefore: StatusTime?
    package var notAfter: StatusTime?
    /// Decimal.
    package var serialNumber: String
    package var nextRenewal: StatusTime?
    /// The leaf first, then the intermediates; absent when there is none.
    package var chain: [CertificateLink]?
    /// What peers must lead to.
    package var roots: [CertificateLink]?
    /// How many seconds this host's clock is behind the start of the chain's validity, at least; absent when it is not.
    package var clockBehindSeconds: Int64?

    package init(identity: String, state: State, error: String = "") {
        self.identity = identity
        self.state = state
        self.error = error
        serialNumber = ""
    }
}
