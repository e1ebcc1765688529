package import MeshModel

/// Where a tunnel or a plaintext connection that came to a pod is to go, before policy has been asked.
package struct InboundTarget: Hashable, Sendable {
    /// What the pod's application expects before the payload.
    package enum Preface: Hashable, Sendable {
        case none
        /// A PROXY protocol version 2 header with this destination.
        case proxyProtocol(destination: SocketAddress)
    }
    /// The pod's address and the application's port, as policy sees the destination.
    package var destination: SocketAddress
    /// What to connect to: ``destination``, or the loopback address of its family for a PROXY protocol tunnel.
    package var dial: SocketAddress
    package var preface: Preface
    /// The service that the authority named by host name.
    package var service: ServiceName?

    package init(destination: SocketAddress, dial: SocketAddress, preface: Preface = .none, service: ServiceName? = nil)
    {
        self.destination = destination
        self.dial = dial
        self.preface = preface
        self.service = service
    }
}
