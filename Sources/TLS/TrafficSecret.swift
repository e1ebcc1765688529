internal import COpenSSL

/// The secret that the keys of one direction come from (RFC 8446 7.1). Its memory is overwritten when it goes.
package final class TrafficSecret {
    let raw = UnsafeMutablePointer<zt_secret>.allocate(capacity: 1)

    /// - Parameter hexadecimal: nil is returned for what is not 32 to 48 bytes in hexadecimal digits.
    package init?(hexadecimal: UnsafeBufferPointer<UInt8>) {
        raw.initialize(to: zt_secret())
        let count = hexadecimal.count / 2
        guard (32...48).contains(count), hexadecimal.count % 2 == 0 else { return nil }
        let isComplete = withUnsafeMutableBytes(of: &raw.pointee.bytes) { bytes in
            for i in 0..<count {
                guard let high = Self.digit(hexadecimal[2 * i]), let low = Self.digit(hexadecimal[2 * i + 1]) else {
                    return false
                }
                bytes[i] = high << 4 | low
            }
            return true
        }
        guard isComplete else { return nil }
        raw.pointee.count = count
    }

    deinit {
        OPENSSL_cleanse(raw, MemoryLayout<zt_secret>.size)
        raw.deallocate()
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case 0x30...0x39: character - 0x30
        case 0x41...0x46: character - 0x37
        case 0x61...0x66: character - 0x57
        default: nil
        }
    }

    /// Becomes the next generation of itself (RFC 8446 7.2); false when the library fails.
    func advance(_ suite: RecordSuite) -> Bool {
        let next = UnsafeMutablePointer<UInt8>.allocate(capacity: raw.pointee.count)
        defer {
            OPENSSL_cleanse(next, raw.pointee.count)
            next.deallocate()
        }
        guard zt_expand(suite.algorithms.hash, raw, "traffic upd", next, raw.pointee.count) == 1 else { return false }
        withUnsafeMutableBytes(of: &raw.pointee.bytes) { bytes in
            bytes.copyMemory(from: UnsafeRawBufferPointer(start: next, count: raw.pointee.count))
        }
        return true
    }
}

/// The two traffic secrets of a handshake, as the library tells them in its key log.
struct TrafficSecrets {
    private(set) var client: TrafficSecret?
    private(set) var server: TrafficSecret?

    /// Takes a line of the key log: a label, the client's random, the secret.
    mutating func take(_ line: UnsafePointer<CChar>) {
        let bytes = UnsafeRawBufferPointer(start: line, count: Self.length(line)).assumingMemoryBound(to: UInt8.self)
        guard let last = bytes.lastIndex(of: 0x20) else { return }
        let secret = UnsafeBufferPointer(rebasing: bytes[(last + 1)...])
        if Self.begins(bytes, "CLIENT_TRAFFIC_SECRET_0 ") {
            client = TrafficSecret(hexadecimal: secret)
        } else if Self.begins(bytes, "SERVER_TRAFFIC_SECRET_0 ") {
            server = TrafficSecret(hexadecimal: secret)
        }
    }

    private static func length(_ line: UnsafePointer<CChar>) -> Int {
        var count = 0
        while line[count] != 0 { count += 1 }
        return count
    }

    private static func begins(_ bytes: UnsafeBufferPointer<UInt8>, _ label: StaticString) -> Bool {
        label.withUTF8Buffer { bytes.starts(with: $0) }
    }
}
