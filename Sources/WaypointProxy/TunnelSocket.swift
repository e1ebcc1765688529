internal import EventLoop
internal import MeshModel

/// Why the waypoint cannot listen: what, the cause, the next step.
struct ListenFailure: Error, CustomStringConvertible {
    let description: String
}

/// The listening socket that all workers accept from.
enum TunnelSocket {
    static func listen(at address: SocketAddress) throws(ListenFailure) -> Descriptor {
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
        let listening = Kernel.listen(socket.number, backlog: 4096)
        guard listening >= 0 else { throw failure(address, "listen", listening) }
        return socket
    }

    private static func failure(_ address: SocketAddress, _ call: String, _ result: Int32) -> ListenFailure {
        ListenFailure(
            description: "tunnel listener \(address): \(SystemError(call, -result)); free the port, or choose another "
                + "with --address")
    }
}
