package import Telemetry

/// Asks a worker for the flows behind a cursor; being asked, it records for ten minutes more.
package struct FlowQuestion: Sendable, Hashable {
    /// Where the last answer ended; nil for all that are held.
    package var cursor: UInt64?
    /// Most flows of the answer, open ones apart.
    package var limit: Int
    /// Whether those that are open now are wanted too.
    package var withOpen: Bool

    package init(cursor: UInt64? = nil, limit: Int, withOpen: Bool = false) {
        self.cursor = cursor
        self.limit = limit
        self.withOpen = withOpen
    }
}

/// A worker's flows.
package struct FlowAnswer: Sendable {
    package var batch = FlowRing.Batch()
    package var open: [FlowRecord] = []
    /// Since when it records, nanoseconds since 1970.
    package var since: UInt64 = 0

    package init() {}
}
