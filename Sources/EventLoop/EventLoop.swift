internal import CLinux

/// An epoll reactor: one per thread, owning nothing but the registrations.
///
/// A turn is: wait, call ``EventHandler/ready(_:)`` for what is ready, a portion at a time, and flush every handler marked in
/// the portion once; then expire deadlines and flush what is left. Handlers only mark while they are called; writing in the
/// flush is what lets many streams share one TLS record and one system call. Not `Sendable`: made and used on its own thread, reached from others through a ``Mailbox``.
package final class EventLoop {
    private let epoll: Descriptor
    private let events: UnsafeMutablePointer<epoll_event>
    private static let capacity: Int32 = 256
    /// Handlers called between two flushes. With one flush for all that is ready, the connections of a tunnel gather: they
    /// reach the peer together, are answered together, and of sender and receiver one always waits for the other.
    package static let portion = 8
    private var marked: [Unmanaged<EventHandler>] = []
    private var flushing: [Unmanaged<EventHandler>] = []
    private var late: [Unmanaged<EventHandler>] = []
    private var removed: [Unmanaged<EventHandler>] = []
    /// Who shares the turns.
    package var contention = Contention()
    private var queues: [DeadlineQueue] = []
    /// The same queues, for the looks of every turn: no retain.
    private var queueReferences: [Unmanaged<DeadlineQueue>] = []
    /// Monotonic nanoseconds at the end of the last turn.
    private var turnEnd: UInt64
    private var isStopped = false
    /// Monotonic nanoseconds at the start of this turn.
    package private(set) var now: UInt64
    /// Turns done since the start.
    package private(set) var turns: UInt64 = 0
    /// The longest turn, in nanoseconds, since ``takeLongestTurn()`` was last called.
    private var longestTurn: UInt64 = 0

    package init() throws(SystemError) {
        epoll = Descriptor(owning: try SystemError.check("epoll_create1", zt_epoll_create()))
        events = .allocate(capacity: Int(Self.capacity))
        now = zt_monotonic_ns()
        turnEnd = now
    }

    deinit {
        for handler in removed { handler.release() }
        for handler in marked { handler.release() }
        for handler in late { handler.release() }
        events.deallocate()
    }

    // MARK: - Registration

    /// Watches a connected descriptor edge-triggered for both directions; the loop retains the handler.
    package func add(_ handler: EventHandler, descriptor: Int32) throws(SystemError) {
        try register(
            handler, descriptor,
            UInt32(ZT_EPOLLIN | ZT_EPOLLPRI | ZT_EPOLLOUT | ZT_EPOLLRDHUP) | zt_epoll_edge_triggered())
    }

    /// Watches a listening descriptor or an eventfd level-triggered; with `exclusive`, the kernel wakes one of several
    /// loops that share it.
    package func addListener(_ handler: EventHandler, descriptor: Int32, exclusive: Bool = true) throws(SystemError) {
        try register(handler, descriptor, UInt32(ZT_EPOLLIN) | (exclusive ? zt_epoll_exclusive() : 0))
    }

    private func register(_ handler: EventHandler, _ descriptor: Int32, _ interest: UInt32) throws(SystemError) {
        precondition(!handler.isRegistered, "a handler is registered once")
        let reference = Unmanaged.passRetained(handler)
        let cookie = UInt64(UInt(bitPattern: reference.toOpaque()))
        let result = zt_epoll_add(epoll.number, descriptor, interest, cookie)
        guard result >= 0 else {
            reference.release()
            throw SystemError("epoll_ctl", -result)
        }
        handler.isRegistered = true
    }

    /// Stops watching; the handler lives at least until the end of this turn. Call before closing the descriptor.
    package func remove(_ handler: EventHandler, descriptor: Int32) {
        guard handler.isRegistered else { return }
        handler.isRegistered = false
        _ = zt_epoll_remove(epoll.number, descriptor)
        removed.append(Unmanaged.passUnretained(handler))
    }

    /// Asks for one ``EventHandler/flush()`` after this portion; marking twice is marking once.
    ///
    /// - Parameter late: flushed behind all others, at the end of the turn: for who has much to move, so that who has little does not wait for it.
    package func mark(_ handler: EventHandler, late isLate: Bool = false) {
        guard !handler.isMarked else { return }
        handler.isMarked = true
        if isLate {
            late.append(Unmanaged.passRetained(handler))
        } else {
            marked.append(Unmanaged.passRetained(handler))
        }
    }

    /// The queue of deadlines of this length (seconds), made at its first use. For a handful of constant lengths.
    package func deadlines(seconds: Double) -> DeadlineQueue {
        let length = UInt64(seconds * 1e9)
        if let queue = queues.first(where: { $0.length == length }) { return queue }
        let queue = DeadlineQueue(length: length)
        queues.append(queue)
        queueReferences.append(Unmanaged.passUnretained(queue))
        return queue
    }

    // MARK: - Running

    /// Runs turns until ``stop()``.
    package func run() {
        isStopped = false
        while !isStopped { turn(wait: true) }
    }

    /// Ends ``run()`` after the current turn.
    package func stop() {
        isStopped = true
    }

    /// The longest turn since the last call, in nanoseconds: how long a ready connection may have had to wait.
    package func takeLongestTurn() -> UInt64 {
        defer { longestTurn = 0 }
        return longestTurn
    }

    /// One turn; without `wait` it only takes what is ready now.
    package func turn(wait: Bool) {
        let count = zt_epoll_wait(epoll.number, events, Self.capacity, wait ? timeout() : 0)
        let start = zt_monotonic_ns()
        now = start
        if count > 0 {
            for i in 0..<Int(count) {
                let cookie = zt_epoll_cookie(events + i)
                guard let pointer = UnsafeRawPointer(bitPattern: UInt(cookie)) else { continue }
                let readiness = Readiness(rawValue: events[i].events)
                Unmanaged<EventHandler>.fromOpaque(pointer)._withUnsafeGuaranteedRef { handler in
                    if handler.isRegistered { handler.ready(readiness) }
                }
                if (i &+ 1) % Self.portion == 0, !marked.isEmpty {
                    swap(&marked, &flushing)
                    flushBatch()
                }
            }
        }
        for queue in queueReferences { queue._withUnsafeGuaranteedRef { $0.expire(now: now) } }
        flushMarked()
        buryRemoved()
        turns &+= 1
        turnEnd = zt_monotonic_ns()
        let spent = turnEnd &- start
        if spent > longestTurn { longestTurn = spent }
    }

    private func timeout() -> Int32 {
        if !marked.isEmpty || !late.isEmpty { return 0 }
        var due = UInt64.max
        for queue in queueReferences {
            let next = queue._withUnsafeGuaranteedRef { $0.nextDue }
            if next < due { due = next }
        }
        if due == .max { return -1 }
        if due <= turnEnd { return 0 }
        return Int32(min((due - turnEnd) / 1_000_000 + 1, 60_000))
    }

    /// A flush may mark others (a relay's end marks its tunnel); a second pass takes those, the rest waits a turn.
    private func flushMarked() {
        for _ in 0..<2 {
            if !marked.isEmpty {
                swap(&marked, &flushing)
                flushBatch()
            }
            if !late.isEmpty {
                swap(&late, &flushing)
                flushBatch()
            }
        }
    }

    private func flushBatch() {
        for reference in flushing {
            reference._withUnsafeGuaranteedRef { handler in
                handler.isMarked = false
                handler.flush()
            }
            reference.release()
        }
        flushing.removeAll(keepingCapacity: true)
    }

    private func buryRemoved() {
        guard !removed.isEmpty else { return }
        let dead = removed
        removed.removeAll(keepingCapacity: true)
        for reference in dead { reference.release() }
    }
}
