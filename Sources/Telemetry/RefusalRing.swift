package import MeshModel

/// One refused or failed connection, kept for a person who asks why.
package struct Refusal: Sendable, Hashable {
    /// Nanoseconds since 1970.
    package var time: UInt64
    package var reason: Reason
    package var direction: Direction
    package var source: SocketAddress
    package var destination: SocketAddress
    /// The pod of this node it was about, `namespace/name`; empty when there is none.
    package var pod = ""
    /// What mutual TLS proved of the peer.
    package var peer: SpiffeID?
    /// The policy that refused, `namespace/name`; empty when none did.
    package var policy = ""
    /// The cause in words; may hold peer text, so escape it where it is shown.
    package var detail = ""

    package init(
        time: UInt64, reason: Reason, direction: Direction, source: SocketAddress, destination: SocketAddress,
        pod: String = "", peer: SpiffeID? = nil, policy: String = "", detail: String = ""
    ) {
        self.pod = pod
        self.time = time
        self.reason = reason
        self.direction = direction
        self.source = source
        self.destination = destination
        self.peer = peer
        self.policy = policy
        self.detail = detail
    }
}

/// The last refusals of one worker; the oldest make room for new ones.
package struct RefusalRing: Sendable {
    private var values: [Refusal] = []
    private var next = 0
    package let capacity: Int

    package init(capacity: Int = Limits.standard.refusals) {
        self.capacity = max(1, capacity)
    }

    package mutating func append(_ refusal: Refusal) {
        if values.count < capacity {
            values.append(refusal)
        } else {
            values[next] = refusal
        }
        next = (next + 1) % capacity
    }

    package var count: Int { values.count }

    /// The newest refusals, newest first, at most `limit`.
    package func newest(_ limit: Int = .max) -> [Refusal] {
        guard !values.isEmpty else { return [] }
        var result: [Refusal] = []
        let wanted = min(limit, values.count)
        result.reserveCapacity(wanted)
        var position = next
        while result.count < wanted {
            position = (position + values.count - 1) % values.count
            result.append(values[position])
        }
        return result
    }
}
