internal import COpenSSL

/// The OpenSSL context of a client of ordinary `https` servers: whom to believe, and the client's own certificate if any.
///
/// TLS 1.2 or 1.3. Immutable once made and shared by all threads; not for tunnels, whose peers are SPIFFE identities
/// (``TLSContext``).
package final class HTTPSContext: @unchecked Sendable {
    // An SSL_CTX is reference-counted and thread-safe once configured; it is only configured in init.
    let raw: OpaquePointer

    /// - Parameters:
    ///   - roots: the authorities that may have signed the server's certificate, PEM; nil for those of the system.
    ///   - certificate: what the client presents, PEM, leaf first; nil for nothing.
    ///   - key: the leaf's private key, PEM without passphrase; needed with a certificate.
    ///   - what: names the server in errors.
    /// - Throws: ``CertificateError`` naming what cannot be used.
    package init(roots: [UInt8]?, certificate: [UInt8]?, key: [UInt8]?, what: String) throws(CertificateError) {
        ERR_clear_error()
        guard let raw = SSL_CTX_new(TLS_client_method()) else { throw CertificatePEM.outOfMemory }
        self.raw = raw
        guard zt_ctx_set_tls12_up(raw) == 1 else { throw Self.failure("TLS 1.2 is not available") }
        zt_ctx_set_modes(raw)
        SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nil)
        if let roots {
            guard let store = SSL_CTX_get_cert_store(raw) else { throw CertificatePEM.outOfMemory }
            for root in try CertificatePEM.certificates(roots, "the authority of \(what)") {
                guard X509_STORE_add_cert(store, root.pointer) == 1 else {
                    throw Self.failure("the authority of \(what) cannot be used")
                }
            }
        } else if SSL_CTX_set_default_verify_paths(raw) != 1 {
            throw Self.failure("the system's authorities cannot be read")
        }
        guard let certificate else { return }
        let chain = try CertificatePEM.certificates(certificate, "the client certificate for \(what)")
        let key = try PrivateKey.parse(key ?? [], "the client key for \(what)")
        guard key.fits(chain[0]) else { throw CertificateError("the client key for \(what) is not the certificate's") }
        guard SSL_CTX_use_certificate(raw, chain[0].pointer) == 1, SSL_CTX_use_PrivateKey(raw, key.pointer) == 1 else {
            throw Self.failure("the client certificate for \(what) cannot be used")
        }
        for link in chain.dropFirst() {
            X509_up_ref(link.pointer)
            guard zt_ctx_add_chain(raw, link.pointer) == 1 else {
                X509_free(link.pointer)
                throw CertificatePEM.outOfMemory
            }
        }
    }

    deinit {
        SSL_CTX_free(raw)
    }

    private static func failure(_ what: String) -> CertificateError {
        CertificateError("\(what): \(CertificatePEM.errorText())")
    }
}
