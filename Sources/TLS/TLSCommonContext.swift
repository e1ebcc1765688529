internal import COpenSSL
internal import MeshModel
internal import Telemetry

/// What all identities with the same roots have in common: the OpenSSL context with the protocol we speak, for both ends of a
/// handshake, and the roots.
///
/// It holds no certificate and no key: a session gets its identity's own (``TLSIdentity``). One for each content of the
/// roots, so that other roots are another context and change nothing for who keeps the old ones. TLS 1.3 only, AES-GCM suites,
/// ALPN `h2` only, mutual authentication, no resumption and no early data. Immutable and shared by all threads.
final class TLSCommonContext: @unchecked Sendable {
    private struct Key: Hashable {
        let roots: [UInt8]
        let records: TLSRecords
    }

    private static let shared = WeakCache<Key, TLSCommonContext>()

    // An SSL_CTX is reference-counted and thread-safe once configured; it is only configured in init.
    let raw: OpaquePointer
    private let verified = Lock(VerifiedChains())

    /// Key exchange groups, best first; a library that lacks the first list gets the second.
    private static let groups = ["X25519MLKEM768:X25519:P-256", "X25519:P-256"]

    /// The context for these roots.
    /// - Parameter rootsPEM: what peers must chain to; equal bytes give the same context.
    /// - Throws: `TLSFailure` naming what OpenSSL refused.
    static func of(rootsPEM: [UInt8], records: TLSRecords) throws(TLSFailure) -> TLSCommonContext {
        try shared.object(Key(roots: rootsPEM, records: records)) { () throws(TLSFailure) in
            try TLSCommonContext(rootsPEM: rootsPEM, records: records)
        }
    }

    private init(rootsPEM: [UInt8], records: TLSRecords) throws(TLSFailure) {
        ERR_clear_error()
        guard let raw = SSL_CTX_new(TLS_method()) else {
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
        try loadRoots(rootsPEM)
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
        // A server demands it, a client offers it; neither looks at the other's setting.
        zt_ctx_require_h2(raw)
        let protocols: [UInt8] = [2, 0x68, 0x32]
        guard SSL_CTX_set_alpn_protos(raw, protocols, UInt32(protocols.count)) == 0 else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("ALPN could not be set"))
        }
    }

    deinit {
        SSL_CTX_free(raw)
    }

    /// Verifies the chain that a peer of the other role presents, or finds that its leaf was verified before and that
    /// everything on its way to the root is valid still. Revocation is the caller's to ask, in either case.
    ///
    /// What a leaf is good for depends on the roots and the time alone: the same bytes need their signatures checked once.
    /// That the peer holds the key is proven in each handshake.
    func verify(_ context: OpaquePointer, role: TLSContext.Role) -> Bool {
        guard let leaf = X509_STORE_CTX_get0_cert(context), let key = VerifiedChains.Key(leaf, role: role) else {
            return false
        }
        if let chain = verified.withLock({ $0[key] }), chain.isValidNow, chain.adopt(into: context) { return true }
        guard X509_verify_cert(context) == 1 else { return false }
        if let chain = VerifiedChains.Chain(context) { verified.withLock { $0.keep(chain, for: key) } }
        return true
    }

    /// Peers whose way to a root was checked.
    var verifiedCount: Int { verified.withLock { $0.count } }

    private func loadRoots(_ pem: [UInt8]) throws(TLSFailure) {
        let roots = TLSIdentity.certificates(pem)
        guard !roots.isEmpty, let store = SSL_CTX_get_cert_store(raw) else {
            throw TLSFailure(.certificateUnavailable, "there is no root certificate")
        }
        for root in roots {
            guard X509_STORE_add_cert(store, root.pointer) == 1 else {
                throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("root certificate"))
            }
            // Named by a server that asks for the client's certificate; clients send no such list.
            SSL_CTX_add_client_CA(raw, root.pointer)
        }
    }
}
