/// The ports that ztund opens in every enrolled pod (docs/capture.md).
package enum CapturePort {
    /// Connections that the pod's programs open.
    package static let outbound: UInt16 = 15001
    /// Connections that reach the pod outside a tunnel.
    package static let inbound: UInt16 = 15006
    /// HBONE tunnels that reach the pod.
    package static let tunnel: UInt16 = 15008

    /// Whether a port is one of ours, so that a connection to it must not be forwarded.
    package static func isOwn(_ port: UInt16) -> Bool {
        port == outbound || port == inbound || port == tunnel
    }
}

/// The packet marks that tell our own connections from the pod's.
package enum CaptureMark {
    /// Whatever ztund sends towards peers, and what its listeners in the pod answer.
    package static let peer: UInt32 = 0x539
    /// Connections to the application, whose replies must come back to ztund although they are addressed to the client.
    /// It is the packet mark of the connection, its conntrack mark, and the packet mark that its replies are given.
    package static let application: UInt32 = 0x53a
    /// Connections of the pod's programs that are brought back to ztund (modes ``CaptureMode/bpf`` and its kin).
    package static let captured: UInt32 = 0x53b
}

/// The routing table and rule of our own in a pod: packets with ``CaptureMark/application`` are delivered locally.
package enum CaptureRoute {
    /// The table, which holds one default route of type `local` by family.
    package static let table: UInt32 = 15008
    /// The table for ``CaptureMark/captured``: a default route of type `local` by family and interface.
    package static let capturedTable: UInt32 = 15007
    /// The preferences of the rules of ``CaptureMode/bpfRoute``: what ztund sends and what is left alone goes on behind
    /// ``afterSelectedPriority``, other TCP of the pod's programs is looked up in ``capturedTable``. Behind those for
    /// marks: the application's answers to ztund may be addressed to who is left alone.
    package static let ownPriority: UInt32 = 15009
    package static let bypassPriority: UInt32 = 15010
    package static let selectedPriority: UInt32 = 15011
    package static let afterSelectedPriority: UInt32 = 15012
    /// The preference of the rule that leads to ``capturedTable``.
    package static let capturedPriority: UInt32 = 15007
    /// The preference of the rule that leads to ``table``; istio-cni's is 32764.
    package static let priority: UInt32 = 15008
}
