package import EventLoop
package import HTTP2
internal import MeshModel
package import Telemetry

/// How a relay between an application's socket and its other side ended.
package struct RelayOutcome: Sendable {
    /// Bytes read from the application's socket.
    package var bytesFromSocket: UInt64
    /// Bytes written to the application's socket.
    package var bytesToSocket: UInt64
    /// Nil after an orderly end.
    package var failure: TunnelFailure?
    /// When the first byte from, and to, the application's socket was there: monotonic nanoseconds, 0 for never.
    package var firstFromSocket: UInt64 = 0
    package var firstToSocket: UInt64 = 0
    /// The application's leg and the other, as they were at the end; nil when nobody observes.
    package var legs: RelayLegs?

    package init(bytesFromSocket: UInt64, bytesToSocket: UInt64, failure: TunnelFailure?) {
        self.bytesFromSocket = bytesFromSocket
        self.bytesToSocket = bytesToSocket
        self.failure = failure
    }
}

extension RelayOutcome {
    /// The same outcome seen from the other socket.
    package mutating func swapSides() {
        swap(&bytesFromSocket, &bytesToSocket)
        swap(&firstFromSocket, &firstToSocket)
        legs = legs.map { RelayLegs(socket: $0.other, other: $0.socket) }
    }
}

/// What the kernel has measured of the two sockets of a relay.
package struct RelayLegs: Sendable {
    /// The application's; of a plain relay, downstream.
    package var socket: LegFigures?
    /// The tunnel's, which all its streams share; of a plain relay, upstream.
    package var other: LegFigures?

    package init(socket: LegFigures?, other: LegFigures?) {
        self.socket = socket
        self.other = other
    }
}

/// Whoever made a relay; told once of its end, and of its opening.
package protocol RelayOwner: AnyObject {
    /// Inbound: the application took the connection. Outbound: the peer answered 200.
    func relayOpened(head: HeaderBlock?)
    /// The relay is over; the last call. Not called for a connect or CONNECT that failed: `relayRefused` is.
    func relayEnded(_ outcome: RelayOutcome)
    /// The application's socket could not be connected, or the peer refused the CONNECT. The relay keeps the socket
    /// of an outbound connection open, so that another endpoint may be tried.
    func relayRefused(_ failure: TunnelFailure)
}

