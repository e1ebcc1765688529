/// How much a worker is to say of itself beside its figures.
package struct WorkerQuestion: Sendable, Hashable {
    /// Most refusals, newest first.
    package var refusals = 100
    /// Most live connections; 0 for none.
    package var connections = 0
    /// Only connections of this pod (`namespace/name`); nil for all.
    package var pod: String?

    /// Only flows, and none of the rest.
    package var flows: FlowQuestion?
    /// Whether the journal of the last day is wanted.
    package var journal = false

    package init(refusals: Int = 100, connections: Int = 0, pod: String? = nil) {
        self.refusals = refusals
        self.connections = connections
        self.pod = pod
    }
}
