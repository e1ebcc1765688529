/// Where the program's picture of the mesh comes from, and how fresh it is.
package struct StateStatus: Codable, Sendable, Hashable {
    /// `file`, `kubernetes`, `xds`.
    package var kind: String
    /// File or address it comes from.
    package var source: String
    /// Grows by one with every accepted change; 0 before the first.
    package var generation: UInt64
    /// When the generation in force was loaded.
    package var loadedAt: StatusTime?
    package var ageSeconds: Int64?
    /// Why the newest change was refused, with its place; empty when it was taken. The last good one serves.
    package var lastError: String
    package var workloads: Int
    package var services: Int
    package var policies: Int
    package var routes: Int
    /// `REGISTRY_ONLY` where only known destinations may be called; else empty.
    package var outboundTrafficPolicy: String?

    package init() {
        kind = ""
        source = ""
        generation = 0
        lastError = ""
        workloads = 0
        services = 0
        policies = 0
        routes = 0
    }
}
