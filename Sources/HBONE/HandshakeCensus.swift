/// The handshakes that one worker has under way with strangers, each with a session of some 50 KiB.
///
/// Over the limit it names who is to be given up: the oldest of the source that has most. A source with one handshake loses
/// it only where every source has no more than one, to the oldest of them all; a peer that goes on is done long before that.
struct HandshakeCensus<Handshake: AnyObject> {
    private struct Entry {
        let handshake: Handshake
        /// Place in the order in which they began.
        let number: UInt64
    }

    /// Handshakes that may be under way.
    let limit: Int
    /// How many there are.
    private(set) var count = 0
    /// In the order in which they began, by source.
    private var entries: [HandshakeSource: [Entry]] = [:]
    private var begun: UInt64 = 0

    /// - Parameter limit: at least 1.
    init(limit: Int) {
        self.limit = max(1, limit)
    }

    /// Counts one more; returns the one to give up when that is too many, which the caller then ends.
    mutating func began(_ handshake: Handshake, from source: HandshakeSource) -> Handshake? {
        entries[source, default: []].append(Entry(handshake: handshake, number: begun))
        begun += 1
        count += 1
        guard count > limit else { return nil }
        // A few microseconds for a thousand sources, beside a handshake's millisecond.
        let heaviest = entries.values.max { a, b in
            a.count != b.count ? a.count < b.count : (a.first?.number ?? 0) > (b.first?.number ?? 0)
        }
        return heaviest?.first?.handshake
    }

    /// The handshake is over, well or badly; one that is not counted changes nothing.
    mutating func ended(_ handshake: Handshake, from source: HandshakeSource) {
        guard var list = entries[source], let index = list.firstIndex(where: { $0.handshake === handshake }) else {
            return
        }
        entries[source] = nil
        list.remove(at: index)
        if !list.isEmpty { entries[source] = list }
        count -= 1
    }
}
