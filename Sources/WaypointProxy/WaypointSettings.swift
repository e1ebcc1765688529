internal import ControlPlane
package import HTTP2
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
    package var http2 = HTTP2Limits()
    /// Seconds until a tunnel without streams is closed.
    package var poolReleaseSeconds = 300.0
    /// Bytes that the process may hold for slow readers.
    package var memoryBudget = Limits.standard.processMemoryBytes

    package init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// Takes over what the environment says of tunnels.
    mutating func apply(_ options: DataPathOptions) {
        http2.streamWindow = min(http2.streamWindow, options.streamWindow)
        http2.largestStreamWindow = options.streamWindow
        http2.connectionWindow = options.connectionWindow
        http2.frameSize = options.frameSize
        poolReleaseSeconds = Double(options.poolReleaseSeconds)
        memoryBudget = options.memoryBudget
    }
}
