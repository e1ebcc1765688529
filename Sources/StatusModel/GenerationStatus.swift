/// A ztund that another one has replaced, and that still carries what was open then.
package struct GenerationStatus: Codable, Sendable, Hashable {
    /// 1 for the first of a row.
    package var generation: Int
    package var pid: Int32
    package var version: String
    /// What is still to end: connections, peers' tunnels, arrivals that wait.
    package var unfinished: Int
    /// When it was replaced.
    package var since: StatusTime

    package init(generation: Int, pid: Int32, version: String, unfinished: Int, since: StatusTime) {
        self.generation = generation
        self.pid = pid
        self.version = version
        self.unfinished = unfinished
        self.since = since
    }
}
