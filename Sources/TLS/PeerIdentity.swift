internal import COpenSSL
package import MeshModel

/// Reads a workload's identity from a leaf certificate whose chain has been verified; decides nothing else.
package enum PeerIdentity {
    /// Exactly one URI SAN that is a SPIFFE identity, on a leaf that is no CA: what two readers could read differently
    /// is refused.
    static func read(_ certificate: OpaquePointer) throws(TLSFailure) -> SpiffeID {
        guard X509_get_extension_flags(certificate) & UInt32(EXFLAG_CA) == 0 else {
            throw TLSFailure(.tlsFailed, "the peer's leaf certificate is a CA certificate")
        }
        // Without a keyUsage extension every bit is set.
        guard X509_get_key_usage(certificate) & UInt32(KU_DIGITAL_SIGNATURE) != 0 else {
            throw TLSFailure(.tlsFailed, "the peer's leaf certificate is not for digital signatures")
        }
        guard let extension_ = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else {
            throw TLSFailure(.identityMismatch, "the peer's certificate has no subject alternative name")
        }
        let names = OpaquePointer(extension_)
        defer { GENERAL_NAMES_free(names) }
        var bytes: UnsafePointer<UInt8>?
        let length = zt_uri_name(names, 0, &bytes)
        guard length > 0, let bytes else {
            throw TLSFailure(.identityMismatch, "the peer's certificate has no URI SAN")
        }
        let text = String(decoding: UnsafeBufferPointer(start: bytes, count: Int(length)), as: UTF8.self)
        var second: UnsafePointer<UInt8>?
        guard zt_uri_name(names, 1, &second) < 0 else {
            throw TLSFailure(.identityMismatch, "the peer's certificate has several URI SANs")
        }
        guard let identity = SpiffeID(text) else {
            throw TLSFailure(
                .identityMismatch, "the peer's URI SAN is no SPIFFE identity: \(text.prefix(256).debugDescription)")
        }
        return identity
    }

    /// What the holder of each certificate of a PEM text would be taken for, its chain aside; nil where it would be refused.
    /// - Throws: ``CertificateError`` when the text holds none or a damaged one.
    package static func read(pem: [UInt8], source: String) throws(CertificateError) -> [SpiffeID?] {
        var identities: [SpiffeID?] = []
        for reference in try CertificatePEM.certificates(pem, source) {
            identities.append(try? read(reference.pointer))
        }
        ERR_clear_error()
        return identities
    }
}
