package import MeshModel

/// What a worker of the waypoint is told at start and keeps.
package struct WaypointSettings: Sendable {
    /// Namespace and name of the workload the waypoint runs as.
    package var namespace: String
    package var name: String
    package var trustDomain = "cluster.local"
    package var streamsPerConnection = 100
    /// Only for counting: the listening socket is opened by the program and shared by all workers.
    package var address = SocketAddress(.anyV6, 15008)

    package init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }
}
