package import MeshModel

/// What one identity presents and trusts in TLS: its certificate chain, its private key and the roots of its peers.
///
/// A value without validation of its own; ``CertificateFiles`` and ``CertificateAuthority`` make only values whose key
/// fits the certificate and whose certificate carries the identity.
package struct TLSCredentials: Sendable, Hashable {
    /// The leaf first, then the intermediates, PEM.
    package var chainPEM: [UInt8]
    /// The leaf's private key, PEM (PKCS#8). Secret: never printed, never logged.
    package var keyPEM: [UInt8]
    /// The certificates peers must chain to, PEM.
    package var rootsPEM: [UInt8]
    /// The one URI SAN of the leaf.
    package var identity: SpiffeID
    /// The leaf is valid from this second of the Unix epoch on.
    package var notBefore: Int64
    /// The leaf is valid up to this second of the Unix epoch.
    package var notAfter: Int64
    /// The leaf's serial number, decimal.
    package var serial: String

    package init(
        chainPEM: [UInt8], keyPEM: [UInt8], rootsPEM: [UInt8], identity: SpiffeID, notBefore: Int64, notAfter: Int64,
        serial: String
    ) {
        self.chainPEM = chainPEM
        self.keyPEM = keyPEM
        self.rootsPEM = rootsPEM
        self.identity = identity
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.serial = serial
    }
}

extension TLSCredentials: CustomStringConvertible {
    /// The identity, serial and expiry; never the key.
    package var description: String { "\(identity) serial \(serial) until \(notAfter)" }
}
