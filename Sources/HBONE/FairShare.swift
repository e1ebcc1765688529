package import EventLoop

/// What one pod may take of one worker: bytes in a turn of the loop, handshakes in a turn, memory for slow readers.
///
/// Deficit round robin over the pods: in each turn a pod's connections move up to a quantum of bytes; those that come too
/// late wait for the next turn, in the order in which they came, and a pod that took more pays it back. So a turn is never
/// longer than a quantum for each busy pod, whatever one of them has to send. With nobody else at work a turn follows at
/// once and nothing is lost.
package final class FairShare: EventHandler {
    private let loopReference: Unmanaged<EventLoop>
    var loop: EventLoop { loopReference.takeUnretainedValue() }
    /// What its slow readers hold, on all workers.
    package let memory: MemoryAccount
    /// Told when something must be cut; not retained.
    package weak var owner: (any FairShareOwner)?

    /// Bytes that a pod may move in a turn, both directions together.
    package static let quantum = 524_288
    /// The same while another pod of the worker has work too: a pod with little to say waits that long for each busy one.
    package static let sharedQuantum = 131_072
    /// What a batch costs besides its bytes: system calls and framing take as long as moving so many.
    static let batchCost = 4096

    private var credit = quantum
    private var turn: UInt64 = 0
    /// Connections that wait for the pod's next quantum, in the order in which they came; what stands before `waitingHead` has
    /// had its turn.
    private var waiting: [TunnelConnection] = []
    private var waitingHead = 0
    /// Whether somebody waits: who comes now goes behind.
    var hasWaiting: Bool { waitingHead < waiting.count }

    // Handshakes, looked after by the worker's HandshakeQueue.
    var waitingHandshakes = HandshakeLine()
    var handshakeTurn: UInt64 = .max

    private var paused: [TunnelConnection] = []
    /// What a full account means for its connections here.
    private(set) var ladder = OverloadLadder()
    private var poll: Deadline?
    /// Something that waits elsewhere fills the account too.
    private var isWatching = false
    /// Seconds between two looks at a full account.
    private static let pollInterval = 0.02

    package init(loop: EventLoop, memory: MemoryAccount) {
        loopReference = Unmanaged.passUnretained(loop)
        self.memory = memory
    }

    /// Whether the pod may move bytes in this turn.
    var mayMove: Bool {
        let now = loopReference._withUnsafeGuaranteedRef { $0.turns }
        if turn != now {
            turn = now
            let isShared = loopReference._withUnsafeGuaranteedRef { loop in
                loop.contention.note(ObjectIdentifier(self), now: loop.now)
            }
            let quantum = isShared ? Self.sharedQuantum : Self.quantum
            credit = min(quantum, credit &+ quantum)
        }
        return credit > 0
    }

    /// Takes a batch of bytes off the turn's quantum.
    func spend(_ count: Int) {
        credit &-= count &+ Self.batchCost
    }

    /// Forgets what waits; its deadline does not outlive the loop.
    package func close() {
        poll = nil
        paused = []
        waitingHandshakes = HandshakeLine()
        waiting = []
        waitingHead = 0
    }

    // MARK: - Turns

    /// Lets the connection wait for a quantum.
    func enqueue(_ connection: TunnelConnection) {
        waiting.append(connection)
        loop.mark(self, late: true)
    }

    package override func flush() {
        while hasWaiting, mayMove {
            let connection = waiting[waitingHead]
            waitingHead += 1
            // Not by one each: moving the rest up costs less when half of it is gone.
            if waitingHead >= 64, waitingHead * 2 >= waiting.count {
                waiting.removeFirst(waitingHead)
                waitingHead = 0
            }
            connection.takeTurn()
        }
        if hasWaiting {
            loop.mark(self, late: true)
        } else {
            waiting.removeAll(keepingCapacity: true)
            waitingHead = 0
        }
    }

    // MARK: - Memory

    /// Leaves a tunnel unread until the account is relieved.
    func pause(_ connection: TunnelConnection) {
        memory.countPause()
        if paused.isEmpty { ladder.paused(now: loop.now) }
        paused.append(connection)
        lookAgain()
    }

    private func lookAgain() {
        guard poll == nil else { return }
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: Self.pollInterval), now: loop.now)
        poll = deadline
    }

    /// Puts bytes on the account that wait elsewhere than in tunnels and relays (or takes them off, below 0); while the
    /// account is full the owner is asked to shed as the ladder says.
    package func hold(_ count: Int) {
        charge(count)
        guard count > 0, !isWatching, ladder.stopsReading(memory.fill) else { return }
        isWatching = true
        if paused.isEmpty { ladder.paused(now: loop.now) }
        lookAgain()
    }

    /// Puts what is held more (or less, below 0) on the account; a relief lets tunnels be read again.
    func charge(_ count: Int) {
        memory.charge(count)
        if count < 0, !paused.isEmpty, ladder.isRelieved(memory.fill) { resume() }
    }

    private func resume() {
        poll = nil
        isWatching = false
        let waiting = paused
        paused = []
        for connection in waiting { connection.resumeReading() }
    }

    package override func expired(_ kind: UInt8) {
        poll = nil
        let fill = memory.fill
        if ladder.isRelieved(fill) { return resume() }
        paused.removeAll { $0.phase == .closed }
        guard !paused.isEmpty || isWatching else { return }
        let now = loop.now
        if ladder.look(fill, now: now) == .shed { owner?.shedHeaviest() }
        lookAgain()
    }
}

/// Whoever knows the connections of a ``FairShare``. Called on the worker's thread.
package protocol FairShareOwner: AnyObject {
    /// The budget is used up and does not get free: cut the connection that holds most.
    func shedHeaviest()
}
