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
    /// The newest refusals, newest first, as many as were asked for.
    package var refusals: [Refusal] = []
    /// Refusals it still remembers; nil when that is not said.
    package var refusalsHeld: Int?
    /// Live connections, as many as were asked for; ``connections`` counts them all.
    package var live: [LiveConnection] = []
    /// CPU time of its thread since the start, nanoseconds; nil when that is not measured.
    package var cpuNanoseconds: UInt64?
    /// Turns of its event loop since the start; nil when they are not counted.
    package var turns: UInt64?

    /// Its place among the workers; filled in by who asked.
    package internal(set) var worker = 0
    /// Where flows were asked for; the other figures are left out then.
    package var flows: FlowAnswer?
    /// Where it was asked for.
    package var journal: JournalAnswer?

    package init() {}
}
