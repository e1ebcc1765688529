internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore

/// A channel that is one CONNECT stream of a tunnel connection: the client's to us, or ours to an endpoint.
final class TunnelChannel: Channel, TunnelSink, TunnelWaiter {
    private enum Phase { case waiting, opening, open, closed }

    private var phase: Phase
    private var stream: TunnelStream?
    /// The stream's source said "later": it has to be resumed.
    private var isDeferred = false
    private var hasSaidEnd = false
    /// Nobody is left to make more output; the stream is reset behind it.
    private var isCut = false
    // What a client-side channel dials with.
    private let key: TunnelKey?
    private let authority: SocketAddress?
    private unowned(unsafe) let pool: TunnelPool?
    private unowned(unsafe) let loop: EventLoop
    private var deadline: Deadline?
    private var attempts = 0

    /// Answers a client's CONNECT with 200 and takes its stream over.
    init(accepting stream: TunnelStream, loop: EventLoop) {
        self.stream = stream
        self.loop = loop
        phase = .open
        (key, authority, pool) = (nil, nil, nil)
        super.init()
        stream.attach(self)
        var head = HeaderBlock()
        head.append(":status", "200")
        stream.respond(head, end: false)
    }

    /// Prepares a stream to an endpoint; ``dial()`` opens it.
    init(to upstream: L7Upstream, key: TunnelKey, pool: TunnelPool, loop: EventLoop) {
        self.key = key
        self.pool = pool
        self.loop = loop
        authority = upstream.address
        phase = .waiting
        super.init()
    }

    /// Asks the pool for a connection; the receiver hears of it, possibly before this returns.
    func dial() {
        guard let key, let pool else { return }
        pool.checkout(key, self)
    }

    // MARK: - TunnelWaiter

    func tunnelAvailable(_ connection: TunnelConnection) {
        guard phase == .waiting, let authority else { return }
        var head = HeaderBlock()
        head.append(":method", "CONNECT")
        head.append(":authority", authority.description)
        guard let stream = connection.open(head, sink: self) else {
            // It filled up or began to end between the pool's look and ours.
            attempts += 1
            guard attempts < 3 else {
                return tunnelUnavailable(TunnelFailure(.draining, "the tunnel takes no streams", isBeforeRequest: true))
            }
            return dial()
        }
        self.stream = stream
        phase = .opening
        arm()
    }

    func tunnelUnavailable(_ failure: TunnelFailure) {
        guard phase == .waiting else { return }
        phase = .closed
        finish(failure)
    }

    override func expired(_ kind: UInt8) {
        if isCut { return abort() }
        guard phase == .opening else { return }
        close(TunnelFailure(.tunnelTimeout, "the peer did not answer the CONNECT in time", isBeforeRequest: true))
    }

    // MARK: - Channel

    override func outputChanged() {
        guard phase == .open, isDeferred else { return }
        isDeferred = false
        stream?.resume()
    }

    override func consumed(_ count: Int) {
        stream?.consumed(count)
    }

    override func abort() {
        guard phase != .closed else { return }
        if phase == .waiting, let key { pool?.cancel(key, self) }
        phase = .closed
        deadline = nil
        detach()
        let stream = self.stream
        self.stream = nil
        stream?.abandon()
    }

    override func cut() {
        guard phase == .open, pending > 0 else { return abort() }
        isCut = true
        receiver = nil
        arm()
        if isDeferred {
            isDeferred = false
            stream?.resume()
        }
    }

    private func arm() {
        let deadline = Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: TunnelConnection.stepLimit), now: loop.now)
        self.deadline = deadline
    }

    private func close(_ failure: TunnelFailure?) {
        phase = .closed
        deadline = nil
        let stream = self.stream
        self.stream = nil
        stream?.abandon()
        finish(failure)
    }

    // MARK: - TunnelSink

    func tunnelAnswered(status: Int, head: HeaderBlock) {
        guard phase == .opening else { return }
        guard (200..<300).contains(status) else {
            let said = PeerReason(head)
            let details = said.details.isEmpty ? "" : ": \(said.details)"
            return close(
                TunnelFailure(
                    said.reason ?? .tunnelRefused, "the peer answered the CONNECT with \(status)\(details)",
                    status: status, isBeforeRequest: true))
        }
        deadline = nil
        phase = .open
        receiver?.channelOpened(self)
        if phase == .open, pending > 0 || isEnding { stream?.resume() }
    }

    func tunnelData(_ bytes: UnsafeRawPointer, _ count: Int) {
        guard let receiver else {
            stream?.consumed(count)
            return
        }
        receiver.channelReceived(self, bytes, count)
    }

    func tunnelFlush() {}

    func tunnelPull(into buffer: UnsafeMutableRawPointer, capacity: Int) -> Pull {
        guard phase == .open, !hasSaidEnd else {
            isDeferred = true
            return .later
        }
        guard let start = output.start, pending > 0 else {
            if isCut { return .broken }
            if isEnding {
                hasSaidEnd = true
                return .end
            }
            isDeferred = true
            return .later
        }
        let count = min(capacity, pending)
        buffer.copyMemory(from: start, byteCount: count)
        output.drop(count)
        outputLeft()
        return .bytes(count)
    }

    func tunnelEnded() {
        receiver?.channelEnded(self)
    }

    func tunnelClosed(code: UInt32, failure: TunnelFailure?) {
        guard phase != .closed else { return }
        let isEarly = phase == .opening
        phase = .closed
        deadline = nil
        stream = nil
        let wasCut = code != 0 || isEarly || pending > 0 || !hasSaidEnd
        let reset = TunnelFailure(.reset, "the peer reset the stream (code \(code))", isBeforeRequest: isEarly)
        finish(failure ?? (wasCut ? reset : nil))
    }
}
