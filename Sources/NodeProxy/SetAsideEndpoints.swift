internal import MeshModel

/// The endpoints that one worker avoids for a while because a connection to them failed.
///
/// An endpoint that could not be reached is avoided for every destination; one whose proxy answered 503, only for the
/// destination that was asked for: another port of it may be well. The first time lasts ten seconds and each further one
/// twice as long, up to a minute; a success forgets it. A value: times are monotonic nanoseconds passed in.
struct SetAsideEndpoints {
    private struct Key: Hashable {
        let uid: String
        /// What the client asked for; nil when the endpoint was not reached at all.
        let destination: SocketAddress?
    }
    private struct Entry {
        var until: UInt64
        var length: UInt64
    }

    private static let shortest: UInt64 = 10_000_000_000
    private static let longest: UInt64 = 60_000_000_000
    /// Entries kept at most; beyond it the next failure is not remembered.
    static let limit = 1024
    private var entries: [Key: Entry] = [:]

    /// How many endpoints were set aside, ever.
    private(set) var count: UInt64 = 0

    /// Whether nothing was ever set aside that still counts.
    var isEmpty: Bool { entries.isEmpty }

    /// The uids to avoid for a destination now.
    func uids(for destination: SocketAddress, now: UInt64) -> [String] {
        guard !entries.isEmpty else { return [] }
        return entries.compactMap { key, entry in
            entry.until > now && (key.destination == nil || key.destination == destination) ? key.uid : nil
        }
    }

    /// A connection failed: at all (`destination` nil), or for that destination.
    mutating func failed(_ uid: String, destination: SocketAddress?, now: UInt64) {
        forgetOld(now)
        let key = Key(uid: uid, destination: destination)
        var entry = entries[key] ?? Entry(until: 0, length: Self.shortest / 2)
        // Connections that were under way when it was set aside fail too and tell nothing new.
        guard entry.until <= now else { return }
        guard entries[key] != nil || entries.count < Self.limit else { return }
        entry.length = min(entry.length * 2, Self.longest)
        entry.until = now + entry.length
        entries[key] = entry
        count += 1
    }

    /// A connection for the destination was taken.
    mutating func succeeded(_ uid: String, destination: SocketAddress) {
        guard !entries.isEmpty else { return }
        entries[Key(uid: uid, destination: nil)] = nil
        entries[Key(uid: uid, destination: destination)] = nil
    }

    /// An endpoint that has been tried again and did not fail for as long as the longest time starts anew.
    private mutating func forgetOld(_ now: UInt64) {
        entries = entries.filter { $0.value.until + Self.longest > now }
    }
}
