package import MeshModel

/// The `:authority` of a CONNECT: where the tunnel is to lead.
package enum TunnelAuthority: Hashable, Sendable {
    case address(SocketAddress)
    /// A service or workload by name; only lower-case letters, digits, `-`, `_` and inner dots, at most 253 bytes.
    case hostname(String, port: UInt16)

    package var port: UInt16 {
        switch self {
        case .address(let address): address.port
        case .hostname(_, let port): port
        }
    }
}

extension TunnelAuthority: CustomStringConvertible {
    /// `1.2.3.4:80`, `[2001:db8::1]:80` or `name:80`.
    package var description: String {
        switch self {
        case .address(let address): address.description
        case .hostname(let name, let port): "\(name):\(port)"
        }
    }
}
