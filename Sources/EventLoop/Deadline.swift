/// One pending time limit of a handler.
///
/// Limits of the same length expire in the order they were armed, so each length has one FIFO list and arming and
/// cancelling are a few pointer writes (``DeadlineQueue``). Owned by its handler; cancelled when released.
package final class Deadline {
    fileprivate unowned(unsafe) let owner: EventHandler
    fileprivate let kind: UInt8
    fileprivate var due: UInt64 = 0
    fileprivate unowned(unsafe) var previous: Deadline?
    fileprivate unowned(unsafe) var next: Deadline?
    fileprivate unowned(unsafe) var queue: DeadlineQueue?

    /// Makes a limit that calls `owner.expired(kind)`; the owner must own this object.
    package init(owner: EventHandler, kind: UInt8) {
        self.owner = owner
        self.kind = kind
    }

    /// Whether it is waiting to expire.
    package var isArmed: Bool { queue != nil }

    /// Starts the limit anew: it expires one length of the queue after `now` (monotonic nanoseconds).
    package func arm(_ queue: DeadlineQueue, now: UInt64) {
        cancel()
        due = now &+ queue.length
        queue.append(self)
    }

    /// Stops the limit; no call follows.
    package func cancel() {
        queue?.remove(self)
    }

    deinit {
        cancel()
    }
}

/// The pending deadlines of one length, oldest first. Belongs to one loop.
package final class DeadlineQueue {
    /// Nanoseconds from arming to expiry.
    package let length: UInt64
    private unowned(unsafe) var first: Deadline?
    private unowned(unsafe) var last: Deadline?

    init(length: UInt64) {
        self.length = length
    }

    /// When the oldest one expires; `.max` when none waits.
    private(set) var nextDue = UInt64.max

    fileprivate func append(_ deadline: Deadline) {
        deadline.previous = last
        deadline.next = nil
        deadline.queue = self
        if let last {
            last.next = deadline
        } else {
            first = deadline
            nextDue = deadline.due
        }
        last = deadline
    }

    fileprivate func remove(_ deadline: Deadline) {
        if let previous = deadline.previous {
            previous.next = deadline.next
        } else {
            first = deadline.next
            nextDue = deadline.next?.due ?? .max
        }
        if let next = deadline.next { next.previous = deadline.previous } else { last = deadline.previous }
        deadline.previous = nil
        deadline.next = nil
        deadline.queue = nil
    }

    /// Calls every owner whose time has come.
    func expire(now: UInt64) {
        while nextDue <= now, let deadline = first {
            remove(deadline)
            let owner = deadline.owner
            owner.expired(deadline.kind)
        }
    }
}
