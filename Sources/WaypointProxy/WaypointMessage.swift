package import AdminServer
package import MeshModel
package import TLS

/// The waypoint's identity with its TLS contexts, both roles; made once per certificate and shared by all workers.
package struct WaypointIdentity: Sendable {
    package let identity: SpiffeID
    package let client: TLSContext
    package let server: TLSContext

    /// - Throws: what the TLS library refused.
    package init(
        _ credentials: TLSCredentials, revocations: RevocationList? = nil, records: TLSRecords = .libssl
    ) throws(TLSFailure) {
        identity = credentials.identity
        client = try TLSContext(credentials, role: .client, revocations: revocations, records: records)
        server = TLSContext(client, role: .server)
    }
}

/// What a worker says of itself: the common figures, and the requests it answered.
package struct WaypointAnswer: Sendable {
    package var worker = WorkerAnswer()
    package var requests = RequestTable()
}

/// What a worker is told by other threads, through its mailbox.
enum WaypointMessage: Sendable {
    case mesh(MeshSnapshot)
    case routes(HTTPRouteTable)
    /// New credentials; nil when there are none that are valid.
    case identity(WaypointIdentity?)
    /// Other revocation lists are in force: cut the tunnels whose peer they name.
    case revoked(RevocationList)
    case ask(WorkerQuestion, @Sendable (WaypointAnswer) -> Void)
    /// Accept nothing more, let what is under way end.
    case drain
    /// End now.
    case stop
}
