internal import RoutingCore

/// A request id for a request that has none: a random UUID, version 4.
enum RequestID {
    static func make(_ random: inout RandomDraws) -> String {
        let high = random.next() & ~0xf000 | 0x4000
        let low = random.next() & ~(3 << 62) | 1 << 63
        let hex = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var at = 0
            for digit in 0..<32 {
                if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
                    buffer[at] = UInt8(ascii: "-")
                    at += 1
                }
                let word = digit < 16 ? high : low
                buffer[at] = hex[Int(word >> UInt64(60 - 4 * (digit % 16)) & 15)]
                at += 1
            }
            return at
        }
    }
}
