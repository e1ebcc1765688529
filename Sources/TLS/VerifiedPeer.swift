package import MeshModel

/// A peer whose certificate was verified: made by a session after its handshake, by nothing else.
package struct VerifiedPeer: Sendable {
    /// The one URI SAN of its leaf.
    package let identity: SpiffeID
    /// Serial numbers and issuers of its chain; nil when nobody looks after revocation.
    let chain: VerifiedChain?

    init(identity: SpiffeID, chain: VerifiedChain? = nil) {
        self.identity = identity
        self.chain = chain
    }
}

extension VerifiedPeer: Hashable {
    /// Two peers are the same when their identity is; a renewed certificate makes no other peer.
    package static func == (a: Self, b: Self) -> Bool { a.identity == b.identity }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(identity)
    }
}
