/// Bytes that a socket did not take yet: a growable queue that holds memory only while it is not empty.
///
/// The owner bounds it (a stream's window, one sealed batch); it does not bound itself.
package struct Backlog: ~Copyable {
    private var storage: UnsafeMutableRawPointer?
    private var capacity = 0
    private var head = 0
    private var tail = 0

    package init() {}

    deinit {
        storage?.deallocate()
    }

    package var count: Int { tail - head }
    package var isEmpty: Bool { tail == head }
    /// The memory it holds, bytes.
    package var heldBytes: Int { capacity }
    /// The first waiting byte; valid until the next mutation.
    package var start: UnsafeMutableRawPointer? { storage.map { $0 + head } }

    package mutating func append(_ bytes: UnsafeRawPointer, _ count: Int) {
        guard count > 0 else { return }
        let target = reserve(count)
        target.copyMemory(from: bytes, byteCount: count)
        tail += count
    }

    /// Drops the first `count` bytes; the memory goes back when none is left.
    package mutating func drop(_ count: Int) {
        head += min(count, self.count)
        if head == tail { removeAll() }
    }

    package mutating func removeAll() {
        storage?.deallocate()
        storage = nil
        (capacity, head, tail) = (0, 0, 0)
    }

    private mutating func reserve(_ more: Int) -> UnsafeMutableRawPointer {
        let waiting = count
        if let storage, capacity - tail >= more { return storage + tail }
        if let storage, capacity - waiting >= more, head >= waiting {
            storage.copyMemory(from: storage + head, byteCount: waiting)
            (head, tail) = (0, waiting)
            return storage + tail
        }
        let size = max(4096, (waiting + more) * 3 / 2)
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        if let storage {
            fresh.copyMemory(from: storage + head, byteCount: waiting)
            storage.deallocate()
        }
        storage = fresh
        (capacity, head, tail) = (size, 0, waiting)
        return fresh + tail
    }
}
