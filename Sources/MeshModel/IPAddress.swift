/// An IPv4 or IPv6 address as 128 bits in host order.
///
/// IPv4 addresses are held in their v4-mapped form (`::ffff:a.b.c.d`), so that an address read from a dual-stack socket
/// and the same address read from configuration are equal without a canonicalisation step.
package struct IPAddress: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Makes an IPv4 address from its 32 bits in host order.
    package init(v4 bits: UInt32) {
        high = 0
        low = 0xffff_0000_0000 | UInt64(bits)
    }

    /// True for an IPv4 (or v4-mapped) address.
    package var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    /// The 32 bits of an IPv4 address in host order; meaningless unless ``isIPv4``.
    package var v4Bits: UInt32 { UInt32(truncatingIfNeeded: low) }

    /// True for 169.254.0.0/16 and fe80::/10.
    package var isLinkLocal: Bool { isIPv4 ? v4Bits >> 16 == 0xa9fe : high >> 54 == 0x3fa }

    /// True for 127.0.0.0/8 and ::1.
    package var isLoopback: Bool { isIPv4 ? v4Bits >> 24 == 127 : high == 0 && low == 1 }

    /// True for 0.0.0.0 and `::`.
    package var isUnspecified: Bool { isIPv4 ? v4Bits == 0 : high == 0 && low == 0 }

    package static let loopbackV4 = IPAddress(v4: 0x7f00_0001)
    package static let loopbackV6 = IPAddress(high: 0, low: 1)
    package static let anyV4 = IPAddress(v4: 0)
    package static let anyV6 = IPAddress(high: 0, low: 0)
}

extension IPAddress: Comparable {
    package static func < (a: Self, b: Self) -> Bool { (a.high, a.low) < (b.high, b.low) }
}
