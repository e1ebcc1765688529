/// Sums over all connections since the start.
package struct TrafficStatus: Codable, Sendable, Hashable {
    package var connectionsOpened: UInt64
    package var connectionsClosed: UInt64
    /// Those of the closed ones that failed.
    package var connectionsFailed: UInt64
    package var connectionsOpen: UInt64
    /// Bytes from server to client.
    package var bytesSent: UInt64
    /// Bytes from client to server.
    package var bytesReceived: UInt64
    /// Requests a waypoint answered; absent for a node proxy.
    package var requests: UInt64?

    package init() {
        connectionsOpened = 0
        connectionsClosed = 0
        connectionsFailed = 0
        connectionsOpen = 0
        bytesSent = 0
        bytesReceived = 0
    }
}

/// How often one reason refused or failed a connection.
package struct RefusalCount: Codable, Sendable, Hashable {
    /// A reason token, as in the access log.
    package var reason: String
    /// `inbound` or `outbound`.
    package var direction: String
    package var count: UInt64

    package init(reason: String, direction: String, count: UInt64) {
        self.reason = reason
        self.direction = direction
        self.count = count
    }
}

/// One refusal that is still remembered.
package struct RefusalStatus: Codable, Sendable, Hashable {
    package var time: StatusTime
    package var reason: String
    package var direction: String
    package var source: String
    package var destination: String
    /// The peer's verified identity; empty when there was none.
    package var peer: String
    /// The policy that refused; empty when none did.
    package var policy: String
    package var detail: String

    package init(
        time: StatusTime, reason: String, direction: String, source: String, destination: String, peer: String = "",
        policy: String = "", detail: String = ""
    ) {
        self.time = time
        self.reason = reason
        self.direction = direction
        self.source = source
        self.destination = destination
        self.peer = peer
        self.policy = policy
        self.detail = detail
    }
}
