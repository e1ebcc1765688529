package import MeshModel

/// A connection into a pod as policy sees it.
package struct AuthorizationRequest: Sendable {
    /// The peer's verified identity; nil for plaintext.
    package var source: SpiffeID?
    package var sourceIP: IPAddress
    package var target: InboundTarget
    /// The pod.
    package var workload: Workload
    /// Whether ALLOW rules that say of identities only which do not match (`notPrincipals`, `notNamespaces`,
    /// `notServiceAccounts`) match a peer without one, as Istio's node proxy has it.
    package var admitsUnverifiedByNegation = false

    package init(source: SpiffeID?, sourceIP: IPAddress, target: InboundTarget, workload: Workload) {
        self.source = source
        self.sourceIP = sourceIP
        self.target = target
        self.workload = workload
    }
}
