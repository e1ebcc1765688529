package import EventLoop
package import HTTP2
internal import MeshModel
package import TLS

/// Where a pool gets sockets and certificates from.
package protocol TunnelDialer: AnyObject {
    /// An unconnected, non-blocking socket in the key's network namespace.
    func tunnelSocket(for key: TunnelKey) throws(TunnelFailure) -> Descriptor
    /// The client context of the key's source identity.
    func tunnelContext(for key: TunnelKey) throws(TunnelFailure) -> TLSContext
}

/// Waits for a tunnel connection; exactly one of the two calls follows a checkout, possibly before it returns.
package protocol TunnelWaiter: AnyObject {
    /// A connection with room: open the stream now.
    func tunnelAvailable(_ connection: TunnelConnection)
    func tunnelUnavailable(_ failure: TunnelFailure)
}

/// The client tunnels of one worker, by key: one dial at a time per key, its result shared by all who wait.
///
/// A failure reaches every waiter at once and answers new callers for a short back-off, so a dead peer costs one
/// connect timeout and not one per caller. A full connection rejoins when its streams end.
package final class TunnelPool {
    /// How many streams one connection carries at a time, at least 1.
    let streamsPerConnection: Int
    /// A connection carries one stream and closes after it: every application connection costs a handshake.
    let usesOnce: Bool
    private let limits: HTTP2Limits
    /// Seconds until a tunnel without streams is closed.
    let idleSeconds: Double
    unowned(unsafe) private let loop: EventLoop
    unowned(unsafe) private let buffers: TunnelBuffers
    unowned(unsafe) private let dialer: any TunnelDialer
    private let share: FairShare?
    private var entries: [TunnelKey: TunnelPoolEntry] = [:]
    private let backoff: UInt64 = 100_000_000

    /// - Parameters:
    ///   - dialer: held without retaining.
    ///   - streamsPerConnection: 1 is no sharing at a time, 0 no second use either.
    ///   - share: the pod's share of the worker; nil for the one that is common to all without a pod.
    package init(
        loop: EventLoop, buffers: TunnelBuffers, dialer: any TunnelDialer, streamsPerConnection: Int,
        limits: HTTP2Limits = HTTP2Limits(), idleSeconds: Double = 300, share: FairShare? = nil
    ) {
        self.share = share
        self.loop = loop
        self.buffers = buffers
        self.dialer = dialer
        self.streamsPerConnection = max(1, streamsPerConnection)
        usesOnce = streamsPerConnection < 1
        self.limits = limits
        self.idleSeconds = idleSeconds
    }

    /// Open connections, and streams on them.
    package var counts: (connections: Int, streams: Int) {
        entries.values.reduce((0, 0)) { sum, entry in
            (sum.0 + entry.connections.count, sum.1 + entry.connections.reduce(0) { $0 + $1.streamCount })
        }
    }

    /// Finds or dials a connection for the key and tells the waiter.
    package func checkout(_ key: TunnelKey, _ waiter: any TunnelWaiter) {
        let entry: TunnelPoolEntry
        if let known = entries[key] {
            entry = known
        } else {
            entry = TunnelPoolEntry(key: key, pool: self)
            entries[key] = entry
        }
        if let connection = entry.connectionWithRoom() { return entry.give(connection, to: waiter) }
        if let failure = entry.lastFailure {
            if loop.now < entry.failedUntil { return waiter.tunnelUnavailable(failure) }
            entry.lastFailure = nil
        }
        entry.waiters.append(waiter)
        if !entry.connections.contains(where: \.awaitsSettings) { dialIfNeeded(entry) }
    }

    /// The waiter has lost interest; it gets no call any more.
    package func cancel(_ key: TunnelKey, _ waiter: any TunnelWaiter) {
        entries[key]?.waiters.removeAll { $0 === waiter }
    }

    /// Ends every connection and dial now; whoever waits is told.
    package func closeAll(_ failure: TunnelFailure) {
        for entry in entries.values {
            for connection in entry.connections + entry.dialing { connection.close(failure) }
        }
        entries.removeAll()
    }

    /// Ends the open connections to the peers that the test names; whoever uses them is told.
    package func close(_ failure: TunnelFailure, where test: (VerifiedPeer) -> Bool) {
        for entry in Array(entries.values) {
            for connection in entry.connections {
                if let peer = connection.peer, test(peer) { connection.close(failure) }
            }
        }
    }

    /// No new tunnels; those open end when their streams do.
    package func drain() {
        for entry in entries.values {
            for connection in entry.connections { connection.drain() }
        }
    }

    // MARK: - Dialing

    func dialIfNeeded(_ entry: TunnelPoolEntry) {
        // As many dials as the waiters need, were every connection to take its full number of streams.
        let wanted = (entry.waiters.count + streamsPerConnection - 1) / streamsPerConnection
        while entry.dialing.count < wanted {
            do throws(TunnelFailure) {
                entry.dialing.append(try dial(entry))
            } catch {
                entry.fail(error, now: loop.now, backoff: 0)
                return
            }
        }
    }

    private func dial(_ entry: TunnelPoolEntry) throws(TunnelFailure) -> TunnelConnection {
        let key = entry.key
        let context = try dialer.tunnelContext(for: key)
        let socket = try dialer.tunnelSocket(for: key)
        Kernel.setNoDelay(socket.number)
        let result = Kernel.connect(socket.number, key.destination, ipv6Socket: !key.destination.ip.isIPv4)
        guard result == 0 || Kernel.isInProgress(result) else {
            throw TunnelFailure(
                .connectFailed, "connect to \(key.destination): \(Kernel.errnoName(-result))", isBeforeRequest: true)
        }
        return try TunnelConnection(
            socket: socket, isConnected: false, role: .client, context: context, expectation: .oneOf(key.expected),
            local: SocketAddress(key.sourceAddress, 0), remote: key.destination, loop: loop, buffers: buffers,
            limits: limits, share: share, owner: entry)
    }

    func failed(_ entry: TunnelPoolEntry, _ failure: TunnelFailure) {
        entry.fail(failure, now: loop.now, backoff: backoff)
    }

    func forgetIfUnused(_ entry: TunnelPoolEntry) {
        if entry.isUnused, loop.now >= entry.failedUntil { entries[entry.key] = nil }
    }
}
