package import MeshModel

/// A part of the time from a connection's capture to the first byte of its answer. Each moment belongs to one stage.
package enum FlowStage: String, Sendable, CaseIterable, Hashable {
    /// From the moment the kernel had the captured connection until the proxy accepted it; in ticks of the kernel.
    case capture
    /// Routing and policy, with the wait for state, certificate and name lookup and the way to the worker that has the tunnel.
    case decision
    /// Waiting for a tunnel with room, beside what its connect and handshake took.
    case pool
    /// The TCP connect: to the peer's tunnel port, or to the application.
    case connect
    /// The TLS handshake of a tunnel that had to be made.
    case tls
    /// From the CONNECT until it was answered: the peer's decision and its own connect to the application.
    case answer
    /// From then until the client's first byte; none where the server speaks first.
    case request
    /// From the client's first byte until the first one of the answer.
    case firstByte

    /// The stage in which a tunnel's dial failed.
    package init(ofFailedDial reason: Reason) {
        switch reason {
        case .connectFailed, .connectTimeout, .tunnelPortBlocked: self = .connect
        case .tlsFailed, .tlsTimeout, .identityMismatch, .trustDomainMismatch, .certificateRevoked: self = .tls
        default: self = .pool
        }
    }
}

/// When a client's tunnel connection reached its milestones, monotonic nanoseconds; 0 for one that it has not reached.
package struct TunnelMilestones: Sendable, Hashable {
    package var dialled: UInt64 = 0
    package var connected: UInt64 = 0
    package var secured: UInt64 = 0

    package init(dialled: UInt64 = 0, connected: UInt64 = 0, secured: UInt64 = 0) {
        self.dialled = dialled
        self.connected = connected
        self.secured = secured
    }
}
