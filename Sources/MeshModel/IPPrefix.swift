/// A CIDR range: an address and how many leading bits of it count, in the address's own family (0–32 or 0–128).
package struct IPPrefix: Hashable, Sendable {
    /// The address with all bits behind the prefix cleared.
    package let address: IPAddress
    /// The prefix length in the family of ``address``.
    package let length: Int

    /// Makes a range; nil when the length is out of range for the family.
    package init?(_ address: IPAddress, length: Int) {
        guard length >= 0, length <= (address.isIPv4 ? 32 : 128) else { return nil }
        let mask = Self.mask(address.isIPv4 ? length + 96 : length)
        self.address = IPAddress(high: address.high & mask.high, low: address.low & mask.low)
        self.length = length
    }

    /// Whether the address is of the same family and inside the range.
    package func contains(_ other: IPAddress) -> Bool {
        guard other.isIPv4 == address.isIPv4 else { return false }
        let mask = Self.mask(address.isIPv4 ? length + 96 : length)
        return other.high & mask.high == address.high && other.low & mask.low == address.low
    }

    private static func mask(_ bits: Int) -> (high: UInt64, low: UInt64) {
        let high: UInt64 = bits >= 64 ? .max : bits == 0 ? 0 : ~(.max >> UInt64(bits))
        let low: UInt64 = bits <= 64 ? 0 : bits == 128 ? .max : ~(.max >> UInt64(bits - 64))
        return (high, low)
    }
}

extension IPPrefix: CustomStringConvertible {
    package var description: String { "\(address)/\(length)" }

    /// Reads `ADDRESS/LENGTH`, or a bare address as a range of one; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first) else { return nil }
        if parts.count == 1 {
            self.init(address, length: address.isIPv4 ? 32 : 128)
            return
        }
        guard parts[1].utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let length = Int(parts[1]) else { return nil }
        self.init(address, length: length)
    }
}
