internal import COpenSSL
package import MeshModel

/// The OpenSSL context of one identity in one role: certificate, key, roots and the protocol we speak.
///
/// TLS 1.3 only, AES-GCM suites, ALPN `h2` only, mutual authentication, no resumption and no early data. Made once per
/// identity and certificate, never per connection; immutable afterwards and shared by all threads.
package final class TLSContext: @unchecked Sendable {
    /// Which end of the handshake the context is for.
    package enum Role: Sendable { case client, server }

    // An SSL_CTX is reference-counted and thread-safe once configured; it is only configured in init.
    let raw: OpaquePointer
    package let role: Role
    package let identity: SpiffeID
    /// What is revoked, asked in every handshake; nil when nobody looks after revocation.
    let revocations: RevocationList?
    /// Whose record layer its connections use.
    let records: TLSRecords

    /// Key exchange groups, best first; a library that lacks the first list gets the second.
    private static let groups = ["X25519MLKEM768:X25519:P-256", "X25519:P-256"]

    /// - Throws: `TLSFailure` naming what OpenSSL refused.
    package init(
        _ credentials: TLSCredentials, role: Role, revocations: RevocationList? = nil, records: TLSRecords = .libssl
    ) throws(TLSFailure) {
        self.role = role
        self.revocations = revocations
        self.records = records
        identity = credentials.identity
        ERR_clear_error()
        guard let raw = SSL_CTX_new(role == .client ? TLS_client_method() : TLS_server_method()) else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("no TLS context"))
        }
        self.raw = raw
        guard zt_ctx_set_tls13_only(raw) == 1,
            SSL_CTX_set_ciphersuites(raw, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384") == 1
        else { throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("TLS 1.3 is not available")) }
        for list in Self.groups where zt_ctx_set_groups(raw, list) == 1 { break }
        ERR_clear_error()
        zt_ctx_set_modes(raw)
        zt_ctx_set_security(raw)
        try loadChain(credentials.chainPEM)
        try loadKey(credentials.keyPEM)
        try loadRoots(credentials.rootsPEM)
        SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        zt_ctx_set_verify(raw) { session, chain in
            // The session put itself there and outlives its SSL object.
            guard let session, let chain else { return 0 }
            return Unmanaged<TLSSession>.fromOpaque(session).takeUnretainedValue().verify(chain) ? 1 : 0
        }
        SSL_CTX_set_info_callback(raw) { ssl, event, _ in
            guard let ssl, event & SSL_CB_LOOP != 0, let session = zt_ssl_session(ssl) else { return }
            Unmanaged<TLSSession>.fromOpaque(session).takeUnretainedValue().sawHandshakeStep()
        }
        if records == .own {
            zt_keylog(raw) { ssl, line in
                guard let ssl, let line, let session = zt_ssl_session(ssl) else { return }
                Unmanaged<TLSSession>.fromOpaque(session).takeUnretainedValue().sawSecret(line)
            }
        }
        switch role {
        case .server:
            zt_ctx_require_h2(raw)
        case .client:
            let protocols: [UInt8] = [2, 0x68, 0x32]
            guard SSL_CTX_set_alpn_protos(raw, protocols, UInt32(protocols.count)) == 0 else {
                throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("ALPN could not be set"))
            }
        }
    }

    deinit {
        SSL_CTX_free(raw)
    }

    private func loadChain(_ pem: [UInt8]) throws(TLSFailure) {
        let certificates = Self.certificates(pem)
        guard let leaf = certificates.first else {
            throw TLSFailure(.certificateUnavailable, "the chain of \(identity) holds no certificate")
        }
        defer { for certificate in certificates { X509_free(certificate) } }
        guard SSL_CTX_use_certificate(raw, leaf) == 1 else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("certificate of \(identity)"))
        }
        for certificate in certificates.dropFirst() {
            X509_up_ref(certificate)
            guard zt_ctx_add_chain(raw, certificate) == 1 else {
                X509_free(certificate)
                throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("chain of \(identity)"))
            }
        }
    }

    private func loadKey(_ pem: [UInt8]) throws(TLSFailure) {
        let key = pem.withUnsafeBytes { bytes -> OpaquePointer? in
            guard let bio = zt_bio_of_bytes(bytes.baseAddress, Int32(bytes.count)) else { return nil }
            defer { BIO_free(bio) }
            return PEM_read_bio_PrivateKey(bio, nil, nil, nil)
        }
        defer { EVP_PKEY_free(key) }
        guard let key, SSL_CTX_use_PrivateKey(raw, key) == 1, SSL_CTX_check_private_key(raw) == 1 else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("private key of \(identity)"))
        }
    }

    private func loadRoots(_ pem: [UInt8]) throws(TLSFailure) {
        let roots = Self.certificates(pem)
        defer { for root in roots { X509_free(root) } }
        guard !roots.isEmpty, let store = SSL_CTX_get_cert_store(raw) else {
            throw TLSFailure(.certificateUnavailable, "no root certificate for \(identity)")
        }
        for root in roots {
            guard X509_STORE_add_cert(store, root) == 1 else {
                throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("root of \(identity)"))
            }
            if role == .server { SSL_CTX_add_client_CA(raw, root) }
        }
    }

    /// The certificates of concatenated PEM, each owned by the caller; an unreadable one ends the list.
    private static func certificates(_ pem: [UInt8]) -> [OpaquePointer] {
        defer { ERR_clear_error() }
        return pem.withUnsafeBytes { bytes in
            guard let bio = zt_bio_of_bytes(bytes.baseAddress, Int32(bytes.count)) else { return [] }
            defer { BIO_free(bio) }
            var list: [OpaquePointer] = []
            while let certificate = PEM_read_bio_X509(bio, nil, nil, nil) { list.append(certificate) }
            return list
        }
    }
}
