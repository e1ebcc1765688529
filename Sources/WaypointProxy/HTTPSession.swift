internal import EventLoop
internal import HBONE
internal import HTTP1
internal import MeshModel
internal import RoutingCore
internal import Telemetry

/// A client's HTTP/1.1 connection inside one tunnel stream: reads requests one by one, routes each, and passes bytes both
/// ways with back-pressure.
///
/// The body of a request is held back until its upstream stands, so that a failed dial can be tried elsewhere; from then on
/// nothing is kept but what the next hop has not taken.
final class HTTPSession: EventHandler, ChannelReceiver, HTTP1RequestDelegate {
    enum Phase {
        /// Between requests, or in a head.
        case idle
        /// A request is routed; its upstream is being found.
        case connecting
        /// Bytes pass.
        case exchanging
        /// The last answer is given: what still comes is dropped until the client closes.
        case closing
        case closed
    }
    /// What the one deadline of the connection is about.
    private enum Limit { case quiet, idle, head, closing }

    static let quietSeconds = 10.0
    static let idleSeconds = 3600.0
    static let headSeconds = Limits.standard.messageHeadSeconds
    static let closingSeconds = 10.0
    /// A body that nobody wants is read and dropped up to this, so that the connection stays usable.
    static let discardLimit = 1 << 20
    static let attemptLimit = 3

    let channel: Channel
    let source: TunnelSource
    let destination: L7Destination
    unowned(unsafe) let worker: WaypointWorker
    private(set) lazy var parser = HTTP1RequestParser(delegate: self)
    var phase = Phase.idle
    var exchange = Exchange()
    var upstream: UpstreamConnection?
    /// Input that the parser has not taken.
    private var unread: [UInt8] = []
    private var isFeeding = false
    private var owed = 0
    private var clientEnded = false
    private var isDraining = false
    private lazy var deadline = Deadline(owner: self, kind: 0)
    private var armed: Limit?
    /// What counts this connection.
    let series: TrafficTable.SeriesIndex
    /// The row of the request table that was used last, and for which workload.
    private var knownRow: (row: Int, workload: Workload?)?
    // What the destination leads to, as long as the routes are these.
    private var knownTable: HTTPRouteTable?
    private var knownRoutes: HTTPRouteTable.Routes?

    init(channel: Channel, source: TunnelSource, destination: L7Destination, worker: WaypointWorker) {
        self.channel = channel
        self.source = source
        self.destination = destination
        series = worker.traffic.series(for: worker.labels(source, destination, nil, isHTTP: true))
        self.worker = worker
        super.init()
        channel.receiver = self
        arm(.quiet)
        worker.opened(self)
    }

    /// Where this request is counted; looked up again only when another workload answers than the last time.
    var row: Int {
        let workload = exchange.choice?.workload
        if let knownRow, knownRow.workload === workload { return knownRow.row }
        let row = worker.requests.row(worker.labels(source, destination, workload, isHTTP: true))
        knownRow = (row, workload)
        return row
    }

    /// Why the request was not answered by its upstream.
    var flag: RequestFlag {
        guard let reason = exchange.reason else { return .none }
        return RequestFlag(reason, isConnected: exchange.requestSent, isByClient: exchange.isCutByClient)
    }

    /// The routes in force for what the client called; nil when it is its own backend.
    var routes: HTTPRouteTable.Routes? {
        if knownTable !== worker.routes {
            knownTable = worker.routes
            knownRoutes = worker.routes.routes(at: destination.address, service: destination.service?.serviceName)
        }
        return knownRoutes
    }

    /// Lets the request under way end, then closes.
    func drain() {
        isDraining = true
        if phase == .idle, parser.isIdle { beginClosing() }
    }

    /// Whether the client may send another request after this one.
    var mayKeepAlive: Bool { parser.head.keepAlive && !isDraining && !clientEnded }

    // MARK: - Deadlines

    private func arm(_ limit: Limit) {
        let seconds =
            switch limit {
            case .quiet: Self.quietSeconds
            case .idle: Self.idleSeconds
            case .head: Self.headSeconds
            case .closing: Self.closingSeconds
            }
        armed = limit
        deadline.arm(worker.loop.deadlines(seconds: seconds), now: worker.loop.now)
    }

    /// Gives a client whose request nobody wants any more little time for the rest of it.
    func armForDiscarding() { arm(.closing) }

    func disarm() {
        armed = nil
        deadline.cancel()
    }

