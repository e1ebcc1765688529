package import MeshModel

/// The files of one identity; as a flag `spiffe://TD/ns/NS/sa/SA=CERT.pem,KEY.pem`.
package struct IdentityReference: Hashable, Sendable, CustomStringConvertible {
    package let identity: SpiffeID
    package let certificatePath: String
    package let keyPath: String

    /// What the flag looks like, for errors.
    package static let form = "an identity as spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT=CERT.pem,KEY.pem"

    package init(identity: SpiffeID, certificatePath: String, keyPath: String) {
        self.identity = identity
        self.certificatePath = certificatePath
        self.keyPath = keyPath
    }

    /// Reads the flag's form; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard sides.count == 2, let identity = SpiffeID(sides[0]) else { return nil }
        let paths = sides[1].split(separator: ",", omittingEmptySubsequences: false)
        guard paths.count == 2, !paths[0].isEmpty, !paths[1].isEmpty else { return nil }
        self.init(identity: identity, certificatePath: String(paths[0]), keyPath: String(paths[1]))
    }

    package var description: String { "\(identity)=\(certificatePath),\(keyPath)" }
}
