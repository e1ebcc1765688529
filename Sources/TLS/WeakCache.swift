internal import Telemetry

/// Objects made of equal things, made once and shared for as long as somebody holds them.
///
/// All functions may be called from any thread; two threads may make one object each, and then use the first.
final class WeakCache<Key: Hashable & Sendable, Object: AnyObject & Sendable>: Sendable {
    private struct Entry {
        weak var object: Object?
    }

    private let entries = Lock<[Key: Entry]>([:])

    init() {}

    /// The object of the key: one that is alive, or a new one.
    func object<Failure: Error>(_ key: Key, make: () throws(Failure) -> Object) throws(Failure) -> Object {
        if let object = entries.withLock({ $0[key]?.object }) { return object }
        let made = try make()
        return entries.withLock { entries in
            if let first = entries[key]?.object { return first }
            // Keys whose objects are gone go now: there are as many as there were roots at one time.
            entries = entries.filter { $0.value.object != nil }
            entries[key] = Entry(object: made)
            return made
        }
    }

    /// How many objects are alive.
    var count: Int { entries.withLock { $0.values.count { $0.object != nil } } }
}
