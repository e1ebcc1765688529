internal import COpenSSL

/// A cipher suite of TLS 1.3 as the record layer needs it.
package enum RecordSuite: UInt32, Sendable, CaseIterable {
    // The numbers of RFC 8446 B.4, as the library gives them.
    case aes128GCM = 0x0300_1301
    case aes256GCM = 0x0300_1302
    case chacha20Poly1305 = 0x0300_1303

    /// The suite that the handshake agreed on; nil when it is none of these.
    init?(_ ssl: OpaquePointer) {
        guard let cipher = SSL_get_current_cipher(ssl) else { return nil }
        self.init(rawValue: SSL_CIPHER_get_id(cipher))
    }

    /// Bytes of a key.
    var keyLength: Int { self == .aes128GCM ? 16 : 32 }

    /// The algorithms, looked up once: to fetch them for each connection takes longer than to use them.
    var algorithms: Algorithms {
        switch self {
        case .aes128GCM: Self.aes128
        case .aes256GCM: Self.aes256
        case .chacha20Poly1305: Self.chacha20
        }
    }

    /// A cipher and the hash of its key schedule; never freed.
    struct Algorithms: @unchecked Sendable {
        // Immutable; OpenSSL reads them from any thread.
        let cipher: OpaquePointer?
        let hash: OpaquePointer?

        init(cipher: String, hash: String) {
            self.cipher = EVP_CIPHER_fetch(nil, cipher, nil)
            self.hash = EVP_MD_fetch(nil, hash, nil)
        }
    }

    private static let aes128 = Algorithms(cipher: "AES-128-GCM", hash: "SHA256")
    private static let aes256 = Algorithms(cipher: "AES-256-GCM", hash: "SHA384")
    private static let chacha20 = Algorithms(cipher: "ChaCha20-Poly1305", hash: "SHA256")
}
