internal import EventLoop

/// The handshakes of one worker, in turns between its pods.
///
/// A step of a handshake is up to a millisecond of public-key work in which nobody else is served. So a turn of the loop
/// has room for a few, at most one of them for each pod, and those that wait are taken pod by pod: a storm at one pod delays
/// its own.
final class HandshakeQueue: EventHandler {
    private static let stepsPerTurn = 2
    private var ring: [FairShare] = []
    private var turn: UInt64 = .max
    private var taken = 0

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
            guard let connection = next(of: share) else { continue }
            if !share.waitingHandshakes.isEmpty { ring.append(share) }
            take(share, now)
            connection.continueHandshake()
        }
        if !ring.isEmpty { loop.mark(self) }
    }

    /// The next one of the pod that is still there.
    private func next(of share: FairShare) -> TunnelConnection? {
        while !share.waitingHandshakes.isEmpty {
            // Short: a pod's storm is bounded by its listener's backlog, and a step costs far more than the move.
            let connection = share.waitingHandshakes.removeFirst()
            connection.awaitsHandshakeTurn = false
            if connection.phase == .handshaking { return connection }
        }
        return nil
    }
}
