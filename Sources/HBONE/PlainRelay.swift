package import EventLoop
internal import MeshModel
internal import Telemetry

/// Joins two TCP sockets, both directions and both half-closes, with a connect of the second under way.
///
/// Copies through the worker's 64 KiB buffer; a direction whose sink is blocked keeps at most one such buffer and reads
/// no more until it is gone.
package final class PlainRelay {
    /// One socket of the two.
    fileprivate final class Side: EventHandler {
        unowned(unsafe) var relay: PlainRelay?
        let fd: Int32
        var descriptor: Descriptor?
        var isReadable = false
        var readsToTheEnd = false
        var sourceEnded = false
        var isShutdown = false
        var backlog = Backlog()
        var charged = 0
        var bytesRead: UInt64 = 0
        var firstReadAt: UInt64 = 0

        init(_ socket: consuming Descriptor) {
            fd = socket.number
            descriptor = consume socket
        }

        override func ready(_ readiness: Readiness) {
            guard descriptor != nil else { return }
            if !readiness.isDisjoint(with: .interruptions) { readsToTheEnd = true }
            if !readiness.isDisjoint(with: [.readable, .peerClosed, .hungUp, .failed]) { isReadable = true }
            relay?.sideReady(self, readiness)
        }

        override func flush() {
            relay?.pump()
        }

        /// What its socket has yet to be given.
        var waiting: [UInt8] {
            guard let start = backlog.start else { return [] }
            return Array(UnsafeRawBufferPointer(start: start, count: backlog.count))
        }

        var part: PlainRelayParts.Side {
            PlainRelayParts.Side(
                bytesRead: bytesRead, sourceEnded: sourceEnded, isShutdown: isShutdown, waiting: backlog.count)
        }

        func resume(_ part: PlainRelayParts.Side, _ waiting: ArraySlice<UInt8>) {
            bytesRead = part.bytesRead
            sourceEnded = part.sourceEnded
            isShutdown = part.isShutdown
            waiting.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { backlog.append(base, bytes.count) }
            }
        }

        override func expired(_ kind: UInt8) {
            relay?.connectTimedOut()
        }
    }

    unowned(unsafe) private let loop: EventLoop
    unowned(unsafe) private let buffers: TunnelBuffers
    private let share: FairShare
    private let downstream: Side
    private let upstream: Side
    private var isConnecting = true
    private var owner: (any RelayOwner)?
    private var keepAlive: PlainRelay?
    private var deadline: Deadline?
    private static let batchesPerTurn = 4

    /// What it holds for slow readers, bytes.
    package var keptBytes: Int { downstream.charged + upstream.charged }

    /// Takes over a connected socket (downstream) and one whose connect has begun (upstream).
    ///
    /// - Parameter share: its pod's share of the worker.
    /// - Throws: `SystemError` when the loop refuses them.
    package init(
        downstream: consuming Descriptor, upstream: consuming Descriptor, loop: EventLoop, buffers: TunnelBuffers,
        share: FairShare, owner: any RelayOwner
    ) throws(SystemError) {
        self.loop = loop
        self.share = share
        self.buffers = buffers
        self.owner = owner
        self.downstream = Side(downstream)
        self.upstream = Side(upstream)
        try loop.add(self.downstream, descriptor: self.downstream.fd)
        do {
            try loop.add(self.upstream, descriptor: self.upstream.fd)
        } catch {
            loop.remove(self.downstream, descriptor: self.downstream.fd)
            throw error
        }
        self.downstream.relay = self
        self.upstream.relay = self
        keepAlive = self
        let deadline = Deadline(owner: self.upstream, kind: 0)
        deadline.arm(loop.deadlines(seconds: TunnelConnection.stepLimit), now: loop.now)
        self.deadline = deadline
    }

    /// Goes on where another relay, perhaps of another process, was taken apart.
    ///
    /// - Throws: `SystemError` when the loop refuses the sockets; both are reset then.
    package init(
        resuming parts: PlainRelayParts, loop: EventLoop, buffers: TunnelBuffers, share: FairShare,
        owner: any RelayOwner
    ) throws(SystemError) {
        self.loop = loop
        self.share = share
        self.buffers = buffers
        self.owner = owner
        let numbers = parts.sockets.take()
        guard numbers.count == 2 else { throw SystemError("take", 9) }
        downstream = Side(Descriptor(owning: numbers[0]))
        upstream = Side(Descriptor(owning: numbers[1]))
        isConnecting = false
        downstream.resume(parts.downstream, parts.bytes.prefix(parts.downstream.waiting))
        upstream.resume(parts.upstream, parts.bytes.dropFirst(parts.downstream.waiting))
        do throws(SystemError) {
            // Registering tells at once what became ready meanwhile.
            try loop.add(downstream, descriptor: downstream.fd)
            try loop.add(upstream, descriptor: upstream.fd)
        } catch {
            for side in [downstream, upstream] {
                Kernel.resetOnClose(side.fd)
                loop.remove(side, descriptor: side.fd)
            }
            throw error
        }
        downstream.relay = self
        upstream.relay = self
        keepAlive = self
        settle(downstream)
        settle(upstream)
        loop.mark(downstream)
    }

    /// Stops, and gives away both sockets and what was not delivered; nil while a connect is under way, and when it is over.
    /// Its owner hears nothing more.
    package func takeApart() -> PlainRelayParts? {
        guard !isConnecting, owner != nil, let down = downstream.descriptor.take(),
            let up = upstream.descriptor.take()
        else { return nil }
        let bytes = downstream.waiting + upstream.waiting
        let sockets = DescriptorBundle(owning: [down.release(), up.release()])
        let parts = PlainRelayParts(
            downstream: downstream.part, upstream: upstream.part, bytes: bytes, sockets: sockets)
        owner = nil
        deadline = nil
        for side in [downstream, upstream] {
            loop.remove(side, descriptor: side.fd)
            side.relay = nil
            side.backlog.removeAll()
            settle(side)
        }
        keepAlive = nil
        return parts
    }

    /// Whether the legs are to be looked at when it ends.
    package var isObserved = false

    /// The two legs as they are now: downstream is the `socket`.
    package var legs: RelayLegs {
        RelayLegs(
            socket: downstream.descriptor == nil ? nil : Kernel.legFigures(downstream.fd),
            other: upstream.descriptor == nil ? nil : Kernel.legFigures(upstream.fd))
    }

    /// When the first byte of each direction was there, monotonic nanoseconds; 0 for not yet.
    package var firstFromSocket: UInt64 { downstream.firstReadAt }
    package var firstToSocket: UInt64 { upstream.firstReadAt }

    /// Bytes so far: from downstream, to downstream.
    package var bytes: (fromSocket: UInt64, toSocket: UInt64) { (downstream.bytesRead, upstream.bytesRead) }

    /// Ends both sides now, with RST.
    package func cut(_ failure: TunnelFailure) {
        finish(failure)
    }

    fileprivate func sideReady(_ side: Side, _ readiness: Readiness) {
        if isConnecting, side === upstream {
            guard !readiness.isDisjoint(with: [.writable, .failed, .hungUp]) else { return }
            let code = readiness.isDisjoint(with: [.failed, .hungUp]) ? 0 : Kernel.pendingError(upstream.fd)
            guard code == 0 else {
                return refuse(TunnelFailure(.connectFailed, "connect: \(Kernel.errnoName(code))"))
            }
            isConnecting = false
            deadline = nil
            owner?.relayOpened(head: nil)
        }
        if !isConnecting { loop.mark(side) }
    }

    fileprivate func connectTimedOut() {
        guard isConnecting else { return }
        refuse(TunnelFailure(.connectTimeout, "connect timed out"))
    }

    private func refuse(_ failure: TunnelFailure) {
        let owner = self.owner
        self.owner = nil
        close(reset: true)
        owner?.relayRefused(failure)
    }

    /// Moves what can be moved, both ways.
    fileprivate func pump() {
        guard owner != nil else { return }
        guard move(from: downstream, to: upstream), move(from: upstream, to: downstream) else { return }
        if downstream.isShutdown, upstream.isShutdown { finish(nil) }
    }

    /// False when the relay has ended.
    private func move(from source: Side, to sink: Side) -> Bool {
        while let start = sink.backlog.start {
            let result = Kernel.write(sink.fd, start, sink.backlog.count)
            guard result >= 0 else { return Kernel.wouldBlock(result) || broke(sink, result) }
            sink.backlog.drop(result)
            settle(sink)
        }
        var batches = 0
        while source.isReadable, !source.sourceEnded {
            guard share.mayMove else {
                loop.mark(source, late: true)
                return true
            }
            let count = Kernel.read(source.fd, buffers.relay, TunnelBuffers.size)
            if count < 0 {
                source.isReadable = false
                return Kernel.wouldBlock(count) || broke(source, count)
            }
            if count == 0 {
                source.sourceEnded = true
                break
            }
            if source.firstReadAt == 0 { source.firstReadAt = loop.now }
            source.bytesRead += UInt64(count)
            share.spend(count)
            if count < TunnelBuffers.size, !source.readsToTheEnd { source.isReadable = false }
            var written = Kernel.write(sink.fd, buffers.relay, count)
            if written < 0 {
                guard Kernel.wouldBlock(written) else { return broke(sink, written) }
                written = 0
            }
            if written < count {
                sink.backlog.append(buffers.relay + written, count - written)
                settle(sink)
                return true
            }
            batches += 1
            if batches == Self.batchesPerTurn {
                loop.mark(source, late: true)
                return true
            }
        }
        if source.sourceEnded, sink.backlog.isEmpty, !sink.isShutdown {
            sink.isShutdown = true
            Kernel.shutdownWrite(sink.fd)
        }
        return true
    }

    /// Puts what a side's backlog holds on the account.
    private func settle(_ side: Side) {
        let held = side.backlog.heldBytes
        guard held != side.charged else { return }
        let change = held - side.charged
        side.charged = held
        share.charge(change)
    }

    private func broke(_ side: Side, _ result: Int) -> Bool {
        let who = side === downstream ? "the client" : "the server"
        finish(TunnelFailure(.reset, "connection reset by \(who): \(Kernel.errnoName(Int32(-result)))"))
        return false
    }

    private func finish(_ failure: TunnelFailure?) {
        guard let owner else { return }
        self.owner = nil
        let bytes = self.bytes
        var outcome = RelayOutcome(bytesFromSocket: bytes.fromSocket, bytesToSocket: bytes.toSocket, failure: failure)
        outcome.firstFromSocket = firstFromSocket
        outcome.firstToSocket = firstToSocket
        if isObserved { outcome.legs = legs }
        close(reset: failure != nil)
        owner.relayEnded(outcome)
    }

    private func close(reset: Bool) {
        deadline = nil
        for side in [downstream, upstream] {
            if reset { Kernel.resetOnClose(side.fd) }
            loop.remove(side, descriptor: side.fd)
            side.descriptor = nil
            side.relay = nil
            side.backlog.removeAll()
            settle(side)
        }
        keepAlive = nil
    }
}
