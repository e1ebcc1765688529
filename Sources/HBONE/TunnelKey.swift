package import MeshModel

/// What must be equal for two application connections to share a tunnel connection.
///
/// The source is part of it, so that no tunnel is ever shared across identities or pods.
package struct TunnelKey: Hashable, Sendable {
    package let source: SpiffeID
    /// The identities of which the peer must present one.
    package let expected: [SpiffeID]
    /// The pod's address; also chooses the namespace to dial from.
    package let sourceAddress: IPAddress
    package let destination: SocketAddress

    package init(source: SpiffeID, expected: [SpiffeID], sourceAddress: IPAddress, destination: SocketAddress) {
        self.source = source
        self.expected = expected
        self.sourceAddress = sourceAddress
        self.destination = destination
    }
}
