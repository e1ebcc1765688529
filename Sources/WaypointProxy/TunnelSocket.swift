internal import EventLoop
internal import MeshModel

/// Why the waypoint cannot listen: what, the cause, the next step.
struct ListenFailure: Error, CustomStringConvertible {
    let description: String
}

/// The listening socket that all workers accept from. It is bound at the start, so that a taken port ends it, and listens
/// once there is an identity to serve with: until then the kernel refuses.
enum TunnelSocket {
    static func bind(at address: SocketAddress) throws(ListenFailure) -> Descriptor {
        var address = address
        var isIPv6 = !address.ip.isIPv4
        var number = Kernel.tcpSocket(ipv6: isIPv6)
        if number < 0, isIPv6, address.ip.isUnspecified {
            // No IPv6 on this host: every address of the other family is what is meant.
            address = SocketAddress(.anyV4, address.port)
            isIPv6 = false
            number = Kernel.tcpSocket(ipv6: false)
        }
        guard number >= 0 else { throw failure(address, "socket", number) }
        let socket = Descriptor(owning: number)
        _ = Kernel.setReuseAddress(socket.number)
        if isIPv6 { _ = Kernel.setV6Only(socket.number, !address.ip.isUnspecified) }
        let bound = Kernel.bind(socket.number, address, ipv6Socket: isIPv6)
        guard bound >= 0 else { throw failure(address, "bind", bound) }
        return socket
    }

    /// Lets connections come in; may be called again.
    static func listen(_ socket: Int32, at address: SocketAddress) throws(ListenFailure) {
        let listening = Kernel.listen(socket, backlog: 4096)
        guard listening >= 0 else { throw failure(address, "listen", listening) }
    }

    private static func failure(_ address: SocketAddress, _ call: String, _ result: Int32) -> ListenFailure {
        ListenFailure(
            description: "tunnel listener \(address): \(SystemError(call, -result)); free the port, or choose another "
                + "with --address")
    }
}
