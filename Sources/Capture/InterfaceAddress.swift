internal import CLinux
internal import EventLoop
internal import MeshModel

/// One address of a network interface.
struct InterfaceAddress: Hashable, Sendable {
    let ip: IPAddress
    /// The index of the interface in its namespace.
    let interface: UInt32

    /// 16 bytes in network order, IPv4 in its mapped form.
    var bytes: [UInt8] { Self.bytes(of: ip) }

    static func bytes(of ip: IPAddress) -> [UInt8] {
        [ip.high, ip.low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
    }

    /// What a pod may have at most; more would be a mistake of somebody's.
    static let limit: Int32 = 64

    private init(_ found: zt_interface_address) {
        let words: (UInt64, UInt64) = withUnsafeBytes(of: found.ip) { bytes in
            (
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        ip = IPAddress(high: words.0, low: words.1)
        interface = found.interface
    }

    /// The addresses of all interfaces but lo in the calling thread's network namespace, sorted.
    static func all() throws(SystemError) -> [InterfaceAddress] {
        var found = [zt_interface_address](repeating: zt_interface_address(), count: Int(limit))
        let count = try SystemError.check("netlink", zt_interface_addresses(&found, limit))
        guard count <= limit else { throw SystemError("netlink", 7) }
        return found[..<Int(count)].map { InterfaceAddress($0) }.sorted {
            ($0.interface, $0.ip) < ($1.interface, $1.ip)
        }
    }

    /// The address that the namespace's programs usually send from; nil where there is no way to the outside.
    static func usualSource(ipv6: Bool) -> InterfaceAddress? {
        var found = zt_interface_address()
        return zt_usual_source(ipv6 ? 1 : 0, &found) == 0 ? InterfaceAddress(found) : nil
    }
}
