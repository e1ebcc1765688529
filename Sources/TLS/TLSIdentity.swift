internal import COpenSSL
internal import MeshModel

/// The certificate, chain and key that an identity presents, parsed once for both ends of a handshake.
///
/// Immutable and shared by all threads; sessions hold the parts by reference.
final class TLSIdentity: @unchecked Sendable {
    private let leaf: X509Reference
    private let chain: SharedChain
    private let key: PrivateKey

    /// - Throws: `TLSFailure` when a part is unreadable or does not fit the others, or the library finds it too weak.
    init(_ credentials: TLSCredentials, for common: TLSCommonContext) throws(TLSFailure) {
        let identity = credentials.identity
        ERR_clear_error()
        defer { ERR_clear_error() }
        let (leaf, rest) = Self.first(credentials.chainPEM)
        guard let leaf else {
            throw TLSFailure(.certificateUnavailable, "the chain of \(identity) holds no certificate")
        }
        do throws(CertificateError) {
            key = try PrivateKey.parse(credentials.keyPEM, "the key file of \(identity)")
        } catch {
            throw TLSFailure(.certificateUnavailable, "private key of \(identity): \(error)")
        }
        self.leaf = leaf
        let given = try SharedChain.of(rest)
        guard X509_check_private_key(leaf.pointer, key.pointer) == 1 else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("private key of \(identity)"))
        }
        // What a session would refuse is to show now.
        guard let trial = SSL_new(common.raw) else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("no TLS session"))
        }
        defer { SSL_free(trial) }
        guard SSL_use_cert_and_key(trial, leaf.pointer, key.pointer, given.stack, 1) == 1 else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("certificate of \(identity)"))
        }
        // A leaf alone may have its issuers among the roots.
        if given.isEmpty, let built = zt_ssl_build_chain(trial), zt_x509s_count(built) > 0 {
            chain = try SharedChain(copying: built)
        } else {
            chain = given
        }
    }

    /// Has the session present it; false, with the reason in the library's queue, when it may not.
    func present(on ssl: OpaquePointer) -> Bool {
        SSL_use_cert_and_key(ssl, leaf.pointer, key.pointer, chain.stack, 1) == 1
    }

    /// The first certificate of a PEM text, and the text behind it.
    private static func first(_ pem: [UInt8]) -> (X509Reference?, rest: [UInt8]) {
        pem.withUnsafeBytes { bytes in
            guard let bio = zt_bio_of_bytes(bytes.baseAddress, Int32(clamping: bytes.count)) else { return (nil, []) }
            defer { BIO_free(bio) }
            guard let leaf = PEM_read_bio_X509(bio, nil, { _, _, _, _ in 0 }, nil) else { return (nil, []) }
            return (X509Reference(taking: leaf), Array(pem.suffix(Int(clamping: BIO_ctrl_pending(bio)))))
        }
    }

    /// The certificates of concatenated PEM; an unreadable one ends the list.
    static func certificates(_ pem: [UInt8]) -> [X509Reference] {
        defer { ERR_clear_error() }
        return pem.withUnsafeBytes { bytes in
            guard let bio = zt_bio_of_bytes(bytes.baseAddress, Int32(clamping: bytes.count)) else { return [] }
            defer { BIO_free(bio) }
            var list: [X509Reference] = []
            while let certificate = PEM_read_bio_X509(bio, nil, { _, _, _, _ in 0 }, nil) {
                list.append(X509Reference(taking: certificate))
            }
            return list
        }
    }
}

/// The intermediate certificates above a leaf, parsed once for all leaves of one authority.
final class SharedChain: @unchecked Sendable {
    private static let shared = WeakCache<[UInt8], SharedChain>()

    private let certificates: [X509Reference]
    /// Whether nothing was given, not even a root.
    let isEmpty: Bool
    /// OpenSSL's stack of them; it does not own them. Never changed.
    let stack: OpaquePointer

    /// - Parameter pem: what follows the leaf; may be empty.
    static func of(_ pem: [UInt8]) throws(TLSFailure) -> SharedChain {
        try shared.object(pem) { () throws(TLSFailure) in try SharedChain(pem) }
    }

    private init(_ pem: [UInt8]) throws(TLSFailure) {
        guard let stack = zt_x509s_new() else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("certificate chain"))
        }
        self.stack = stack
        let all = TLSIdentity.certificates(pem)
        isEmpty = all.isEmpty
        // A root is not sent: a peer that does not have it would not trust it (RFC 8446 4.4.2), and everybody would have to
        // read it in each handshake.
        certificates = all.filter { X509_get_extension_flags($0.pointer) & UInt32(EXFLAG_SS) == 0 }
        for certificate in certificates where zt_x509s_push(stack, certificate.pointer) <= 0 {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("certificate chain"))
        }
    }

    /// - Parameter others: the library's stack; its certificates are held, it is not.
    init(copying others: OpaquePointer) throws(TLSFailure) {
        guard let stack = zt_x509s_new() else {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("certificate chain"))
        }
        self.stack = stack
        isEmpty = false
        certificates = (0..<zt_x509s_count(others)).compactMap { index in
            guard let certificate = zt_x509s_at(others, index), X509_up_ref(certificate) == 1 else { return nil }
            return X509Reference(taking: certificate)
        }
        for certificate in certificates where zt_x509s_push(stack, certificate.pointer) <= 0 {
            throw TLSFailure(.certificateUnavailable, TLSFailure.drainQueue("certificate chain"))
        }
    }

    deinit {
        zt_x509s_free(stack)
    }
}
