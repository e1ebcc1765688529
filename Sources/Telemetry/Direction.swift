/// Which side of the proxy a connection came in at.
package enum Direction: String, Sendable, CaseIterable, Hashable {
    /// From the network towards a pod of this node.
    case inbound
    /// From a pod of this node towards the network.
    case outbound
}

/// Who reports a connection in the metrics: the source's proxy or the destination's.
package enum Reporter: String, Sendable, CaseIterable, Hashable {
    case source
    case destination
    /// The waypoint between the two.
    case waypoint
}

/// Whether the peer was verified by mutual TLS.
package enum SecurityPolicy: String, Sendable, CaseIterable, Hashable {
    case unknown
    case mutualTLS = "mutual_tls"
}
