/// What becomes of connections that pods of the mesh open to addresses that the mesh does not know; MeshConfig's
/// `outboundTrafficPolicy.mode`.
package enum OutboundTrafficPolicy: String, Hashable, Sendable, CaseIterable {
    /// They pass through in plaintext.
    case allowAny = "ALLOW_ANY"
    /// They are refused with ``Reason/destinationUnknown``.
    case registryOnly = "REGISTRY_ONLY"

    /// Whether an address is reached though nobody has registered it: a name server on a link-local address (NodeLocal
    /// DNSCache) belongs to the node, not to the mesh, and without it no name would lead anywhere.
    package static func alwaysAdmits(_ destination: SocketAddress) -> Bool {
        destination.port == 53 && destination.ip.isLinkLocal
    }
}
