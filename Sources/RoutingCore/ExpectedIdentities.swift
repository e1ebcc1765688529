package import MeshModel

/// The identities a peer may present: its workload's, and those the addressed service lists in addition.
///
/// Part of the key of a pooled tunnel: two tunnels that expect different identities are never the same.
package struct ExpectedIdentities: Hashable, Sendable {
    package var workload: SpiffeID?
    /// SPIFFE URIs as the service gives them.
    package var serviceNames: [String]

    package init(workload: SpiffeID?, serviceNames: [String] = []) {
        self.workload = workload
        self.serviceNames = serviceNames
    }

    /// Whether the peer's identity is one of them, byte for byte; nothing is expected of an empty set, so nobody passes.
    package func contains(_ peer: SpiffeID) -> Bool {
        if let workload, workload == peer { return true }
        guard !serviceNames.isEmpty else { return false }
        let text = peer.description
        return serviceNames.contains { $0.utf8.elementsEqual(text.utf8) }
    }

    /// All of them as SPIFFE URIs, the services' first.
    package var texts: [String] {
        guard let workload else { return serviceNames }
        return serviceNames + [workload.description]
    }
}
