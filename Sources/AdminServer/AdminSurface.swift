/// Which of the server's listeners a connection came in at.
enum AdminSurface: String, CaseIterable, Sendable {
    /// Istio's admin surface, loopback only.
    case admin
    case metrics
    case readiness
    /// The Unix socket, where commands that change state are taken.
    case control

    /// Most connections at a time. At the limit the oldest makes room for the newest, so that nobody who holds
    /// connections open can keep a readiness probe out.
    var connectionLimit: Int {
        switch self {
        case .admin, .control: 16
        case .metrics, .readiness: 64
        }
    }
}
