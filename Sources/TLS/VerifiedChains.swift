internal import COpenSSL

/// The chains of peers whose signatures were checked, by the leaf's bytes.
struct VerifiedChains {
    /// Peers are a node's neighbours: hundreds. Some 6 KiB each.
    static let most = 512

    struct Key: Hashable {
        /// Ours: a leaf for servers may not be one for clients.
        private let isClient: Bool
        private let leaf: [UInt8]

        init(leaf: [UInt8], role: TLSContext.Role = .client) {
            self.leaf = leaf
            isClient = role == .client
        }

        /// - Returns: nil when memory is short.
        init?(_ certificate: OpaquePointer, role: TLSContext.Role) {
            isClient = role == .client
            let length = Int(i2d_X509(certificate, nil))
            guard length > 0 else { return nil }
            leaf = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
                var end = buffer.baseAddress
                count = max(0, Int(i2d_X509(certificate, &end)))
            }
        }
    }

    private var chains: [Key: Chain] = [:]

    var count: Int { chains.count }

    subscript(key: Key) -> Chain? { chains[key] }

    /// With no room left all are forgotten: that costs each of them one verification.
    mutating func keep(_ chain: Chain, for key: Key) {
        if chains.count >= Self.most { chains = [:] }
        chains[key] = chain
    }

    /// A verified chain, the leaf first, the root last.
    final class Chain: @unchecked Sendable {
        // Certificates are not changed any more; the library counts references atomically.
        private let stack: OpaquePointer

        /// - Returns: nil when there is none or memory is short.
        init?(_ context: OpaquePointer) {
            guard let stack = X509_STORE_CTX_get1_chain(context) else { return nil }
            self.stack = stack
        }

        deinit {
            zt_x509s_free_all(stack)
        }

        /// Whether each of its certificates is valid now, as the library judges that.
        var isValidNow: Bool {
            for index in 0..<zt_x509s_count(stack) {
                guard let certificate = zt_x509s_at(stack, index),
                    X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0,
                    X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0
                else { return false }
            }
            return true
        }

        /// Lets a verification have come to this chain; false when memory is short.
        func adopt(into context: OpaquePointer) -> Bool {
            guard let copy = X509_chain_up_ref(stack) else { return false }
            X509_STORE_CTX_set0_verified_chain(context, copy)
            X509_STORE_CTX_set_error(context, X509_V_OK)
            return true
        }
    }
}
