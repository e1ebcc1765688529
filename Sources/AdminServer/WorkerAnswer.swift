package import Telemetry

/// What one data worker says of itself: a copy, so that another thread can read it.
package struct WorkerAnswer: Sendable {
    /// Application connections open now.
    package var connections: UInt64 = 0
    /// HBONE connections open now, both directions.
    package var tunnels: UInt64 = 0
    /// Streams open in them now.
    package var streams: UInt64 = 0
    /// Requests answered since the start; nil where there are none to count.
    package var requests: UInt64?
    /// Application connections open now, by pod (`namespace/name`).
    package var podConnections: [String: UInt64] = [:]
    package var traffic = TrafficSnapshot()
    /// The newest refusals, newest first; 100 are enough.
    package var refusals: [Refusal] = []

    package init() {}
}
