package import EventLoop
package import HTTP2
internal import MeshModel

/// The connections, dials and waiters of one key.
package final class TunnelPoolEntry: EventHandler, TunnelOwner {
    let key: TunnelKey
    unowned(unsafe) private let pool: TunnelPool
    var connections: [TunnelConnection] = []
    var dialing: [TunnelConnection] = []
    var waiters: [any TunnelWaiter] = []
    var lastFailure: TunnelFailure?
    var failedUntil: UInt64 = 0

    init(key: TunnelKey, pool: TunnelPool) {
        self.key = key
        self.pool = pool
    }

    var isUnused: Bool { connections.isEmpty && dialing.isEmpty && waiters.isEmpty }

    /// The connection opened last that has room: older ones empty out and go.
    func connectionWithRoom() -> TunnelConnection? {
        connections.last { $0.room(limit: pool.streamsPerConnection) > 0 }
    }

    /// Tells all waiters; new callers get the same answer during the back-off.
    func fail(_ failure: TunnelFailure, now: UInt64, backoff: UInt64) {
        lastFailure = backoff > 0 ? failure : nil
        failedUntil = now + backoff
        let waiting = waiters
        waiters = []
        for waiter in waiting { waiter.tunnelUnavailable(failure) }
    }

    /// Lets the waiter open its stream.
    func give(_ connection: TunnelConnection, to waiter: any TunnelWaiter) {
        waiter.tunnelAvailable(connection)
        if pool.usesOnce { connection.isClosedToNewStreams = true }
    }

    private func serveWaiters() {
        while !waiters.isEmpty, let connection = connectionWithRoom() {
            give(connection, to: waiters.removeFirst())
        }
        // A connection whose peer has not told its limit yet may take them all in a moment.
        if !waiters.isEmpty, !connections.contains(where: \.awaitsSettings) { pool.dialIfNeeded(self) }
    }

    // MARK: - TunnelOwner

    package func tunnelOpened(_ connection: TunnelConnection) {
        dialing.removeAll { $0 === connection }
        connections.append(connection)
        lastFailure = nil
        serveWaiters()
    }

    package func tunnelClosed(_ connection: TunnelConnection, failure: TunnelFailure?) {
        let wasDialing = dialing.contains { $0 === connection }
        dialing.removeAll { $0 === connection }
        connections.removeAll { $0 === connection }
        if wasDialing, let failure { pool.failed(self, failure) }
        if !waiters.isEmpty { serveWaiters() }
        pool.forgetIfUnused(self)
    }

    package func tunnelRequested(
        _ connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock, endStream: Bool
    ) {}

    package func tunnelChanged(_ connection: TunnelConnection) {
        if !waiters.isEmpty { serveWaiters() }
        connection.idleCheck(seconds: pool.idleSeconds)
    }
}
