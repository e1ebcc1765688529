internal import EventLoop
internal import HTTP2
internal import MeshModel

// How a connection keeps to its pod's share of the worker and of the memory.
extension TunnelConnection {
    /// Streams get this window while memory is tight, bytes.
    static let smallWindow = Limits.standard.smallStreamWindowBytes
    /// Nanoseconds between two changes of the windows of one connection.
    private static let windowInterval: UInt64 = 1_000_000_000

    // MARK: - Turns

    /// Takes a batch off the pod's share of the turn.
    func spend(_ count: Int) {
        moved &+= count
        share.spend(count)
    }

    /// Leaves the input to the next turn.
    func deferInput() {
        hasMoreInput = true
        waitForTurn()
    }

    /// Asks for the next turn, behind those of the pod that wait already.
    func waitForTurn() {
        guard !isDeferred else { return }
        isDeferred = true
        share.enqueue(self)
    }

    /// The turn has come.
    func takeTurn() {
        isDeferred = false
        work()
    }

    // MARK: - Memory

    /// Whether reading would add to a full account: only where some of our own streams fill it.
    var mustPause: Bool {
        isPaused || (keptBytes > 0 && share.ladder.stopsReading(share.memory.fill))
    }

    func pause() {
        guard !isPaused else { return }
        isPaused = true
        share.pause(self)
    }

    /// The account is relieved.
    func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        mark()
    }

    /// Announces small windows while the account is tight, and the usual ones again when it is not.
    ///
    /// The peer's streams all change by the difference (RFC 9113 6.9.2): credit that nobody has used yet is taken back.
    func adaptWindows(_ http2: HTTP2Engine) {
        let memory = share.memory
        guard hasSmallWindows || memory.held > 0 else { return }
        let wanted = share.ladder.wantsSmallWindows(memory.fill, areSmall: hasSmallWindows)
        guard wanted != hasSmallWindows, now &- windowsChangedAt >= Self.windowInterval else { return }
        hasSmallWindows = wanted
        windowsChangedAt = now
        http2.setInitialWindow(wanted ? min(Self.smallWindow, limits.streamWindow) : limits.streamWindow)
    }

    /// Puts what the sealed backlog holds on the account.
    func settleBacklog() {
        let held = backlog.heldBytes
        guard held != chargedBacklog else { return }
        let change = held - chargedBacklog
        chargedBacklog = held
        share.charge(change)
    }
}
