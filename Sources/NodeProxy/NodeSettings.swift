package import HTTP2
internal import MeshModel

/// What the data path of a node is told at start and keeps.
package struct NodeSettings: Sendable, Hashable {
    package var trustDomain = "cluster.local"
    package var network = ""
    package var clusterID = "Kubernetes"
    /// Streams that share one tunnel connection; 1 is a connection each.
    package var streamsPerConnection = 100
    /// Whether policy decisions are logged at info instead of debug.
    package var logsPolicyAtInfo = false
    /// Whether ALLOW rules whose words on identity are all negative admit a peer without one.
    package var admitsUnverifiedByNegation = false
    /// Whether applications may see the client's own address; false is never.
    package var preservesSource = true
    /// Whether PROXY protocol tunnels go to the pod's loopback address.
    package var localhostAppTunnel = true
    /// Whether the answer to a CONNECT describes the workload.
    package var responseBaggage = true
    package var http2 = HTTP2Limits()
    /// Seconds until a tunnel without streams is closed.
    package var poolReleaseSeconds = 300.0
    /// Endpoints tried for one connection to a service.
    package var connectAttempts = 3
    /// Bytes that the process may hold for slow readers.
    package var memoryBudget = Limits.standard.processMemoryBytes
    /// Bytes that one pod may hold for slow readers.
    package var podMemoryBudget = Limits.standard.podMemoryBytes

    package init() {}
}
