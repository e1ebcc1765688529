internal import COpenSSL

/// The keys of one direction and the number of the next record (RFC 8446 5.2 and 5.3).
package struct RecordProtection: ~Copyable {
    /// Bytes in front of a record.
    package static let headerLength = 5
    /// What a record is longer than its content: the type and the tag.
    package static let overhead = 1 + Int(ZT_TAG)
    /// The largest content of a record.
    static let largestContent = 16_384
    /// The largest a record may be behind its header.
    static let largestRecord = largestContent + 256

    private let suite: RecordSuite
    private let secret: TrafficSecret
    private let seals: Bool
    private var context: OpaquePointer
    private var iv = InlineArray<12, UInt8>(repeating: 0)
    /// Records under the present keys.
    private(set) var sequence: UInt64 = 0

    /// - Returns: nil when the library fails.
    package init?(_ suite: RecordSuite, secret: TrafficSecret, seals: Bool) {
        guard let (context, iv) = Self.keys(suite, secret, seals) else { return nil }
        self.suite = suite
        self.secret = secret
        self.seals = seals
        self.context = context
        self.iv = iv
    }

    deinit {
        // The library overwrites the keys.
        EVP_CIPHER_CTX_free(context)
    }

    private static func keys(
        _ suite: RecordSuite, _ secret: TrafficSecret, _ seals: Bool
    ) -> (OpaquePointer, InlineArray<12, UInt8>)? {
        let algorithms = suite.algorithms
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 44) { buffer in
            guard let key = buffer.baseAddress else { return nil }
            defer { OPENSSL_cleanse(key, 44) }
            guard algorithms.cipher != nil, algorithms.hash != nil,
                zt_expand(algorithms.hash, secret.raw, "key", key, suite.keyLength) == 1,
                zt_expand(algorithms.hash, secret.raw, "iv", key + 32, 12) == 1,
                let context = zt_aead_new(algorithms.cipher, key, seals ? 1 : 0)
            else { return nil }
            var iv = InlineArray<12, UInt8>(repeating: 0)
            for i in 0..<12 { iv[i] = key[32 + i] }
            return (context, iv)
        }
    }

    /// The next generation of keys; false when the library fails.
    package mutating func update() -> Bool {
        guard secret.advance(suite), let (context, iv) = Self.keys(suite, secret, seals) else { return false }
        EVP_CIPHER_CTX_free(self.context)
        self.context = context
        self.iv = iv
        sequence = 0
        return true
    }

    /// Writes one record of that type: `headerLength + count + overhead` bytes; false when the library fails.
    package mutating func seal(
        _ type: UInt8, _ bytes: UnsafeRawPointer?, count: Int, into out: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        let length = count + Self.overhead
        out[0] = 23
        out[1] = 3
        out[2] = 3
        out[3] = UInt8(truncatingIfNeeded: length >> 8)
        out[4] = UInt8(truncatingIfNeeded: length)
        let number = sequence
        sequence &+= 1
        let context = self.context
        return withUnsafePointer(to: &iv) { pointer in
            pointer.withMemoryRebound(to: UInt8.self, capacity: 12) {
                zt_seal(context, $0, number, out, bytes, Int32(truncatingIfNeeded: count), type, out + 5) == 1
            }
        }
    }

    /// Decrypts a record, header first; false when its tag is wrong. The output takes `count - ZT_TAG` bytes.
    mutating func open(
        _ record: UnsafePointer<UInt8>, count: Int, into out: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        let number = sequence
        sequence &+= 1
        let context = self.context
        return withUnsafePointer(to: &iv) { pointer in
            pointer.withMemoryRebound(to: UInt8.self, capacity: 12) {
                zt_open(context, $0, number, record, record + 5, Int32(truncatingIfNeeded: count), out) == 1
            }
        }
    }
}
