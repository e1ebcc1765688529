package import MeshModel
package import Telemetry

/// One application connection that is open now, as its worker knows it.
package struct LiveConnection: Sendable {
    /// How its bytes go to or come from the peer; the words of ztunnel's configuration dump.
    package enum Transport: String, Sendable, CaseIterable {
        case tcp = "TCP"
        case hbone = "HBONE"
        case doubleHBONE = "DOUBLEHBONE"
    }

    /// The pod of this node, `namespace/name`.
    package var pod: String
    package var direction: Direction
    package var transport: Transport
    /// Who opened it.
    package var source: SocketAddress
    /// Where its bytes go: the peer's address outbound, the application's inbound.
    package var destination: SocketAddress
    /// What the opener asked for: an address outbound, the called service's host name or the authority inbound; empty
    /// when that is ``destination``.
    package var target = ""
    /// The called service's host name; empty when there is none.
    package var service = ""
    /// What mutual TLS proved of the other side.
    package var peer: SpiffeID?
    package var ageNanoseconds: UInt64 = 0
    /// Bytes this proxy sent towards the peer's side, its own view.
    package var bytesSent: UInt64 = 0
    package var bytesReceived: UInt64 = 0

    package init(
        pod: String, direction: Direction, transport: Transport, source: SocketAddress, destination: SocketAddress
    ) {
        self.pod = pod
        self.direction = direction
        self.transport = transport
        self.source = source
        self.destination = destination
    }
}