/// Joins an application's TCP socket to a tunnel stream, both directions and both half-closes.
///
/// Bytes of the application are read straight into the connection's output batch when the stream may send; bytes of the
/// stream are written straight from the decrypted batch. Only what the socket does not take is kept, at most one window.
package final class SocketRelay: EventHandler, TunnelSink {
    private enum Phase { case connecting, waiting, open, closed }

    unowned(unsafe) private let loop: EventLoop
    private let fd: Int32
    private var descriptor: Descriptor?
    private var phase: Phase
    package private(set) var stream: TunnelStream? {
        didSet { if let stream { streamReference = Unmanaged.passUnretained(stream) } else { streamReference = nil } }
    }
    /// The same, for the calls of every batch: not retained.
    private var streamReference: Unmanaged<TunnelStream>?
    private var owner: (any RelayOwner)?
    private var isReadable = false
    private var readsToTheEnd = false
    private var sourceEnded = false
    private var peerEnded = false
    private var isShutdown = false
    private var isTunnelClosed = false
    private var backlog = Backlog()
    private var pending = InlineArray<4, ByteRange>(repeating: ByteRange(nil, 0))
    private var pendingCount = 0
    private var bytesIn: UInt64 = 0
    private var bytesOut: UInt64 = 0
    private var deadline: Deadline?
    private var failure: TunnelFailure?
    private let share: FairShare
    private var charged = 0
    /// When the first byte of each direction was there, monotonic nanoseconds; 0 for not yet.
    package private(set) var firstFromSocket: UInt64 = 0
    package private(set) var firstToSocket: UInt64 = 0
    /// Whether the legs are to be looked at when it ends.
    package var isObserved = false
    // Outlives the stream where the legs are to be looked at.
    private var observedTunnel: TunnelConnection?

    /// The two legs as they are now.
    package var legs: RelayLegs {
        RelayLegs(
            socket: descriptor == nil ? nil : Kernel.legFigures(fd),
            other: (stream?.connection ?? observedTunnel)?.figures)
    }

    /// What it holds for a slow application, bytes.
    package var keptBytes: Int { charged }

    /// Bytes so far: from the application, to the application.
    package var bytes: (fromSocket: UInt64, toSocket: UInt64) { (bytesIn, bytesOut) }

    /// Takes over the application's socket: connected (outbound), or connecting (inbound), which is given
    /// ``TunnelConnection/stepLimit`` seconds.
    ///
    /// - Parameter share: its pod's share of the worker, whose account has what it holds for a slow application.
    /// - Throws: `SystemError` when the loop refuses it.
    package init(
        socket: consuming Descriptor, isConnected: Bool, loop: EventLoop, share: FairShare, owner: any RelayOwner
    ) throws(SystemError) {
        self.loop = loop
        self.share = share
        self.owner = owner
        fd = socket.number
        descriptor = consume socket
        phase = isConnected ? .waiting : .connecting
        super.init()
        try loop.add(self, descriptor: fd)
        if !isConnected { armDeadline() }
    }

    private func armDeadline() {
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: TunnelConnection.stepLimit), now: loop.now)
        self.deadline = deadline
    }

    /// Outbound: asks the peer for the destination on this connection; false when it takes no more streams.
    package func open(on connection: TunnelConnection, head: HeaderBlock) -> Bool {
        guard let stream = connection.open(head, sink: self) else { return false }
        self.stream = stream
        if isObserved { observedTunnel = connection }
        isTunnelClosed = false
        armDeadline()
        return true
    }

    /// Inbound: the stream to answer once the application has taken the connection.
    package func attach(_ stream: TunnelStream) {
        self.stream = stream
        if isObserved { observedTunnel = stream.connection }
        stream.attach(self)
    }

    /// Inbound: answers 200 and begins to relay; called by the owner from `relayOpened`.
    package func accept(_ head: HeaderBlock) {
        guard let stream else { return }
        phase = .open
        stream.respond(head, end: false)
        if !backlog.isEmpty { writeBacklog() }
        finishIfDone()
    }

    /// Ends both sides now, with RST towards the application.
    package func cut(_ failure: TunnelFailure) {
        guard phase != .closed else { return }
        self.failure = failure
        stream?.reset()
        finish(reset: true)
    }

    // MARK: - The socket

    package override func ready(_ readiness: Readiness) {
        switch phase {
        case .closed: return
        case .connecting: return finishConnect(readiness)
        case .waiting, .open: break
        }
        if !readiness.isDisjoint(with: .interruptions) { readsToTheEnd = true }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hungUp, .failed]) {
            isReadable = true
            if readiness.contains(.failed), phase == .open {
                // Not left to the next read: a stream without credit is not pulled, and its peer would never learn.
                let code = Kernel.pendingError(fd)
                if code != 0 { return socketBroke(code) }
            }
            if phase == .open, !sourceEnded { streamReference?._withUnsafeGuaranteedRef { $0.resume() } }
        }
        if readiness.contains(.writable), !backlog.isEmpty, phase == .open { writeBacklog() }
    }

    package override func expired(_ kind: UInt8) {
        deadline = nil
        switch phase {
        case .connecting:
            refuse(TunnelFailure(.connectTimeout, "connect to the application timed out"))
        case .waiting:
            let stream = self.stream
            self.stream = nil
            isTunnelClosed = true
            stream?.abandon()
            refuse(TunnelFailure(.tunnelTimeout, "the peer did not answer the CONNECT in time"))
        case .open, .closed:
            break
        }
    }

    private func finishConnect(_ readiness: Readiness) {
        guard !readiness.isDisjoint(with: [.writable, .failed, .hungUp]) else { return }
        // A connect that failed shows as an error condition; asking about every one costs a call per connection.
        let code = readiness.isDisjoint(with: [.failed, .hungUp]) ? 0 : Kernel.pendingError(fd)
        deadline = nil
        guard code == 0 else {
            return refuse(TunnelFailure(.connectFailed, "connect to the application: \(Kernel.errnoName(code))"))
        }
        phase = .waiting
        if !readiness.isDisjoint(with: [.readable, .peerClosed]) { isReadable = true }
        if !readiness.isDisjoint(with: .interruptions) { readsToTheEnd = true }
        owner?.relayOpened(head: nil)
    }

    /// Tells the owner that it did not come to a relay. An inbound relay is over then.
    private func refuse(_ failure: TunnelFailure) {
        if phase == .connecting {
            let owner = self.owner
            self.owner = nil
            // The owner still has the stream to answer on.
            stream?.detach()
            stream = nil
            close(reset: true)
            owner?.relayRefused(failure)
        } else {
            owner?.relayRefused(failure)
        }
    }

    /// Gives the application's socket up: its connection is refused. Outbound, after the last attempt.
    package func giveUp() {
        guard phase != .closed else { return }
        owner = nil
        observedTunnel = nil
        close(reset: true)
    }

    private func socketBroke(_ code: Int32) {
        if failure == nil {
            failure = TunnelFailure(.reset, "connection reset by the application: \(Kernel.errnoName(code))")
        }
        stream?.reset()
        finish(reset: true)
    }

    // MARK: - TunnelSink

    package var relay: SocketRelay? { self }

    package func tunnelAnswered(status: Int, head: HeaderBlock) {
        guard phase == .waiting else { return }
        deadline = nil
        guard status >= 200, status < 300 else {
            let stream = self.stream
            self.stream = nil
            isTunnelClosed = true
            stream?.abandon()
            let said = PeerReason(head)
            let text = said.details.isEmpty ? "http status: \(status)" : "http status: \(status): \(said.details)"
            return refuse(TunnelFailure(said.reason ?? .tunnelRefused, text, status: status))
        }
        phase = .open
        owner?.relayOpened(head: head)
        stream?.resume()
    }

    package func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) {
        guard phase != .closed else {
            stream?.consumed(count)
            return
        }
        if pendingCount == 4 { tunnelFlush() }
        pending[pendingCount] = ByteRange(UnsafeMutableRawPointer(mutating: bytes), count)
        pendingCount += 1
    }

    package func tunnelFlush() {
        guard pendingCount > 0 else { return }
        if firstToSocket == 0 { firstToSocket = loop.now }
        var total = 0
        for i in 0..<pendingCount { total += pending[i].count }
        var written = 0
        if phase == .open, backlog.isEmpty {
            let result = writePending()
            if result < 0, !Kernel.wouldBlock(result) {
                pendingCount = 0
                stream?.consumed(total)
                return socketBroke(Int32(-result))
            }
            written = max(0, result)
            bytesOut += UInt64(written)
        }
        if written < total {
            keepRest(after: written)
            stream?.stalled()
        }
        pendingCount = 0
        if written > 0 { streamReference?._withUnsafeGuaranteedRef { $0.consumed(written) } }
    }

    private func writePending() -> Int {
        if pendingCount == 1, let base = pending[0].base { return Kernel.write(fd, base, pending[0].count) }
        return withUnsafeTemporaryAllocation(of: ByteRange.self, capacity: 4) { vector in
            for i in 0..<pendingCount { vector.initializeElement(at: i, to: pending[i]) }
            guard let base = vector.baseAddress else { return 0 }
            return Kernel.writev(fd, base, Int32(pendingCount))
        }
    }

    private func keepRest(after written: Int) {
        var skip = written
        for i in 0..<pendingCount {
            let range = pending[i]
            if skip >= range.count {
                skip -= range.count
                continue
            }
            if let base = range.base { backlog.append(base + skip, range.count - skip) }
            skip = 0
        }
        settle()
    }

    /// Puts what the backlog holds on the account.
    private func settle() {
        let held = backlog.heldBytes
        guard held != charged else { return }
        let change = held - charged
        charged = held
        stream?.keeps(change)
        share.charge(change)
    }

    package func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        guard phase == .open, !sourceEnded else { return .later }
        guard isReadable else { return .later }
        let count = Kernel.read(fd, buffer, capacity)
        if count > 0 {
            if bytesIn == 0 { firstFromSocket = loop.now }
            bytesIn += UInt64(count)
            guard count < capacity, !readsToTheEnd else { return .bytes(count) }
            isReadable = false
            return .last(count)
        }
        if count == 0 {
            sourceEnded = true
            return .end
        }
        isReadable = false
        if Kernel.wouldBlock(count) { return .later }
        failure = TunnelFailure(.reset, "connection reset by the application: \(Kernel.errnoName(Int32(-count)))")
        sourceEnded = true
        return .broken
    }

    package func tunnelEnded() {
        peerEnded = true
        guard backlog.isEmpty, phase == .open else { return }
        // With both directions over, the stream is about to close and the socket with it: one call less.
        if sourceEnded { loop.mark(self) } else { shutdownSocket() }
    }

    package override func flush() {
        if peerEnded, backlog.isEmpty, phase == .open { shutdownSocket() }
    }

    package func tunnelClosed(code: UInt32, failure: TunnelFailure?) {
        stream = nil
        isTunnelClosed = true
        switch phase {
        case .closed:
            return
        case .connecting:
            refuse(failure ?? TunnelFailure(.reset, "the peer reset the stream before it was answered"))
        case .waiting:
            deadline = nil
            if let owner, bytesOut == 0, pendingCount == 0, backlog.isEmpty {
                var refusal =
                    failure ?? TunnelFailure(.tunnelRefused, "the peer reset the stream (\(code)) before it answered")
                refusal.isUnprocessed = code == HTTP2Engine.ErrorCode.refusedStream
                owner.relayRefused(refusal)
            } else {
                finish(reset: true)
            }
        case .open:
            // A stream without an end was cut short, whatever its code says: the application must not take what it has
            // for the whole.
            if code != 0 || failure != nil || !peerEnded {
                if self.failure == nil {
                    self.failure = failure ?? TunnelFailure(.reset, "stream reset by the peer (\(code))")
                }
                return finish(reset: true)
            }
            finishIfDone()
        }
    }

    // MARK: - Ending

    private func writeBacklog() {
        while let start = backlog.start {
            let result = Kernel.write(fd, start, backlog.count)
            if result < 0 {
                if !Kernel.wouldBlock(result) { socketBroke(Int32(-result)) }
                return
            }
            backlog.drop(result)
            bytesOut += UInt64(result)
            stream?.consumed(result)
        }
        settle()
        if peerEnded { shutdownSocket() }
        finishIfDone()
    }

    private func shutdownSocket() {
        guard !isShutdown else { return }
        isShutdown = true
        Kernel.shutdownWrite(fd)
    }

    private func finishIfDone() {
        if isTunnelClosed, phase == .open, backlog.isEmpty { finish(reset: false) }
    }

    private func finish(reset: Bool) {
        guard phase != .closed else { return }
        let owner = self.owner
        self.owner = nil
        var outcome = RelayOutcome(bytesFromSocket: bytesIn, bytesToSocket: bytesOut, failure: failure)
        outcome.firstFromSocket = firstFromSocket
        outcome.firstToSocket = firstToSocket
        if isObserved { outcome.legs = legs }
        observedTunnel = nil
        close(reset: reset)
        owner?.relayEnded(outcome)
    }

    private func close(reset: Bool) {
        phase = .closed
        deadline = nil
        backlog.removeAll()
        settle()
        if reset { Kernel.resetOnClose(fd) }
        loop.remove(self, descriptor: fd)
        descriptor = nil
        stream?.abandon()
        stream = nil
    }
}
