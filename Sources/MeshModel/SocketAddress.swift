/// An IP address with a TCP or UDP port.
package struct SocketAddress: Hashable, Sendable {
    package let ip: IPAddress
    package let port: UInt16

    package init(_ ip: IPAddress, _ port: UInt16) {
        self.ip = ip
        self.port = port
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `1.2.3.4:80` or `[2001:db8::1]:80`.
    package var description: String {
        guard ip.isIPv4 else { return "[\(ip)]:\(port)" }
        return String(unsafeUninitializedCapacity: 21) { buffer in
            var end = ip.writeV4(into: buffer)
            IPAddress.put(58, into: buffer, &end)
            IPAddress.write(UInt32(port), into: buffer, at: &end)
            return end
        }
    }

    /// Reads what ``description`` writes; nil for anything else (a missing port included).
    package init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")),
            let port = Self.port(bytes[(colon + 1)...])
        else { return nil }
        var host = bytes[..<colon]
        let bracketed = host.first == UInt8(ascii: "[") && host.last == UInt8(ascii: "]")
        if bracketed { host = host.dropFirst().dropLast() }
        guard let ip = IPAddress(utf8: host), bracketed || !host.contains(UInt8(ascii: ":")) else { return nil }
        self.init(ip, port)
    }

    /// Reads a decimal port of one to five digits, without sign or leading zero; nil when out of range or empty.
    package static func port(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard (1...5).contains(digits.count), digits.first != 48 || digits.count == 1 else { return nil }
        var value: UInt32 = 0
        for byte in digits {
            guard byte >= 48, byte <= 57 else { return nil }
            value = value * 10 + UInt32(byte - 48)
        }
        return value <= 65535 ? UInt16(value) : nil
    }
}
