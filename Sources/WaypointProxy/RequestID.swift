internal import HTTP1
internal import RoutingCore

/// A request id for a request that has none: a random UUID, version 4.
struct RequestID {
    private let high: UInt64
    private let low: UInt64

    init(_ random: inout RandomDraws) {
        high = random.next() & ~0xf000 | 0x4000
        low = random.next() & ~(3 << 62) | 1 << 63
    }

    var text: String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { buffer in
            fill(buffer)
            return String(decoding: buffer, as: UTF8.self)
        }
    }

    func write(to writer: HTTP1MessageWriter) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { buffer in
            fill(buffer)
            writer.write(UnsafeRawBufferPointer(buffer))
        }
    }

    private func fill(_ buffer: UnsafeMutableBufferPointer<UInt8>) {
        var at = 0
        for digit in 0..<32 {
            if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
                buffer.initializeElement(at: at, to: UInt8(ascii: "-"))
                at += 1
            }
            let word = digit < 16 ? high : low
            let value = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (digit % 16)) & 15)
            buffer.initializeElement(at: at, to: value < 10 ? 48 + value : 87 + value)
            at += 1
        }
    }
}
