package import MeshModel

/// What becomes of a connection that came to a pod; policy is asked afterwards, by ``Authorizer``.
package enum InboundDecision: Sendable {
    case forward(InboundTarget)
    /// The status for the CONNECT (400 or 503; 0 for plaintext, which is just closed), and why.
    case refused(status: Int, Refusal)

    /// What the decision about a tunnel depends on besides the snapshot.
    package struct Request: Sendable {
        /// The pod that the tunnel arrived at.
        package var workload: Workload
        /// The address of the tunnel's own connection at our end; its port does not matter.
        package var localAddress: SocketAddress
        /// Whether PROXY protocol tunnels go to the pod's loopback address (`LOCALHOST_APP_TUNNEL`).
        package var localhostApplicationTunnel: Bool

        package init(workload: Workload, localAddress: SocketAddress, localhostApplicationTunnel: Bool = true) {
            self.workload = workload
            self.localAddress = localAddress
            self.localhostApplicationTunnel = localhostApplicationTunnel
        }
    }

    /// Decides about a CONNECT from the bytes of its `:authority`.
    package static func decide(
        _ request: Request, authority: some Collection<UInt8>, in snapshot: MeshSnapshot
    ) -> InboundDecision {
        var resolver = InboundResolver(request: request, snapshot: snapshot, recorder: NoRecorder())
        return resolver.decide(Array(authority))
    }

    /// The same for an array, without copying it byte by byte.
    package static func decide(
        _ request: Request, authority: [UInt8], in snapshot: MeshSnapshot
    ) -> InboundDecision {
        var resolver = InboundResolver(request: request, snapshot: snapshot, recorder: NoRecorder())
        return resolver.decide(authority)
    }

    /// Decides by the very same code and tells each step.
    package static func explain(
        _ request: Request, authority: some Collection<UInt8>, in snapshot: MeshSnapshot
    ) -> (decision: InboundDecision, trace: DecisionTrace) {
        var resolver = InboundResolver(request: request, snapshot: snapshot, recorder: DecisionTrace())
        let decision = resolver.decide(Array(authority))
        return (decision, resolver.recorder)
    }

    /// Decides about a plaintext connection from its original destination: anywhere but the proxy's own ports.
    package static func decide(plaintextTo destination: SocketAddress) -> InboundDecision {
        guard !ProxyPorts.contains(destination.port) else {
            return .refused(
                status: 0, Refusal(.recursiveCall, "\(destination) is a port of the proxy itself"))
        }
        return .forward(InboundTarget(destination: destination, dial: destination))
    }
}
