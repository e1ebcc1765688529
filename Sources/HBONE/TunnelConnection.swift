package import EventLoop
package import HTTP2
package import MeshModel
package import TLS
package import Telemetry

/// One HBONE connection, TCP + TLS + HTTP/2, on one worker: bytes between the socket and its streams.
///
/// Handlers mark, ``flush()`` writes: after a batch of events each connection seals everything its streams have into
/// as few TLS records and system calls as possible. While the socket is blocked nothing is pulled from any source, so
/// back-pressure needs no buffer beyond one sealed batch.
package final class TunnelConnection: EventHandler {
    /// A server begins with `greeting`: no TLS session before the client's first record is whole.
    package enum Phase: Sendable { case connecting, greeting, handshaking, open, closed }

    // Unmanaged, since they are used several times for every batch: a class reference read from a property is retained.
    private let loopReference: Unmanaged<EventLoop>
    let buffersReference: Unmanaged<TunnelBuffers>
    var loop: EventLoop { loopReference.takeUnretainedValue() }
    var buffers: TunnelBuffers { buffersReference.takeUnretainedValue() }
    package let role: HTTP2Engine.Role
    package let limits: HTTP2Limits
    let fd: Int32
    var descriptor: Descriptor?
    private var session: TLSSession?
    /// What the session of a server will be made of.
    private var prospect: (context: TLSContext, expectation: PeerExpectation)?
    /// For the phases from `handshaking` on, and for clients: those have a session.
    var tls: TLSSession { session.unsafelyUnwrapped }
    var http2: HTTP2Engine?
    package internal(set) var phase: Phase
    var backlog = Backlog()
    /// What the connection takes of the worker is on this account.
    package let share: FairShare
    var owner: (any TunnelOwner)?
    /// The peer's address as the socket has it.
    package let remote: SocketAddress
    /// Our address as the socket has it; for a server, the pod's address the peer dialled.
    package let local: SocketAddress
    /// Client: when it was dialled, connected and secured.
    package internal(set) var milestones = TunnelMilestones()
    // Streams, as a list through them.
    unowned(unsafe) var firstStream: TunnelStream?
    package internal(set) var streamCount = 0
    var touched: [Unmanaged<TunnelStream>] = []
    var hasMoreInput = false
    /// Bytes moved since the last flush ended.
    var moved = 0
    /// It moved much when it was last flushed: it is flushed behind all others now.
    private var isBulky = false
    private static let bulk = 32_768
    /// It waits for the next turn, since its pod has had its share of this one.
    var isDeferred = false
    var awaitsHandshakeTurn = false
    /// It is not read until its pod's memory account is relieved.
    var isPaused = false
    /// New streams get small windows, since the memory account is tight.
    var hasSmallWindows = false
    var windowsChangedAt: UInt64 = 0
    /// What the sinks of its streams hold for slow readers, bytes.
    var keptBytes = 0
    var chargedBacklog = 0
    var readsToTheEnd = false
    var isEnding = false
    var awaitsPong = false
    /// The peer has not said yet how many streams it takes; until then one is opened and the others wait.
    package internal(set) var awaitsSettings = true
    /// No new streams: GOAWAY came or went, or the connection is closing.
    package internal(set) var isClosedToNewStreams = false
    var stepDeadline: Deadline?
    var pingDeadline: Deadline?
    var idleDeadline: Deadline?
    /// Runs while the peer owes us the rest of its preface or of a header block.
    var frameDeadline: Deadline?

    /// Seconds that connect, handshake and CONNECT may take, each.
    package static let stepLimit = Limits.standard.stepSeconds
    static let pingInterval = Limits.standard.pingSeconds
    static let pongLimit = Limits.standard.pongSeconds
    enum Limit: UInt8 { case step = 1, ping, pong, idle, frame }

    /// Takes over a socket that is connected (`isConnected`) or connecting, and registers it with the loop.
    ///
    /// - Parameter share: its pod's share of the worker; nil for the one that is common to all without a pod.
    /// - Throws: `TunnelFailure` when the TLS session or the registration is refused; the socket is closed then.
    package init(
        socket: consuming Descriptor, isConnected: Bool, role: HTTP2Engine.Role, context: TLSContext,
        expectation: PeerExpectation, local: SocketAddress, remote: SocketAddress, loop: EventLoop,
        buffers: TunnelBuffers, limits: HTTP2Limits, share: FairShare? = nil, owner: any TunnelOwner
    ) throws(TunnelFailure) {
        loopReference = Unmanaged.passUnretained(loop)
        self.share = share ?? buffers.commonShare(loop)
        buffersReference = Unmanaged.passUnretained(buffers)
        self.role = role
        self.limits = limits
        self.local = local
        self.remote = remote
        self.owner = owner
        if role == .client { milestones.dialled = loop.now }
        fd = socket.number
        phase = isConnected ? (role == .server ? .greeting : .handshaking) : .connecting
        prospect = (context, expectation)
        descriptor = consume socket
        super.init()
        if phase != .greeting { try makeSession() }
        do {
            try loop.add(self, descriptor: fd)
        } catch {
            throw TunnelFailure(.overLimit, "\(error)", isBeforeRequest: true)
        }
        let deadline = Deadline(owner: self, kind: Limit.step.rawValue)
        deadline.arm(loop.deadlines(seconds: Self.stepLimit), now: loop.now)
        stepDeadline = deadline
        if isConnected, role == .client { mark() }
    }

    /// The verified identity at the other end; nil before the handshake is done.
    package var peer: VerifiedPeer? { session?.peer }
    /// What the kernel has measured of it; nil once it is closed.
    package var figures: LegFigures? { descriptor == nil ? nil : Kernel.legFigures(fd) }
    /// The key exchange of the handshake, `X25519MLKEM768` for instance; empty before it is done.
    package var keyExchange: String { session?.keyExchange ?? "" }

    /// False for a server before the first step of its handshake.
    var hasSession: Bool { session != nil }

    func makeSession() throws(TunnelFailure) {
        guard let prospect else { return }
        do {
            session = try TLSSession(prospect.context, channel: buffers.channel, expectation: prospect.expectation)
        } catch {
            throw TunnelFailure(error.reason, error.description, isBeforeRequest: true)
        }
        self.prospect = nil
    }

    // MARK: - Events

    package override func ready(_ readiness: Readiness) {
        switch phase {
        case .closed:
            return
        case .connecting:
            guard finishConnect(readiness) else { return }
        case .greeting:
            guard greet(readiness) else { return }
        case .handshaking, .open:
            break
        }
        if !readiness.isDisjoint(with: .interruptions) { readsToTheEnd = true }
        if readiness.contains(.writable), !backlog.isEmpty { writeBacklog() }
        guard !readiness.isDisjoint(with: [.readable, .peerClosed, .hungUp, .failed]), phase != .closed else { return }
        // Who came earlier and had to wait goes first.
        if share.hasWaiting { return deferInput() }
        // Who has much to move does so when the others have been served.
        guard isBulky else { return readInput() }
        hasMoreInput = true
        mark()
    }

    package override func flush() {
        // Its turn comes.
        if !isDeferred { work() }
    }

    /// Reads what is left and writes what waits.
    func work() {
        if hasMoreInput, phase != .closed { readInput() }
        switch phase {
        case .handshaking where role == .client && tls.peer == nil: advanceHandshake()
        case .open: writeOutput()
        default: break
        }
        isBulky = moved >= Self.bulk
        moved = 0
    }

    package override func expired(_ kind: UInt8) {
        switch Limit(rawValue: kind) {
        case .step:
            let blocked = role == .client && phase == .connecting
            fail(
                blocked
                    ? TunnelFailure(
                        .tunnelPortBlocked,
                        "connection timed out, maybe a NetworkPolicy is blocking HBONE port \(remote.port): \(remote)",
                        isBeforeRequest: true)
                    : TunnelFailure(.tlsTimeout, "TLS handshake with \(remote) timed out", isBeforeRequest: true))
        case .ping:
            awaitsPong = true
            http2?.ping()
            pingDeadline = Deadline(owner: self, kind: Limit.pong.rawValue)
            pingDeadline?.arm(loop.deadlines(seconds: Self.pongLimit), now: loop.now)
            markForOutput()
        case .pong:
            fail(TunnelFailure(.peerUnresponsive, "\(remote) answered no ping for \(Int(Self.pongLimit)) s"))
        case .frame:
            // What the peer owes may be in what we do not read.
            if isPaused {
                frameDeadline = nil
                return watchFrames(http2)
            }
            fail(TunnelFailure(.tunnelTimeout, "\(remote) began a preface or a header and did not end it in time"))
        case .idle:
            if streamCount == 0 { endWhenWritten() }
        case nil:
            break
        }
    }

    /// Client: closes the connection once it has had no stream for that long.
    package func idleCheck(seconds: Double) {
        guard role == .client else { return }
        guard streamCount == 0 else {
            idleDeadline?.cancel()
            return
        }
        let deadline = idleDeadline ?? Deadline(owner: self, kind: Limit.idle.rawValue)
        idleDeadline = deadline
        deadline.arm(loop.deadlines(seconds: seconds), now: loop.now)
    }

    func schedulePing() {
        let deadline = Deadline(owner: self, kind: Limit.ping.rawValue)
        deadline.arm(loop.deadlines(seconds: Self.pingInterval), now: loop.now)
        pingDeadline = deadline
    }

    /// Starts or stops the deadline for what the peer has begun: its preface, or a header block.
    func watchFrames(_ http2: HTTP2Engine?) {
        let owesFrame = awaitsSettings || http2?.isInsideHeader == true
        if !owesFrame {
            if frameDeadline != nil { frameDeadline = nil }
        } else if frameDeadline == nil {
            let deadline = Deadline(owner: self, kind: Limit.frame.rawValue)
            deadline.arm(loop.deadlines(seconds: Self.stepLimit), now: loop.now)
            frameDeadline = deadline
        }
    }

    /// Asks for a flush after this batch of events.
    func markForOutput() {
        if phase == .open { mark() }
    }

    /// Monotonic nanoseconds at the start of this turn.
    var now: UInt64 { loopReference._withUnsafeGuaranteedRef { $0.now } }

    /// Asks the loop for a flush.
    func mark() {
        loopReference._withUnsafeGuaranteedRef { $0.mark(self, late: isBulky) }
    }

    private func finishConnect(_ readiness: Readiness) -> Bool {
        guard !readiness.isDisjoint(with: [.writable, .failed, .hungUp]) else { return false }
        let code = Kernel.pendingError(fd)
        guard code == 0 else {
            fail(
                TunnelFailure(
                    .connectFailed, "connect to \(remote): \(Kernel.errnoName(code))", isBeforeRequest: true))
            return false
        }
        phase = .handshaking
        milestones.connected = Kernel.monotonicNow()
        stepDeadline?.arm(loop.deadlines(seconds: Self.stepLimit), now: loop.now)
        advanceHandshake()
        return phase != .closed
    }

    // MARK: - Opening and ending

    /// Client: opens a CONNECT stream; nil when the connection takes no more.
    package func open(_ head: HeaderBlock, sink: any TunnelSink) -> TunnelStream? {
        guard phase == .open, !isClosedToNewStreams, let http2 else { return nil }
        let stream = TunnelStream(owner: self, sink: sink)
        let context = Unmanaged.passRetained(stream)
        guard let id = http2.connect(head, context: context.toOpaque()) else {
            context.release()
            isClosedToNewStreams = true
            return nil
        }
        stream.id = id
        link(stream)
        idleDeadline?.cancel()
        markForOutput()
        return stream
    }

    /// How many more streams may be opened now.
    package func room(limit: Int) -> Int {
        guard phase == .open, !isClosedToNewStreams, let http2 else { return 0 }
        if awaitsSettings { return max(0, 1 - streamCount) }
        return max(0, min(limit, http2.peerConcurrentStreams) - streamCount)
    }

    /// Takes no new streams, lets those under way finish, then closes.
    package func drain() {
        isClosedToNewStreams = true
        guard phase == .open else {
            if phase != .closed { fail(TunnelFailure(.draining, "draining", isBeforeRequest: true)) }
            return
        }
        if role == .server { http2?.goAway(code: HTTP2Engine.ErrorCode.noError) }
        markForOutput()
        if streamCount == 0 { endWhenWritten() }
    }

    /// Says goodbye and closes once that is written.
    func endWhenWritten() {
        guard phase == .open, !isEnding else { return }
        isEnding = true
        isClosedToNewStreams = true
        http2?.terminate(code: HTTP2Engine.ErrorCode.noError)
        mark()
    }

    /// Ends the connection now, every stream with it.
    package func close(_ failure: TunnelFailure? = nil) {
        fail(failure)
    }

    func fail(_ failure: TunnelFailure?) {
        guard phase != .closed else { return }
        let wasOpen = phase == .open
        if phase == .handshaking { buffers.handshakes.ended(self) }
        phase = .closed
        isClosedToNewStreams = true
        stepDeadline = nil
        pingDeadline = nil
        idleDeadline = nil
        frameDeadline = nil
        if wasOpen, backlog.isEmpty {
            tls.close()
            sendSealed(mayKeep: false)
        }
        backlog.removeAll()
        settleBacklog()
        loop.remove(self, descriptor: fd)
        descriptor = nil
        while let stream = firstStream { close(stream, code: HTTP2Engine.ErrorCode.connectError, failure: failure) }
        let owner = self.owner
        self.owner = nil
        owner?.tunnelClosed(self, failure: failure)
    }

    // MARK: - Streams

    func link(_ stream: TunnelStream) {
        stream.previous = nil
        stream.next = firstStream
        firstStream?.previous = stream
        firstStream = stream
        streamCount += 1
    }

    /// Unlinks the stream, tells its sink, and gives up the reference the engine held.
    func close(_ stream: TunnelStream, code: UInt32, failure: TunnelFailure?) {
        if let previous = stream.previous { previous.next = stream.next } else { firstStream = stream.next }
        stream.next?.previous = stream.previous
        stream.previous = nil
        stream.next = nil
        streamCount -= 1
        keptBytes -= stream.kept
        let sink = stream.disown()
        sink?.tunnelClosed(code: code, failure: failure)
        if phase == .open {
            if streamCount == 0, isClosedToNewStreams { endWhenWritten() } else { owner?.tunnelChanged(self) }
        }
        // What the batch has still to flush is let go of at its end.
        if !stream.isTouched { Unmanaged.passUnretained(stream).release() }
    }
}
