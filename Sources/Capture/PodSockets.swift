internal import CLinux
package import EventLoop
package import MeshModel

/// What ztund holds in one pod's network namespace: three listeners, and the way to open sockets there.
///
/// Shared by all workers: each polls the listeners (exclusively) and dials from its own thread. The listeners close when the
/// last holder lets go, so a worker removes them from its loop and drops this object when the pod leaves.
package final class PodSockets: Sendable {
    /// The namespace that the sockets live in.
    package let namespace: NetworkNamespace
    /// Port 15001: connections that the pod's programs open; ``originalDestination(of:)`` says where to.
    package let outbound: Descriptor
    /// Port 15006: connections that reach the pod outside a tunnel.
    package let inbound: Descriptor
    /// Port 15008: HBONE tunnels.
    package let tunnel: Descriptor
    let keepAlive: KeepAlive
    /// Whether the listeners take IPv6 too; false where the kernel has none.
    package let acceptsIPv6: Bool
    /// How the listeners are bound.
    package enum Binding: Sendable {
        /// To 15001, 15006 and 15008 of all addresses, for rules that redirect there.
        case ports
        /// To the same ports, for rules that somebody else installs.
        case foreignRules
        /// To ports of the kernel's choice, for programs that pick the socket itself. (Not to loopback: the kernel makes a socket
        /// that is bound to `::1` one for IPv6 only.)
        case anyPort
    }
    let binding: Binding
    /// The ports that the listeners have.
    struct ListenerPorts: Sendable, Hashable {
        let outbound: UInt16
        let inbound: UInt16
        let tunnel: UInt16
    }
    let listenerPorts: ListenerPorts
    /// Tests of the pod's capture that are on their way to the listeners.
    package let canaries = CanaryRegister()
    /// Where rewritten connections wanted to go, and what they know the namespace by; nil where none are rewritten.
    private let rewritten: (connections: RewrittenConnections, pod: UInt64)?
    /// The range from which the pod's programs are given their source ports.
    package let ephemeralPorts: ClosedRange<UInt16>

    /// Opens all three, or none.
    ///
    /// - Throws: ``CaptureFailure`` that names the port and what stands in the way.
    package convenience init(
        in namespace: NetworkNamespace, keepAlive: KeepAlive = KeepAlive(), binding: Binding = .ports
    ) throws(CaptureFailure) {
        try self.init(in: namespace, keepAlive: keepAlive, binding: binding, rewritten: nil)
    }

    /// As the initialiser without it; `rewritten` knows where connections wanted to go that reach the outbound listener by its
    /// own address.
    init(
        in namespace: NetworkNamespace, keepAlive: KeepAlive, binding: Binding, rewritten: RewrittenConnections?
    ) throws(CaptureFailure) {
        let outbound = try Self.listener(CapturePort.outbound, in: namespace, keepAlive, binding)
        Self.remember(outbound.descriptor.number)
        let inbound = try Self.listener(CapturePort.inbound, in: namespace, keepAlive, binding)
        let tunnel = try Self.listener(CapturePort.tunnel, in: namespace, keepAlive, binding)
        acceptsIPv6 = outbound.ipv6 && inbound.ipv6 && tunnel.ipv6
        ephemeralPorts = PodSettings.ephemeralPorts(of: namespace)
        self.namespace = namespace
        self.keepAlive = keepAlive
        self.binding = binding
        listenerPorts = Self.ports(
            outbound.descriptor.number, inbound.descriptor.number, tunnel.descriptor.number)
        self.rewritten = try Self.join(rewritten, outbound.descriptor.number)
        self.outbound = outbound.descriptor
        self.inbound = inbound.descriptor
        self.tunnel = tunnel.descriptor
    }

    /// Takes over listeners that another ztund opened in the namespace.
    ///
    /// - Throws: ``CaptureFailure`` when they are not three, or were taken before.
    init(
        adopting listeners: DescriptorBundle, in namespace: NetworkNamespace, acceptsIPv6: Bool, keepAlive: KeepAlive,
        binding: Binding, rewritten: RewrittenConnections?
    ) throws(CaptureFailure) {
        guard listeners.open.count == 3 else { throw CaptureFailure("its listeners are not the three that are known") }
        let numbers = listeners.take()
        Self.remember(numbers[0])
        self.acceptsIPv6 = acceptsIPv6
        ephemeralPorts = PodSettings.ephemeralPorts(of: namespace)
        self.namespace = namespace
        self.keepAlive = keepAlive
        self.binding = binding
        listenerPorts = Self.ports(numbers[0], numbers[1], numbers[2])
        self.rewritten = try Self.join(rewritten, numbers[0])
        outbound = Descriptor(owning: numbers[0])
        inbound = Descriptor(owning: numbers[1])
        tunnel = Descriptor(owning: numbers[2])
    }

    /// The source ports of one worker for ``dialApplication(at:from:avoiding:ports:)``.
    package func sourcePorts(worker: Int, of workers: Int) -> SourcePortAllocator {
        SourcePortAllocator(worker: worker, of: workers, ephemeral: ephemeralPorts)
    }

    /// Where the program that opened an accepted connection wanted to go.
    ///
    /// For a connection that no rule redirected it is the listener's own address; whoever forwards must refuse
    /// ``CapturePort/isOwn(_:)``. Nil when the kernel cannot say (the connection is already gone).
    ///
    /// - Parameter client: the program's end, as it was when the connection was accepted; nil to ask the kernel.
    package func originalDestination(of connection: Int32, from client: SocketAddress? = nil) -> SocketAddress? {
        guard binding == .anyPort else { return Self.originalDestination(of: connection) }
        guard let local = Self.localAddress(of: connection) else { return nil }
        // Where rules redirect what enters the pod (``PodCapture/reconsider()``), conntrack knows.
        if local.port == listenerPorts.inbound { return Self.originalDestination(of: connection) }
        guard local.port == listenerPorts.outbound, let rewritten else { return local }
        guard let client = client ?? Kernel.peerAddress(connection) else { return nil }
        return rewritten.connections.takeDestination(from: client, at: local, pod: rewritten.pod) ?? local
    }

    private static func join(_ connections: RewrittenConnections?, _ listener: Int32) throws(CaptureFailure) -> (
        connections: RewrittenConnections, pod: UInt64
    )? {
        guard let connections else { return nil }
        return (connections, try namespaceCookie(of: listener))
    }

    /// Whether an accepted outbound connection was made to the listener itself, so that forwarding it would lead back here.
    package func isUndirected(_ connection: Int32, from source: SocketAddress, to destination: SocketAddress) -> Bool {
        switch binding {
        case .anyPort: destination.ip.isLoopback || destination.ip == source.ip
        case .ports, .foreignRules:
            CapturePort.isOwn(destination.port) && Self.localAddress(of: connection) == destination
        }
    }

    /// Whether one of our listeners has the port.
    func isListener(_ port: UInt16) -> Bool {
        port == listenerPorts.outbound || port == listenerPorts.inbound || port == listenerPorts.tunnel
    }

    private static func ports(_ outbound: Int32, _ inbound: Int32, _ tunnel: Int32) -> ListenerPorts {
        ListenerPorts(
            outbound: localAddress(of: outbound)?.port ?? 0, inbound: localAddress(of: inbound)?.port ?? 0,
            tunnel: localAddress(of: tunnel)?.port ?? 0)
    }

    private static func localAddress(of connection: Int32) -> SocketAddress? {
        var address = zt_address()
        guard zt_local_address(connection, &address) >= 0 else { return nil }
        return SocketAddress(IPAddress(high: address.high, low: address.low), address.port)
    }

    /// As the method of the same name, for listeners that rules redirect to.
    package static func originalDestination(of connection: Int32) -> SocketAddress? {
        var address = zt_address()
        if zt_original_destination(connection, &address) < 0, zt_local_address(connection, &address) < 0 { return nil }
        return SocketAddress(IPAddress(high: address.high, low: address.low), address.port)
    }
}
