/// A fingerprint of bytes, to see whether they are the ones of before; means nothing outside this process.
///
/// 64 bits with a key of each process: that one of 100,000 changed texts is taken for what stood there before has a
/// probability of 10^-14. Made for speed (memory is the limit), not for what an adversary can try against it.
struct ContentHash: Hashable, Sendable {
    private let value: UInt64

    private static let key: (UInt64, UInt64, UInt64, UInt64) = {
        var random = SystemRandomNumberGenerator()
        return (random.next(), random.next(), random.next(), random.next())
    }()

    /// - Parameter bytes: read during the call only.
    init(_ bytes: UnsafeRawBufferPointer) {
        let key = Self.key
        var a = key.0 ^ UInt64(truncatingIfNeeded: bytes.count)
        var b = key.1
        var at = 0
        while bytes.count - at >= 32 {
            (a, b) = Self.step(a, b, bytes, at, key)
            at += 32
        }
        if at < bytes.count {
            // Padded with zeros: the length is in the result.
            withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { rest in
                rest.initializeMemory(as: UInt8.self, repeating: 0)
                rest.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[at...]))
                (a, b) = Self.step(a, b, UnsafeRawBufferPointer(rest), 0, key)
            }
        }
        value = Self.mix(a ^ key.2, b ^ key.3)
    }

    private static func step(
        _ a: UInt64, _ b: UInt64, _ bytes: UnsafeRawBufferPointer, _ at: Int, _ key: (UInt64, UInt64, UInt64, UInt64)
    ) -> (UInt64, UInt64) {
        func word(_ index: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: at + 8 * index, as: UInt64.self) }
        return (mix(word(0) ^ key.2, word(1) ^ a), mix(word(2) ^ key.3, word(3) ^ b))
    }

    private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }
}
