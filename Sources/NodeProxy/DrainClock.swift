internal import EventLoop

/// The time between the two steps of a worker's drain.
final class DrainClock: EventHandler {
    /// Seconds in which peers hear that they are to open no more streams: more than any round trip.
    static let grace = 0.5
    private let body: () -> Void
    private var deadline: Deadline?

    init(_ loop: EventLoop, _ body: @escaping () -> Void) {
        self.body = body
        super.init()
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: Self.grace), now: loop.now)
        self.deadline = deadline
    }

    override func expired(_ kind: UInt8) {
        deadline = nil
        body()
    }
}
