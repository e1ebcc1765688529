/// The streams of one connection by their number: open addressing over a power of two, since a look-up is made for every
/// frame. A stream's address stays the same until it is removed.
struct StreamTable: ~Copyable {
    typealias Entry = UnsafeMutablePointer<StreamFlow>

    private var slots: UnsafeMutablePointer<Entry?>?
    private var mask = -1
    private(set) var count = 0

    deinit {
        for slot in 0..<(mask + 1) {
            guard let entry = slots?[slot] else { continue }
            entry.deinitialize(count: 1)
            entry.deallocate()
        }
        slots?.deallocate()
    }

    /// Where a search begins. Numbers of one side differ by two.
    private func home(_ id: Int32) -> Int { Int(truncatingIfNeeded: id >> 1) & mask }

    /// Nil when there is no such stream; the pointer is good until the stream is removed.
    subscript(_ id: Int32) -> Entry? {
        guard let slots else { return nil }
        var slot = home(id)
        // At least one slot in two is empty, so the search ends.
        while let entry = slots[slot] {
            if entry.pointee.id == id { return entry }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// Adds a stream; one with its number must not be there.
    @discardableResult mutating func insert(_ flow: StreamFlow) -> Entry {
        if (count + 1) * 2 > mask + 1 { grow() }
        let entry = Entry.allocate(capacity: 1)
        entry.initialize(to: flow)
        place(entry)
        count += 1
        return entry
    }

    private func place(_ entry: Entry) {
        guard let slots else { return }
        var slot = home(entry.pointee.id)
        while slots[slot] != nil { slot = (slot + 1) & mask }
        slots[slot] = entry
    }

    private mutating func grow() {
        let old = slots
        let oldCapacity = mask + 1
        let capacity = max(4, oldCapacity * 2)
        let made = UnsafeMutablePointer<Entry?>.allocate(capacity: capacity)
        made.initialize(repeating: nil, count: capacity)
        slots = made
        mask = capacity - 1
        for slot in 0..<oldCapacity {
            if let entry = old?[slot] { place(entry) }
        }
        old?.deallocate()
    }

    /// Removes a stream, if it is there, and gives its last state.
    @discardableResult mutating func remove(_ id: Int32) -> StreamFlow? {
        guard let slots, count > 0 else { return nil }
        var slot = home(id)
        while let entry = slots[slot], entry.pointee.id != id { slot = (slot + 1) & mask }
        guard let entry = slots[slot] else { return nil }
        // What stands behind it moves up, or a search would end at the gap.
        var gap = slot
        var next = (slot + 1) & mask
        while let other = slots[next] {
            let distance = (next - home(other.pointee.id)) & mask
            if distance >= (next - gap) & mask {
                slots[gap] = other
                gap = next
            }
            next = (next + 1) & mask
        }
        slots[gap] = nil
        count -= 1
        let flow = entry.pointee
        entry.deinitialize(count: 1)
        entry.deallocate()
        return flow
    }

    /// Calls `body` for each stream; it must not add or remove any.
    func forEach(_ body: (Entry) -> Void) {
        guard let slots else { return }
        for slot in 0...mask {
            if let entry = slots[slot] { body(entry) }
        }
    }
}
