internal import HBONE
internal import MeshModel

extension WaypointWorker: FairShareOwner {
    /// Why nothing new is taken now; nil while there is memory.
    func lackOfMemory() -> String? {
        guard share.memory.isFull else { return nil }
        share.memory.countRefusal()
        return "the memory for slow readers is used up: \(share.memory.held) of \(share.memory.budget) bytes"
    }

    func shedHeaviest() {
        let session = sessions.values.max { $0.heldBytes < $1.heldBytes }
        let relay = relays.values.max { $0.heldBytes < $1.heldBytes }
        let detail = "the memory for slow readers is used up, and this connection held the most"
        if let relay, relay.heldBytes > session?.heldBytes ?? 0 {
            share.memory.countShed()
            relay.abort(TunnelFailure(.overLimit, "\(detail): \(relay.heldBytes) bytes"))
        } else if let session, session.heldBytes > 0 {
            share.memory.countShed()
            session.shed("\(detail): \(session.heldBytes) bytes")
        }
    }
}

extension HTTPSession {
    /// Bytes that wait for the client or for the endpoint.
    var heldBytes: Int { channel.held + (upstream?.channel.held ?? 0) }

    /// Ends the connection at once for what it holds.
    func shed(_ detail: String) {
        let hasRequest = phase == .connecting || phase == .exchanging
        let isAnswered = exchange.responseStarted
        if hasRequest { fail(503, .overLimit, detail) }
        guard !hasRequest || isAnswered else { return }
        abort()
        channel.abort()
    }
}
