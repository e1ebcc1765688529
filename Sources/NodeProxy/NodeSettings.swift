/// What the data path of a node is told at start and keeps.
package struct NodeSettings: Sendable, Hashable {
    package var trustDomain = "cluster.local"
    package var network = ""
    package var clusterID = "Kubernetes"
    /// Streams that share one tunnel connection; 1 is a connection each.
    package var streamsPerConnection = 100
    /// Whether policy decisions are logged at info instead of debug.
    package var logsPolicyAtInfo = false
    /// Endpoints tried for one connection to a service.
    package var connectAttempts = 3

    package init() {}
}
