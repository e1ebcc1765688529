internal import COpenSSL
internal import Telemetry

/// What is revoked at the moment; one for the process, shared by all contexts and threads, replaced as a whole.
///
/// A handshake asks it while the chain is verified. Who replaces the lists asks again for every live peer afterwards:
/// the order (replace, then ask) leaves no gap, whichever thread a handshake runs on.
package final class RevocationList: Sendable {
    private let current = Lock(RevokedCertificates.none)

    package init() {}

    /// Puts other lists in force, for every handshake from now on.
    package func replace(with revoked: RevokedCertificates) {
        current.withLock { $0 = revoked }
    }

    /// Whether a certificate of the peer's chain is revoked now; a peer verified without revocation lists is not.
    package func revokes(_ peer: VerifiedPeer) -> Bool {
        guard let chain = peer.chain else { return false }
        return chain.links.contains { link in
            // Serial numbers are at most 20 bytes; the copy lives for this look-up.
            guard let serial = zt_integer(link.serial, Int32(clamping: link.serial.count)) else { return true }
            defer { ASN1_STRING_free(serial) }
            return revokes(serial, issuer: link.issuer.pointer)
        }
    }

    /// Whether a certificate of a chain, the leaf first, is revoked; the last one is the root and not asked for.
    func revokes(chain: OpaquePointer) -> Bool {
        for index in 0..<max(0, zt_x509s_count(chain) - 1) {
            let serial = X509_get_serialNumber(zt_x509s_at(chain, index))
            guard let serial, let issuer = zt_x509s_at(chain, index + 1) else { return true }
            if revokes(serial, issuer: issuer) { return true }
        }
        return false
    }

    private func revokes(_ serial: UnsafeMutablePointer<ASN1_INTEGER>, issuer: OpaquePointer) -> Bool {
        current.withLock { $0.revokes(serial, issuer: issuer) }
    }
}

/// What must be kept of a verified chain to ask later whether it is revoked.
final class VerifiedChain: @unchecked Sendable {
    /// One certificate below the root: who issued it under which number.
    struct Link {
        let serial: [UInt8]
        // Held, never changed; OpenSSL's reference counts are atomic.
        let issuer: X509Reference
    }

    let links: [Link]

    /// - Parameter chain: the library's stack, the leaf first; borrowed.
    init(_ chain: OpaquePointer) {
        var links: [Link] = []
        for index in 0..<max(0, zt_x509s_count(chain) - 1) {
            guard let serial = X509_get_serialNumber(zt_x509s_at(chain, index)),
                let issuer = zt_x509s_at(chain, index + 1), X509_up_ref(issuer) == 1
            else { continue }
            let bytes = UnsafeBufferPointer(
                start: ASN1_STRING_get0_data(serial), count: Int(ASN1_STRING_length(serial)))
            links.append(Link(serial: Array(bytes), issuer: X509Reference(taking: issuer)))
        }
        self.links = links
    }
}
