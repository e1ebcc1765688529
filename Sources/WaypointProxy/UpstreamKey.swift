internal import MeshModel
internal import RoutingCore

/// What must be equal for two requests to share an upstream connection; the waypoint's own identity is one per process.
struct UpstreamKey: Hashable {
    let address: SocketAddress
    let isTunnelled: Bool
    let expected: [SpiffeID]

    init(_ upstream: L7Upstream) {
        address = upstream.address
        isTunnelled = upstream.isTunnelled
        expected = upstream.expected
    }

    /// The address alone: it nearly always decides, and identities are long.
    func hash(into hasher: inout Hasher) {
        hasher.combine(address)
    }
}
