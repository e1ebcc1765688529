/// Stream numbers in the order in which they came: a ring that grows and is kept.
struct StreamQueue: Sendable {
    // Its length is 0 or a power of two.
    private var ring: [Int32] = []
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ stream: Int32) {
        if count == ring.count { grow() }
        ring[(head + count) & (ring.count - 1)] = stream
        count += 1
    }

    /// Nil when it is empty.
    mutating func popFirst() -> Int32? {
        guard count > 0 else { return nil }
        let stream = ring[head]
        head = (head + 1) & (ring.count - 1)
        count -= 1
        return stream
    }

    /// Takes a stream out, wherever it stands.
    mutating func remove(_ stream: Int32) {
        var kept = 0
        for i in 0..<count {
            let other = ring[(head + i) & (ring.count - 1)]
            guard other != stream else { continue }
            ring[(head + kept) & (ring.count - 1)] = other
            kept += 1
        }
        count = kept
    }

    private mutating func grow() {
        var larger = [Int32](repeating: 0, count: max(4, ring.count * 2))
        for i in 0..<count { larger[i] = ring[(head + i) & (ring.count - 1)] }
        ring = larger
        head = 0
    }
}
