package import StatusModel

/// A certificate as the configuration dump shows it: what the status says, and the PEM text; never a key.
package struct HeldCertificate: Sendable, Hashable {
    /// One certificate of a chain.
    package struct Part: Sendable, Hashable {
        /// One PEM block.
        package var pem: String
        /// Decimal.
        package var serialNumber: String
        package var validFrom: StatusTime?
        package var expirationTime: StatusTime?

        package init(
            pem: String, serialNumber: String, validFrom: StatusTime? = nil, expirationTime: StatusTime? = nil
        ) {
            self.pem = pem
            self.serialNumber = serialNumber
            self.validFrom = validFrom
            self.expirationTime = expirationTime
        }
    }

    package var status: CertificateStatus
    /// The leaf first, then the intermediates.
    package var chain: [Part]
    package var roots: [Part]

    package init(_ status: CertificateStatus, chain: [Part] = [], roots: [Part] = []) {
        self.status = status
        self.chain = chain
        self.roots = roots
        if chain.isEmpty, status.notAfter != nil {
            self.chain = [
                Part(
                    pem: "", serialNumber: status.serialNumber, validFrom: status.notBefore,
                    expirationTime: status.notAfter)
            ]
        }
    }
}
