internal import CLinux
internal import EventLoop
internal import MeshModel

extension PodSockets {
    /// A listener's number, to be owned by the caller.
    struct Listener: ~Copyable {
        let descriptor: Descriptor
        let ipv6: Bool
    }

    /// Connections may wait in this number until a worker accepts them.
    private static let backlog: Int32 = 4096

    static func listener(
        _ port: UInt16, in namespace: NetworkNamespace, _ keepAlive: KeepAlive, _ binding: Binding
    ) throws(CaptureFailure) -> Listener {
        do throws(SystemError) {
            return try namespace.run { () throws(SystemError) in try openListener(port, keepAlive, binding) }
        } catch {
            if error.name == "EADDRINUSE" {
                throw CaptureFailure(
                    "port \(port) is taken in its network namespace by another process; stop that process or move it to "
                        + "another port (ztund needs 15001, 15006 and 15008 in every pod)")
            }
            throw CaptureFailure("listen on port \(port) in its network namespace", error)
        }
    }

    /// The mark of what a listener answers.
    ///
    /// What the kernel sends for a program's closed socket (a reset, say) carries the mark of what it answers. Where a policy route
    /// brings the pod's packets back, only ``CaptureMark/captured`` lets it reach ztund's end and not the real destination.
    private static func mark(_ port: UInt16, _ binding: Binding) -> UInt32 {
        binding == .anyPort && port == CapturePort.outbound ? CaptureMark.captured : CaptureMark.peer
    }

    private static func openListener(_ port: UInt16, _ keepAlive: KeepAlive, _ binding: Binding) throws(SystemError)
        -> Listener
    {
        do throws(SystemError) {
            return Listener(descriptor: try openListener(port, keepAlive, binding, ipv6: true), ipv6: true)
        } catch {
            guard error.name == "EAFNOSUPPORT" || error.name == "EADDRNOTAVAIL" else { throw error }
            return Listener(descriptor: try openListener(port, keepAlive, binding, ipv6: false), ipv6: false)
        }
    }

    private static func openListener(_ port: UInt16, _ keepAlive: KeepAlive, _ binding: Binding, ipv6: Bool)
        throws(SystemError) -> Descriptor
    {
        let socket = Descriptor(owning: try SystemError.check("socket", zt_socket_tcp(ipv6 ? 1 : 0)))
        let number = socket.number
        if ipv6 { try check("setsockopt IPV6_V6ONLY", zt_set_v6only(number, 0)) }
        // The next generation of ztund listens beside this one during an upgrade.
        if binding != .anyPort { try check("setsockopt SO_REUSEPORT", zt_set_reuseport(number)) }
        try check("setsockopt SO_MARK", zt_set_mark(number, mark(port, binding)))
        try check("setsockopt IP_TRANSPARENT", zt_set_transparent(number, ipv6 ? 1 : 0))
        // Accepted sockets inherit all of these, so that a worker need not set them for each.
        try check("setsockopt TCP_NODELAY", zt_set_nodelay(number))
        if port != CapturePort.tunnel, keepAlive.isEnabled {
            // Tunnels have HTTP/2 pings instead.
            try check(
                "setsockopt SO_KEEPALIVE",
                zt_set_keepalive(number, keepAlive.idle, keepAlive.interval, keepAlive.probes))
        }
        let ip = ipv6 ? IPAddress.anyV6 : IPAddress.anyV4
        var address = zt_address(high: ip.high, low: ip.low, port: binding == .anyPort ? 0 : port)
        try check("bind", zt_bind(number, &address, ipv6 ? 1 : 0))
        // What is accepted has the port that was asked for, an application's: it must not keep one from listening there that
        // allows it, as after its restart. Only now, so that our own port is nobody else's.
        if binding == .anyPort { try check("setsockopt SO_REUSEADDR", zt_set_reuseaddr(number)) }
        try check("listen", zt_listen(number, backlog))
        return socket
    }
}

/// Throws unless a `zt_` call succeeded.
func check(_ call: String, _ result: Int32) throws(SystemError) {
    _ = try SystemError.check(call, result)
}
