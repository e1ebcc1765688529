internal import COpenSSL

/// A private key in OpenSSL's hands; its bytes leave only as PEM, on request.
final class PrivateKey {
    let pointer: OpaquePointer

    private init(taking pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        EVP_PKEY_free(pointer)
    }

    /// A new key on the curve P-256.
    static func generate() throws(CertificateError) -> PrivateKey {
        ERR_clear_error()
        guard let pointer = zt_p256_generate() else {
            throw CertificateError("cannot make a private key: \(CertificatePEM.errorText())")
        }
        return PrivateKey(taking: pointer)
    }

    /// Reads a PEM key; one under a passphrase is refused, never asked for.
    /// - Parameter what: names the source in errors.
    static func parse(_ bytes: [UInt8], _ what: String) throws(CertificateError) -> PrivateKey {
        ERR_clear_error()
        let pointer = bytes.withUnsafeBytes { buffer -> OpaquePointer? in
            guard let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(clamping: buffer.count)) else { return nil }
            defer { BIO_free(bio) }
            // Without this callback the library would ask the terminal for a passphrase.
            return PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in -1 }, nil)
        }
        guard let pointer else {
            _ = CertificatePEM.errorText()
            throw CertificateError("\(what) holds no PEM private key without passphrase")
        }
        return PrivateKey(taking: pointer)
    }

    /// The key as PKCS#8 PEM.
    func pem() throws(CertificateError) -> [UInt8] {
        try CertificatePEM.written { PEM_write_bio_PrivateKey($0, pointer, nil, nil, 0, nil, nil) }
    }

    /// Whether the certificate's public key is this key's.
    func fits(_ certificate: X509Reference) -> Bool {
        let fits = X509_check_private_key(certificate.pointer, pointer) == 1
        ERR_clear_error()
        return fits
    }
}
