package import MeshModel

/// One connection as its proxy saw it, for a person who observes; made only while somebody does.
package struct FlowRecord: Sendable {
    /// How its bytes go to or come from the peer; the words of `ztun connections`.
    package enum Transport: String, Sendable, CaseIterable {
        case tcp = "TCP"
        case hbone = "HBONE"
        case doubleHBONE = "DOUBLEHBONE"
    }

    /// Its place among those of its worker, from 1; 0 for one that is still open.
    package var sequence: UInt64 = 0
    /// When it ended, or now while it is open: nanoseconds since 1970.
    package var time: UInt64
    package var isOpen = false
    package var direction: Direction
    package var transport = Transport.tcp
    /// The pod of this node, `namespace/name`.
    package var pod = ""
    /// Who opened it.
    package var source: SocketAddress
    /// Where its bytes went: the peer's address outbound, the pod's inbound.
    package var destination: SocketAddress
    /// What was asked for: an address outbound, the authority inbound (the peer's text).
    package var target = ""
    /// The port that was asked for.
    package var port: UInt16 = 0
    package var sourceWorkload: Workload?
    package var destinationWorkload: Workload?
    /// What mutual TLS proved; nil for plaintext.
    package var sourceIdentity: SpiffeID?
    package var destinationIdentity: SpiffeID?
    package var service: Service?
    /// The waypoint that it went through.
    package var waypoint: Workload?
    /// Why it was refused or failed; nil after an orderly end.
    package var reason: Reason?
    /// The policy that decided, `namespace/name`.
    package var policy = ""
    /// The cause in words; may hold the peer's text.
    package var detail = ""
    /// Bytes towards the destination, and back.
    package var bytesSent: UInt64 = 0
    package var bytesReceived: UInt64 = 0
    /// From its acceptance, nanoseconds.
    package var duration: UInt64 = 0
    package var timing = FlowTiming()
    package var legs: FlowLegs?

    package init(time: UInt64, direction: Direction, source: SocketAddress, destination: SocketAddress) {
        self.time = time
        self.direction = direction
        self.source = source
        self.destination = destination
    }

    package var verdict: FlowVerdict { FlowVerdict(reason) }
}
