internal import EventLoop
internal import HBONE
internal import MeshModel

/// A channel that is a plain TCP connection to a workload outside the mesh.
final class SocketChannel: Channel {
    private enum Phase { case connecting, open, closed }

    /// Bytes given to the receiver and not yet consumed at which reading stops.
    private static let window = 262_144
    private static let batchesPerTurn = 8
    private static let connectLimit = 10.0

    private let remote: SocketAddress
    private let fd: Int32
    private var descriptor: Descriptor?
    private var phase = Phase.connecting
    private var isReadable = false
    private var hasEnded = false
    private var isShutdown = false
    private var unconsumed = 0
    private var deadline: Deadline?
    private unowned(unsafe) let loop: EventLoop
    private unowned(unsafe) let buffers: TunnelBuffers

    /// Starts the connect.
    /// - Throws: when no socket can be had or the network refuses at once.
    init(to remote: SocketAddress, loop: EventLoop, buffers: TunnelBuffers) throws(TunnelFailure) {
        self.remote = remote
        self.loop = loop
        self.buffers = buffers
        let number = Kernel.tcpSocket(ipv6: !remote.ip.isIPv4)
        guard number >= 0 else {
            throw TunnelFailure(.overLimit, "socket: \(Kernel.errnoName(-number))", isBeforeRequest: true)
        }
        fd = number
        descriptor = Descriptor(owning: number)
        super.init()
        Kernel.setNoDelay(number)
        let result = Kernel.connect(number, remote, ipv6Socket: !remote.ip.isIPv4)
        guard result == 0 || Kernel.isInProgress(result) else {
            throw TunnelFailure(
                .connectFailed, "connect to \(remote): \(Kernel.errnoName(-result))", isBeforeRequest: true)
        }
        do {
            try loop.add(self, descriptor: number)
        } catch {
            throw TunnelFailure(.overLimit, "\(error)", isBeforeRequest: true)
        }
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: Self.connectLimit), now: loop.now)
        self.deadline = deadline
    }

    // MARK: - Events

    override func ready(_ readiness: Readiness) {
        switch phase {
        case .closed: return
        case .connecting:
            guard finishConnect(readiness) else { return }
        case .open: break
        }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hungUp, .failed]) {
            isReadable = true
            read()
        }
        if phase == .open, readiness.contains(.writable) { write() }
    }

    override func flush() {
        guard phase == .open else { return }
        write()
        if phase == .open { read() }
    }

    override func expired(_ kind: UInt8) {
        guard phase == .connecting else { return }
        close(TunnelFailure(.connectTimeout, "connect to \(remote) timed out", isBeforeRequest: true))
    }

    private func finishConnect(_ readiness: Readiness) -> Bool {
        guard !readiness.isDisjoint(with: [.writable, .failed, .hungUp]) else { return false }
        let code = Kernel.pendingError(fd)
        guard code == 0 else {
            close(
                TunnelFailure(
                    .connectFailed, "connect to \(remote): \(Kernel.errnoName(code))", isBeforeRequest: true))
            return false
        }
        deadline = nil
        phase = .open
        receiver?.channelOpened(self)
        return phase == .open
    }

    // MARK: - Bytes

    private func read() {
        var batches = 0
        while isReadable, !hasEnded, unconsumed < Self.window, phase == .open {
            guard batches < Self.batchesPerTurn else { return loop.mark(self) }
            batches += 1
            let count = Kernel.read(fd, buffers.relay, TunnelBuffers.size)
            if count > 0 {
                unconsumed += count
                receiver?.channelReceived(self, buffers.relay, count)
            } else if count == 0 {
                hasEnded = true
                receiver?.channelEnded(self)
                finishIfDone()
            } else if Kernel.wouldBlock(count) {
                isReadable = false
            } else {
                close(TunnelFailure(.reset, "read from \(remote): \(Kernel.errnoName(Int32(-count)))"))
            }
        }
    }

    private func write() {
        while let start = output.start, pending > 0 {
            let result = Kernel.write(fd, start, pending)
            guard result >= 0 else {
                if !Kernel.wouldBlock(result) {
                    close(TunnelFailure(.reset, "write to \(remote): \(Kernel.errnoName(Int32(-result)))"))
                }
                return
            }
            output.drop(result)
            outputLeft()
        }
        if isEnding, !isShutdown {
            isShutdown = true
            Kernel.shutdownWrite(fd)
        }
        finishIfDone()
    }

    private func finishIfDone() {
        if phase == .open, hasEnded, isShutdown { close(nil) }
    }

    // MARK: - Channel

    override func outputChanged() {
        if phase == .open { loop.mark(self) }
    }

    override func consumed(_ count: Int) {
        let wasStopped = unconsumed >= Self.window
        unconsumed -= count
        if wasStopped, unconsumed < Self.window, phase == .open { loop.mark(self) }
    }

    override func abort() {
        guard phase != .closed else { return }
        detach()
        release(reset: true)
    }

    private func close(_ failure: TunnelFailure?) {
        guard phase != .closed else { return }
        release(reset: failure != nil)
        finish(failure)
    }

    private func release(reset: Bool) {
        phase = .closed
        deadline = nil
        if reset { Kernel.resetOnClose(fd) }
        loop.remove(self, descriptor: fd)
        descriptor = nil
    }
}
