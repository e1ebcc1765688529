internal import CLinux
package import EventLoop
package import MeshModel

// Called by workers, once per connection, from several threads at once: no locks, no allocation, and each enters the
// namespace for the time of one `socket` call.
extension PodSockets {
    /// How many source ports one dial tries before it gives up with EADDRNOTAVAIL.
    package static let portAttempts = 32

    /// An unconnected, non-blocking socket in the pod's namespace, marked so that capture leaves it alone.
    ///
    /// - Parameters:
    ///   - mark: ``CaptureMark/peer`` or ``CaptureMark/application``.
    ///   - borrows: whether it is to have another pod's address.
    package func openDial(ipv6: Bool, mark: UInt32 = CaptureMark.peer, borrows: Bool = false) throws(SystemError)
        -> Descriptor
    {
        let socket = try namespace.run { () throws(SystemError) in
            Descriptor(owning: try SystemError.check("socket", zt_socket_tcp(ipv6 ? 1 : 0)))
        }
        try check("setsockopt SO_MARK", zt_set_mark(socket.number, mark))
        if binding == .anyPort, borrows {
            // The lookup program lets pass what comes by lo, and the address alone would not go there: the kernel takes a
            // connection to the pod's own address for one of the interface that has it. From the pod's own address it passes
            // anyway, and the answer to that comes by the interface, where a socket bound to lo would not hear it.
            try check("setsockopt SO_BINDTODEVICE", zt_set_device(socket.number, "lo"))
        }
        _ = zt_set_nodelay(socket.number)
        return socket
    }

    /// Starts a connection towards a peer (another pod's port 15008, or a destination outside the mesh).
    ///
    /// - Returns: a socket whose connect is under way or done: wait until it is writable, then read SO_ERROR.
    package func dialPeer(at destination: SocketAddress) throws(SystemError) -> Descriptor {
        let ipv6 = !destination.ip.isIPv4
        let socket = try openDial(ipv6: ipv6)
        if keepAlive.isEnabled {
            _ = zt_set_keepalive(socket.number, keepAlive.idle, keepAlive.interval, keepAlive.probes)
        }
        try Self.connect(socket.number, to: destination, ipv6: ipv6)
        return socket
    }

    /// Starts a connection to the application in this pod that comes from the client's address.
    ///
    /// Where source and destination are of different families, or the source is nil, the application sees the pod's own
    /// address instead.
    /// - Parameter avoiding: the port that the client itself uses (0 for none), which this dial must not take.
    /// - Returns: a socket whose connect is under way or done: wait until it is writable, then read SO_ERROR.
    /// - Throws: ECONNREFUSED for a port of our own listeners; EADDRNOTAVAIL when no port is left between the two addresses, the kernel's own range included.
    package func dialApplication(
        at destination: SocketAddress, from source: IPAddress?, avoiding: UInt16 = 0,
        ports: inout SourcePortAllocator
    ) throws(SystemError) -> Descriptor {
        // Nobody but we can listen there, and a dial to ourselves would be accepted and dialled again without end.
        guard !isListener(destination.port) else { throw SystemError("connect", Self.refused) }
        let ipv6 = !destination.ip.isIPv4
        guard let source, source.isIPv4 == destination.ip.isIPv4, !source.isLoopback, !source.isUnspecified else {
            let socket = try openDial(ipv6: ipv6, mark: applicationMark)
            try Self.connect(socket.number, to: destination, ipv6: ipv6)
            return socket
        }
        var last: Int32 = 0
        for _ in 0..<Self.portAttempts {
            var port = ports.take()
            if port == avoiding { port = ports.take() }
            // A socket that is bound cannot be bound again, so each attempt has its own.
            let socket = try openDial(ipv6: ipv6, mark: applicationMark, borrows: true)
            try check("setsockopt IP_TRANSPARENT", zt_set_transparent(socket.number, ipv6 ? 1 : 0))
            try check("setsockopt SO_REUSEADDR", zt_set_reuseaddr(socket.number))
            var address = zt_address(high: source.high, low: source.low, port: port)
            last = zt_bind(socket.number, &address, ipv6 ? 1 : 0)
            if last == -Self.addressInUse { continue }
            try check("bind", last)
            last = Self.start(socket.number, to: destination, ipv6: ipv6)
            if last == -Self.addressNotAvailable || last == -Self.addressInUse { continue }
            guard last == 0 || last == -Self.inProgress else { throw SystemError("connect", -last) }
            return socket
        }
        // All of them are taken between these two addresses. The kernel's own range is the last resort: there a port may
        // meet one that the client itself uses towards the same port of the pod, which only plaintext clients do.
        let socket = try openDial(ipv6: ipv6, mark: applicationMark, borrows: true)
        try check("setsockopt IP_TRANSPARENT", zt_set_transparent(socket.number, ipv6 ? 1 : 0))
        var address = zt_address(high: source.high, low: source.low, port: 0)
        try check("bind", zt_bind(socket.number, &address, ipv6 ? 1 : 0))
        try Self.connect(socket.number, to: destination, ipv6: ipv6)
        return socket
    }

    /// Where somebody else's rules bring connections (istio-cni's), they know one mark of the node proxy's, in both directions.
    private var applicationMark: UInt32 { binding == .foreignRules ? CaptureMark.peer : CaptureMark.application }

    private static let refused: Int32 = 111
    private static let inProgress: Int32 = 115
    private static let addressInUse: Int32 = 98
    private static let addressNotAvailable: Int32 = 99

    private static func start(_ socket: Int32, to destination: SocketAddress, ipv6: Bool) -> Int32 {
        var address = zt_address(high: destination.ip.high, low: destination.ip.low, port: destination.port)
        return zt_connect(socket, &address, ipv6 ? 1 : 0)
    }

    private static func connect(_ socket: Int32, to destination: SocketAddress, ipv6: Bool) throws(SystemError) {
        let result = start(socket, to: destination, ipv6: ipv6)
        guard result == 0 || result == -inProgress else { throw SystemError("connect", -result) }
    }
}
