internal import EventLoop
internal import HTTP2
internal import MeshModel

/// The handshakes of one worker, in turns between its pods.
///
/// A step of a handshake is up to a millisecond of public-key work in which nobody else is served. So a turn of the loop
/// has room for a few, at most one of them for each pod, and those that wait are taken pod by pod: a storm at one pod delays
/// its own.
final class HandshakeQueue: EventHandler {
    private static let stepsPerTurn = Limits.standard.handshakeStepsPerTurn
    private var ring: [FairShare] = []
    private var turn: UInt64 = .max
    private var taken = 0
    private var census: HandshakeCensus<TunnelConnection>

    /// - Parameter limit: handshakes of strangers that may be under way at a time.
    init(limit: Int) {
        census = HandshakeCensus(limit: limit)
    }

    /// Whether the connection may take a step now; if not, it is called when it may.
    func admits(_ connection: TunnelConnection) -> Bool {
        let share = connection.share
        let now = share.loop.turns
        if ring.isEmpty, hasRoom(now), share.handshakeTurn != now {
            take(share, now)
            return true
        }
        if !connection.awaitsHandshakeTurn {
            connection.awaitsHandshakeTurn = true
            if share.waitingHandshakes.isEmpty { ring.append(share) }
            share.waitingHandshakes.append(connection)
            share.loop.mark(self)
        }
        return false
    }

    /// A stranger's handshake gets its session now; returns the one to give up for it when that is one too many.
    func began(_ connection: TunnelConnection) -> TunnelConnection? {
        census.began(connection, from: HandshakeSource(connection.remote.ip))
    }

    /// The handshake is over, well or badly; those of clients are not counted.
    func ended(_ connection: TunnelConnection) {
        guard connection.role == .server else { return }
        census.ended(connection, from: HandshakeSource(connection.remote.ip))
    }

    /// Handshakes of strangers that may be under way at a time.
    var limit: Int { census.limit }

    private func hasRoom(_ now: UInt64) -> Bool {
        if turn != now {
            turn = now
            taken = 0
        }
        return taken < Self.stepsPerTurn
    }

    private func take(_ share: FairShare, _ now: UInt64) {
        taken += 1
        share.handshakeTurn = now
    }

    override func flush() {
        guard let loop = ring.first?.loop else { return }
        let now = loop.turns
        var blocked = 0
        while hasRoom(now), blocked < ring.count {
            let share = ring.removeFirst()
            guard share.handshakeTurn != now else {
                ring.append(share)
                blocked += 1
                continue
            }
            guard let connection = share.waitingHandshakes.popFirst() else { continue }
            if !share.waitingHandshakes.isEmpty { ring.append(share) }
            take(share, now)
            connection.continueHandshake()
        }
        if !ring.isEmpty { loop.mark(self) }
    }
}
