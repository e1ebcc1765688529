package import EventLoop
internal import Glibc
package import MeshModel

extension NetworkNamespace {
    /// The addresses of its interfaces as other pods know them: without loopback and link-local ones.
    package func addresses() throws(SystemError) -> [IPAddress] {
        try run { () throws(SystemError) in try Self.addressesHere() }
    }

    private static func addressesHere() throws(SystemError) -> [IPAddress] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { throw SystemError("getifaddrs", errno) }
        defer { freeifaddrs(first) }
        var found: [IPAddress] = []
        var entry = first
        while let current = entry {
            entry = current.pointee.ifa_next
            guard let raw = current.pointee.ifa_addr, let address = address(raw) else { continue }
            let isLinkLocal = !address.isIPv4 && address.high >> 54 == 0x3fa
            if !address.isLoopback, !isLinkLocal, !found.contains(address) { found.append(address) }
        }
        return found
    }

    private static func address(_ raw: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        switch Int32(raw.pointee.sa_family) {
        case AF_INET:
            return raw.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                IPAddress(v4: UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
            }
        case AF_INET6:
            return raw.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                withUnsafeBytes(of: address.pointee.sin6_addr) { bytes in
                    IPAddress(
                        high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                        low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
                }
            }
        default: return nil
        }
    }
}
