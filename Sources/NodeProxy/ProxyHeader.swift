package import MeshModel

/// Writes the PROXY protocol version 2 header that tells an application whom a tunnel's bytes come from.
package enum ProxyHeader {
    /// The TLV that carries the peer's SPIFFE identity, as Istio's node proxy and waypoints use it.
    static let identityType: UInt8 = 0xd0
    private static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

    /// A header of the PROXY command over TCP. Addresses of different families are both written as IPv6, the IPv4 one in
    /// its mapped form, which is what HAProxy does.
    package static func version2(source: SocketAddress, destination: SocketAddress, identity: SpiffeID?) -> [UInt8] {
        let isIPv4 = source.ip.isIPv4 && destination.ip.isIPv4
        var body: [UInt8] = []
        for address in [source, destination] {
            if isIPv4 {
                append(address.ip.v4Bits, to: &body)
            } else {
                append(address.ip.high, to: &body)
                append(address.ip.low, to: &body)
            }
        }
        append(source.port, to: &body)
        append(destination.port, to: &body)
        if let identity {
            let text = Array(identity.description.utf8)
            body.append(identityType)
            append(UInt16(truncatingIfNeeded: text.count), to: &body)
            body += text
        }
        var header = signature + [0x21, isIPv4 ? 0x11 : 0x21]
        append(UInt16(truncatingIfNeeded: body.count), to: &header)
        return header + body
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}
