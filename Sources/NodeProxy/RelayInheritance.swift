internal import HBONE
internal import MeshModel

/// A connection that is relayed without a tunnel, on its way from one ztund to the next: what the new one must know of it
/// beside its sockets.
struct RelayInheritance: Codable, Sendable {
    /// `namespace/name` of the pod.
    var pod: String
    var isInbound: Bool
    /// Addresses as text, `1.2.3.4:80`: who opened it, what it wanted, and what it was connected to.
    var source: String
    var target: String
    var destination: String
    /// Nanoseconds of the machine's monotonic clock.
    var acceptedAt: UInt64
    var downstream: PlainRelayParts.Side
    var upstream: PlainRelayParts.Side

    init(
        pod: String, isInbound: Bool, source: SocketAddress, target: SocketAddress, destination: SocketAddress,
        acceptedAt: UInt64, parts: PlainRelayParts
    ) {
        self.pod = pod
        self.isInbound = isInbound
        self.source = "\(source)"
        self.target = "\(target)"
        self.destination = "\(destination)"
        self.acceptedAt = acceptedAt
        downstream = parts.downstream
        upstream = parts.upstream
    }
}

/// A relay between two ztund, whole.
struct InheritedRelay: Sendable {
    let relay: RelayInheritance
    let parts: PlainRelayParts
}
