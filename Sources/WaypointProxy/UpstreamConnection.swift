internal import EventLoop
internal import HBONE
internal import HTTP1
internal import MeshModel

/// How an upstream connection failed a request.
enum UpstreamFailure {
    /// It was never there: nothing of the request has left.
    case connect(TunnelFailure)
    /// It ended in the midst.
    case cut(TunnelFailure?)
    /// What came is not a response.
    case invalid(HTTP1Failure)
}

/// One HTTP/1.1 connection to an endpoint; serves one request after the other.
final class UpstreamConnection: EventHandler, ChannelReceiver, HTTP1ResponseDelegate {
    let key: UpstreamKey
    let channel: Channel
    /// The request under way; nil while idle.
    private(set) var exchange: HTTPSession?
    private(set) var isOpen = false
    /// Requests begun on it.
    private(set) var requests = 0
    private(set) lazy var parser = HTTP1ResponseParser(delegate: self)
    private var owed = 0
    private var isDead = false
    private var isReceiving = false
    /// Its response ended within the bytes being read: it is kept only if they end there too.
    private var isFinished = false
    private var deadline: Deadline?
    private unowned(unsafe) let pool: UpstreamPool
    private unowned(unsafe) let loop: EventLoop

    init(key: UpstreamKey, channel: Channel, pool: UpstreamPool, loop: EventLoop) {
        self.key = key
        self.channel = channel
        self.pool = pool
        self.loop = loop
        super.init()
        channel.receiver = self
    }

    /// Whether it has served a request before: the far end may have closed it while the new one was on its way.
    var isReused: Bool { requests > 1 }

    /// Binds the connection to a request.
    func begin(_ session: HTTPSession) {
        deadline?.cancel()
        exchange = session
        requests += 1
    }

    /// The request and its response are done: the connection is kept when it can carry another.
    func finish(mayReuse: Bool) {
        exchange = nil
        guard mayReuse, !isDead, parser.isIdle else { return close() }
        guard !isReceiving else {
            isFinished = true
            return
        }
        guard pool.put(self) else { return close() }
        let deadline = self.deadline ?? Deadline(owner: self, kind: 0)
        deadline.arm(loop.deadlines(seconds: UpstreamPool.idleSeconds), now: loop.now)
        self.deadline = deadline
        settle()
    }

    /// Ends it now; its request, if any, hears nothing.
    func close() {
        guard !isDead else { return }
        isDead = true
        exchange = nil
        deadline = nil
        parser.stop()
        channel.abort()
    }

    override func expired(_ kind: UInt8) {
        guard exchange == nil else { return }
        pool.remove(self)
        close()
    }

    /// Lets the endpoint send more unless the client is behind.
    func settle() {
        guard owed > 0 else { return }
        if let exchange, exchange.channel.isFull {
            exchange.channel.wantsDrained = true
            return
        }
        let count = owed
        owed = 0
        channel.consumed(count)
    }

    // MARK: - ChannelReceiver

    func channelOpened(_ channel: Channel) {
        isOpen = true
        exchange?.upstreamOpened(self)
    }

    func channelReceived(_ channel: Channel, _ bytes: UnsafeRawPointer, _ count: Int) {
        owed += count
        isReceiving = true
        _ = parser.receive(bytes, count: count)
        isReceiving = false
        if isFinished {
            isFinished = false
            finish(mayReuse: true)
        }
        if !isDead { settle() }
    }

    func channelDrained(_ channel: Channel) {
        exchange?.settle()
    }

    func channelEnded(_ channel: Channel) {
        parser.receiveEnd()
        ended(nil)
    }

    func channelClosed(_ channel: Channel, _ failure: TunnelFailure?) {
        if isOpen { parser.receiveEnd() }
        ended(failure)
    }

    /// The far end sends no more: nothing can follow on this connection.
    private func ended(_ failure: TunnelFailure?) {
        guard !isDead else { return }
        guard let exchange else {
            pool.remove(self)
            return close()
        }
        fail(exchange, !isOpen ? .connect(failure ?? TunnelFailure(.reset, "closed")) : .cut(failure))
    }

    private func fail(_ exchange: HTTPSession, _ failure: UpstreamFailure) {
        close()
        exchange.upstreamFailed(self, failure)
    }

    // MARK: - HTTP1ResponseDelegate

    func parser(_ parser: HTTP1ResponseParser, didReadHead head: HTTP1ResponseHead) {
        exchange?.upstreamResponded(self, head)
    }

    func parser(_ parser: HTTP1ResponseParser, didReadBody bytes: UnsafeRawPointer, count: Int) {
        exchange?.upstreamSent(bytes, count)
    }

    func parserDidEndResponse(_ parser: HTTP1ResponseParser) {
        exchange?.upstreamEnded(self)
    }

    func parser(_ parser: HTTP1ResponseParser, didFail failure: HTTP1Failure) {
        guard !isDead else { return }
        guard let exchange else {
            pool.remove(self)
            return close()
        }
        fail(exchange, failure == .truncated ? .cut(nil) : .invalid(failure))
    }
}