    override func expired(_ kind: UInt8) {
        let limit = armed
        armed = nil
        switch limit {
        case .quiet:
            guard phase == .idle, parser.isIdle else { return }
            parser.release()
            arm(.idle)
        case .idle: beginClosing()
        case .head:
            guard phase == .idle else { return }
            refuseUnread(408, .requestInvalid, "the request's head did not come in \(Int(Self.headSeconds)) s")
        case .closing:
            channel.abort()
            release()
        case nil: break
        }
    }

    // MARK: - ChannelReceiver

    func channelOpened(_ channel: Channel) {}

    func channelReceived(_ channel: Channel, _ bytes: UnsafeRawPointer, _ count: Int) {
        guard phase != .closing, phase != .closed else { return channel.consumed(count) }
        owed += count
        if unread.isEmpty, !isFeeding {
            isFeeding = true
            let consumed = parser.receive(bytes, count: count)
            isFeeding = false
            if consumed < count, phase != .closing, phase != .closed {
                unread.append(contentsOf: UnsafeRawBufferPointer(start: bytes + consumed, count: count - consumed))
                feed()
            }
        } else {
            unread.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
            feed()
        }
        if phase == .idle, !parser.isIdle, armed != .head { arm(.head) }
        settle()
    }

    /// Gives the parser what it left, as far as it takes it now.
    func feed() {
        guard !isFeeding else { return }
        isFeeding = true
        while !unread.isEmpty, !parser.isPaused, !parser.hasEnded, phase != .closing, phase != .closed {
            let input = unread
            unread = []
            let consumed = input.withUnsafeBytes { bytes in
                bytes.baseAddress.map { parser.receive($0, count: bytes.count) } ?? 0
            }
            if consumed < input.count { unread = Array(input[consumed...]) }
            if consumed == 0 { break }
        }
        isFeeding = false
        if clientEnded { checkForEnd() }
        settle()
    }

    /// Lets the client send more unless the endpoint is behind.
    func settle() {
        guard owed > 0 else { return }
        if phase != .closing {
            guard unread.isEmpty else { return }
            if let upstream, upstream.channel.isFull {
                upstream.channel.wantsDrained = true
                return
            }
        }
        let count = owed
        owed = 0
        channel.consumed(count)
    }

    func channelDrained(_ channel: Channel) {
        upstream?.settle()
    }

    func channelEnded(_ channel: Channel) {
        clientEnded = true
        checkForEnd()
    }

    /// The client sends no more: what it began must be whole.
    private func checkForEnd() {
        guard unread.isEmpty else { return }
        switch phase {
        case .idle:
            if parser.isIdle { beginClosing() } else { refuseUnread(400, .requestInvalid, "the request was cut short") }
        case .connecting, .exchanging:
            guard !exchange.requestEnded else { return }
            fail(400, .requestInvalid, "the client ended its side in the midst of a request")
        case .closing, .closed: break
        }
    }

    func channelClosed(_ channel: Channel, _ failure: TunnelFailure?) {
        guard phase != .closed else { return }
        if phase == .connecting || phase == .exchanging {
            exchange.reason = exchange.reason ?? .reset
            exchange.isCutByClient = true
            exchange.detail = "the client closed before the answer was complete"
            worker.completed(self)
        }
        release()
    }

    // MARK: - Ending

    /// Says no more, and waits for the client to close.
    func beginClosing() {
        guard phase != .closing, phase != .closed else { return }
        phase = .closing
        parser.stop()
        unread = []
        dropUpstream()
        channel.end()
        settle()
        arm(.closing)
    }

    /// Cuts the client off: it must not take what it has for a whole answer.
    func abort() {
        guard phase != .closed else { return }
        channel.cut()
        release()
    }

    private func release() {
        phase = .closed
        disarm()
        parser.stop()
        unread = []
        dropUpstream()
        worker.closed(self)
    }

    func dropUpstream() {
        let upstream = self.upstream
        self.upstream = nil
        upstream?.close()
    }

    /// Goes on once both the request and its answer have ended.
    func completeIfDone() {
        guard exchange.requestEnded, exchange.responseEnded, phase == .connecting || phase == .exchanging else {
            return
        }
        worker.completed(self)
        if let upstream {
            self.upstream = nil
            upstream.finish(mayReuse: exchange.requestSent && upstream.parser.head.keepAlive)
        }
        guard exchange.keepsAlive, !isDraining, !clientEnded || !unread.isEmpty else { return beginClosing() }
        phase = .idle
        parser.startNext()
        arm(.quiet)
        feed()
    }
}
