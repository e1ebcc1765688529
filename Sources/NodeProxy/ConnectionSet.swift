internal import AdminServer
internal import HBONE
internal import MeshModel
internal import Telemetry

/// An application connection that can be cut: element of a ``ConnectionSet``.
class SiteConnection {
    fileprivate var position = -1

    /// Ends it now, with RST towards the application.
    func cut(_ failure: TunnelFailure) {}

    /// Why a state does not let it go on, with the pod's workload in it; nil when it may.
    func refusal(in snapshot: MeshSnapshot, workload: Workload?) -> ReviewRefusal? { nil }

    /// Why the other end's node would not let it go on, as far as that can be told here.
    func farRefusal(in snapshot: MeshSnapshot) -> ReviewRefusal? { nil }

    /// Cuts it for this reason.
    func cut(_ refusal: ReviewRefusal) {}

    /// Takes it apart for another ztund and forgets it; nil for one that has to stay.
    func handOver() -> InheritedRelay? { nil }

    /// What it holds for slow readers, bytes.
    var keptBytes: Int { 0 }

    /// Adds what it has moved so far to the metrics.
    func countBytes() {}

    /// What `ztun connections` shows of it; nil when there is nothing to show. Bytes are those last counted.
    func live(now: UInt64) -> LiveConnection? { nil }

    /// What `ztun observe --open` shows of it; nil when there is nothing to show.
    func flow(now: UInt64, wall: UInt64) -> FlowRecord? { nil }
}

/// The live connections of a site, with constant-time insertion and removal.
struct ConnectionSet {
    private var members: [SiteConnection] = []

    var count: Int { members.count }

    mutating func insert(_ connection: SiteConnection) {
        guard connection.position < 0 else { return }
        connection.position = members.count
        members.append(connection)
    }

    mutating func remove(_ connection: SiteConnection) {
        let position = connection.position
        guard position >= 0 else { return }
        connection.position = -1
        let last = members.removeLast()
        if position < members.count {
            members[position] = last
            last.position = position
        }
    }

    /// The member with the largest value; nil when there is none.
    func max(by value: (SiteConnection) -> Int) -> SiteConnection? {
        members.max { value($0) < value($1) }
    }

    /// Visits those that are members now; the body may remove any.
    func forEach(_ body: (SiteConnection) -> Void) {
        let current = members
        for connection in current { body(connection) }
    }
}
