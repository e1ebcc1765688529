/// One certificate of a chain, as people look at it.
package struct CertificateLink: Codable, Sendable, Hashable {
    /// Where it stands in the chain.
    package enum Kind: String, Codable, Sendable, CaseIterable {
        case leaf = "Leaf"
        case intermediate = "Intermediate"
        case root = "Root"
    }

    package var kind: Kind
    /// RFC 2253; empty for workloads.
    package var subject: String
    package var issuer: String
    /// Decimal.
    package var serialNumber: String
    /// Lower-case hexadecimal, as openssl and authorities print it (in capitals).
    package var serialNumberHex: String
    package var notBefore: StatusTime
    package var notAfter: StatusTime

    package init(
        kind: Kind, subject: String, issuer: String, serialNumber: String, serialNumberHex: String,
        notBefore: StatusTime, notAfter: StatusTime
    ) {
        self.kind = kind
        self.subject = subject
        self.issuer = issuer
        self.serialNumber = serialNumber
        self.serialNumberHex = serialNumberHex
        self.notBefore = notBefore
        self.notAfter = notAfter
    }
}
