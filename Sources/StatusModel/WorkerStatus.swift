/// One data thread.
package struct WorkerStatus: Codable, Sendable, Hashable {
    package var index: Int
    /// False when it did not answer within a second; its figures are then the last known.
    package var answering: Bool
    /// Application connections open.
    package var connections: UInt64
    /// HBONE connections open, both directions.
    package var tunnels: UInt64
    /// Streams open in them.
    package var streams: UInt64
    /// How long the question waited for the thread's turn, microseconds.
    package var loopLagMicroseconds: UInt64
    /// CPU time of the thread since the start, microseconds.
    package var cpuMicroseconds: UInt64?
    /// Turns of its event loop since the start.
    package var turns: UInt64?

    package init(
        index: Int, answering: Bool = true, connections: UInt64 = 0, tunnels: UInt64 = 0, streams: UInt64 = 0,
        loopLagMicroseconds: UInt64 = 0
    ) {
        self.index = index
        self.answering = answering
        self.connections = connections
        self.tunnels = tunnels
        self.streams = streams
        self.loopLagMicroseconds = loopLagMicroseconds
    }
}
