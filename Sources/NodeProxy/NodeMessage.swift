internal import AdminServer
internal import Capture
internal import MeshModel
internal import RoutingCore
internal import TLS

/// What a worker is told by other threads, through its mailbox.
enum NodeMessage: Sendable {
    /// A new state of the mesh.
    case snapshot(MeshSnapshot)
    /// New TLS contexts of an identity; nil when it has no valid certificate.
    case credentials(SpiffeID, IdentityContexts?)
    /// Other revocation lists are in force: cut the tunnels whose peer they name.
    case revoked(RevocationList)
    /// A pod is enrolled; ``podServed(_:)`` follows.
    case podOpened(PodLocation, PodSockets)
    /// Every worker has been told of the pod (`namespace/name`): accept its connections, again if it was yielded.
    case podServed(String)
    /// A pod left: stop, cut what is open, let go.
    case podClosed(PodLocation, Reason)
    /// An accepted connection whose tunnels this worker owns.
    case handOver(OutboundHandover)
    /// The resolver's answer to a lookup of this worker.
    case lookedUp(UInt64, Result<[IPAddress], LookupFailure>)
    /// The admin thread asks for figures.
    case ask(@Sendable (WorkerAnswer) -> Void)
    /// The same with a say in how much is told.
    case inspect(WorkerQuestion, @Sendable (WorkerAnswer) -> Void)
    /// Ask another state about what is open, and tell; nothing is cut.
    case rehearse(MeshSnapshot, @Sendable (PolicyRehearsal) -> Void)
    /// Take no new work; finish what runs.
    case drain
    /// Take apart what goes on without a tunnel, for another ztund.
    case handOverRelays(@Sendable ([InheritedRelay]) -> Void)
    /// Go on with a connection that another ztund accepted.
    case resume(InheritedRelay)
    /// Another ztund serves these pods too: accept nothing more in them.
    case yield(Set<String>)
    /// Tell how much is still to end.
    case count(@Sendable (Int) -> Void)
    /// The drain is over: cut what runs.
    case cutAll
    /// Cut everything and end.
    case stop
}

/// The TLS contexts of one identity, both roles.
struct IdentityContexts: Sendable {
    let client: TLSContext
    let server: TLSContext

    init(
        _ credentials: TLSCredentials, revocations: RevocationList? = nil, records: TLSRecords = .libssl
    ) throws(TLSFailure) {
        client = try TLSContext(credentials, role: .client, revocations: revocations, records: records)
        server = TLSContext(client, role: .server)
    }
}

/// An outbound connection on its way from the worker that accepted it to the one that owns its tunnels.
///
/// Owns the descriptor: whoever takes the message closes it.
struct OutboundHandover: Sendable {
    /// `namespace/name` of the pod.
    let pod: String
    let descriptor: Int32
    let source: SocketAddress
    let destination: SocketAddress
    let route: OutboundRoute
    /// Monotonic nanoseconds.
    let acceptedAt: UInt64
}
