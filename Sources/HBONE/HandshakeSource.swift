package import MeshModel

/// Who begins handshakes, as far as that can be told before he is verified: an IPv4 address, or the /64 of an IPv6 address.
///
/// Whoever has one address of a /64 has all of them.
package struct HandshakeSource: Hashable, Sendable {
    private let high: UInt64
    private let low: UInt64

    package init(_ address: IPAddress) {
        high = address.high
        low = address.isIPv4 ? address.low : 0
    }
}
