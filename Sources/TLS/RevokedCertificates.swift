internal import COpenSSL
internal import MeshModel

/// The certificate revocation lists of one file: immutable once read.
///
/// A list counts for an issuer that has its name and whose key signed it; one of anybody else is no word of that
/// issuer. How old a list is does not matter: an authority that stopped publishing must not stop the mesh.
package final class RevokedCertificates: @unchecked Sendable {
    // The lists are read only while the lock of RevocationList is held.
    private let lists: [RevokedCertificatesList]

    /// How many lists there are; 0 for an empty file.
    package var count: Int { lists.count }
    /// How many serial numbers all lists name.
    package let revokedCount: Int

    /// Most lists of one file.
    private static let mostLists = Limits.standard.revocationLists

    /// Nothing is revoked.
    package static let none = RevokedCertificates([])

    private init(_ lists: [RevokedCertificatesList]) {
        self.lists = lists
        revokedCount = lists.reduce(0) { $0 + $1.revokedCount }
    }

    /// Reads lists: concatenated PEM, or one in DER; white space alone is no list.
    /// - Parameter source: names the bytes in errors, a path for instance.
    /// - Throws: ``CertificateError`` when any list is damaged.
    package convenience init(_ bytes: [UInt8], source: String) throws(CertificateError) {
        self.init(try Self.lists(bytes, source))
    }

    private static func lists(_ bytes: [UInt8], _ source: String) throws(CertificateError) -> [RevokedCertificatesList]
    {
        guard bytes.contains(where: { $0 != 32 && !(9...13).contains($0) }) else { return [] }
        ERR_clear_error()
        defer { ERR_clear_error() }
        var found: [RevokedCertificatesList] = []
        var fault: String?
        bytes.withUnsafeBytes { buffer in
            guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(clamping: buffer.count)) else {
                fault = "out of memory"
                return
            }
            defer { BIO_free(bio) }
            if bytes[0] == 0x30 {
                guard let list = d2i_X509_CRL_bio(bio, nil) else {
                    fault = CertificatePEM.errorText()
                    return
                }
                found.append(RevokedCertificatesList(taking: list))
                if BIO_ctrl_pending(bio) > 0 { fault = "there is more behind the list" }
                return
            }
            while let list = PEM_read_bio_X509_CRL(bio, nil, { _, _, _, _ in 0 }, nil) {
                found.append(RevokedCertificatesList(taking: list))
                if found.count > mostLists {
                    fault = "more than \(mostLists) lists"
                    return
                }
            }
            if ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE { fault = CertificatePEM.errorText() }
        }
        if let fault { throw CertificateError("\(source) holds a damaged certificate revocation list: \(fault)") }
        guard !found.isEmpty else {
            throw CertificateError("\(source) holds no certificate revocation list (X509 CRL, PEM or DER)")
        }
        return found
    }

    /// Whether any list of the issuer names the serial number.
    func revokes(_ serial: UnsafeMutablePointer<ASN1_INTEGER>, issuer: OpaquePointer) -> Bool {
        lists.contains { $0.revokes(serial, issuer: issuer) }
    }
}

/// One list in OpenSSL's hands. Used under a lock only: the library sorts it at the first look-up.
final class RevokedCertificatesList {
    private let pointer: OpaquePointer
    /// Which issuers, by the digest of their key, were found to have signed it or not.
    private var signers: [[UInt8]: Bool] = [:]
    let revokedCount: Int

    init(taking pointer: OpaquePointer) {
        self.pointer = pointer
        revokedCount = Int(max(0, zt_crl_revoked_count(pointer)))
    }

    deinit {
        X509_CRL_free(pointer)
    }

    func revokes(_ serial: UnsafeMutablePointer<ASN1_INTEGER>, issuer: OpaquePointer) -> Bool {
        guard X509_NAME_cmp(X509_CRL_get_issuer(pointer), X509_get_subject_name(issuer)) == 0 else { return false }
        var entry: OpaquePointer?
        // 2 is removeFromCRL: revoked once, and no more.
        guard X509_CRL_get0_by_serial(pointer, &entry, serial) == 1 else { return false }
        return isSigned(by: issuer)
    }

    private func isSigned(by issuer: OpaquePointer) -> Bool {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        guard X509_pubkey_digest(issuer, EVP_sha256(), &digest, &length) == 1 else { return false }
        digest.removeLast(digest.count - Int(length))
        if let known = signers[digest] { return known }
        let result = X509_CRL_verify(pointer, X509_get0_pubkey(issuer)) == 1
        ERR_clear_error()
        // Only certificates that chain to our roots come here, so this stays small; it is bounded all the same.
        if signers.count >= 1000 { signers.removeAll() }
        signers[digest] = result
        return result
    }
}
