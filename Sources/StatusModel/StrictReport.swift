/// The answer to `GET /strict-ready`: who still calls these pods in plaintext, as this node has seen it.
package struct StrictReport: Codable, Sendable, Hashable {
    package enum Verdict: String, Codable, Sendable, CaseIterable {
        /// Calls were seen, and none in plaintext: STRICT would refuse nobody who called in that time.
        case ready
        /// Somebody calls in plaintext.
        case notReady = "not_ready"
        /// Too little was seen to tell.
        case noData = "no_data"
    }

    /// Callers that are alike.
    package struct Caller: Codable, Sendable, Hashable {
        /// `namespace/name` of the caller's deployment or pod; empty where the state does not know the address.
        package var workload: String
        /// Where no workload is known: the address, or `others` where there were too many to keep apart.
        package var address: String
        /// Whether it could use a tunnel: its workload is in the mesh, and still it came in plaintext.
        package var inMesh: Bool
        /// `namespace/name` of the deployment or pod that was called.
        package var destination: String
        package var port: UInt16
        /// `forwarded`, or `refused`: policy has it that way already.
        package var verdict: String
        /// In the last day.
        package var connections: UInt64
        /// Open now.
        package var open: UInt64
        package var firstSeen: StatusTime
        package var lastSeen: StatusTime

        package init(
            workload: String, address: String, inMesh: Bool, destination: String, port: UInt16, verdict: String,
            connections: UInt64, open: UInt64, firstSeen: StatusTime, lastSeen: StatusTime
        ) {
            self.workload = workload
            self.address = address
            self.inMesh = inMesh
            self.destination = destination
            self.port = port
            self.verdict = verdict
            self.connections = connections
            self.open = open
            self.firstSeen = firstSeen
            self.lastSeen = lastSeen
        }
    }

    package var program: String
    package var namespace: String
    /// Empty for the whole namespace.
    package var workload: String
    package var verdict: Verdict
    /// Since when the journal looks; at most a day counts.
    package var since: StatusTime
    /// The pods it is about, of this node.
    package var pods: [String] = []
    /// Pods of the same that other nodes take care of, and have to be asked about there: node to pods.
    package var elsewhere: [String: [String]] = [:]
    /// Connections of the last day in which the caller proved who it is.
    package var mutualConnections: UInt64 = 0
    /// Plaintext callers, the latest first.
    package var callers: [Caller] = []
    /// Connections that the journal had no room for.
    package var overflow: UInt64 = 0
    package var notes: [String] = []

    package init(program: String, namespace: String, workload: String, since: StatusTime) {
        self.program = program
        self.namespace = namespace
        self.workload = workload
        self.since = since
        verdict = .noData
    }
}
