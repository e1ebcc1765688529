internal import AdminServer
internal import EventLoop
internal import HBONE
internal import HTTP1
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import TLS
internal import Telemetry

/// One data thread of the waypoint: its loop, tunnels, sessions and idle upstream connections. Shares nothing.
final class WaypointWorker {
    let loop: EventLoop
    let log: Log
    let writer = HTTP1MessageWriter()
    let upstreams = UpstreamPool()
    private(set) var routes = HTTPRouteTable.empty
    var random: RandomDraws
    let buffers: TunnelBuffers
    /// What all of its connections take of the loop and of the memory.
    let share: FairShare
    let settings: WaypointSettings
    var snapshot = MeshSnapshot.empty
    /// The workload that this waypoint is; nil while the state does not know it.
    var waypoint: Workload?
    var identity: WaypointIdentity?
    let traffic = TrafficTable()
    var requests = RequestTable()
    var refusals = RefusalRing()
    var repeats = RepeatGuard<String>()
    /// Accepted tunnel connections.
    var tunnels: [ObjectIdentifier: TunnelConnection] = [:]
    var sessions: [ObjectIdentifier: HTTPSession] = [:]
    var relays: [ObjectIdentifier: RelaySession] = [:]
    var isDraining = false
    private(set) lazy var pool = TunnelPool(
        loop: loop, buffers: buffers, dialer: self, streamsPerConnection: settings.streamsPerConnection,
        limits: settings.http2,
        idleSeconds: settings.poolReleaseSeconds)
    private var clock = HTTPClock()
    private var clockTurn: UInt64 = .max
    /// The tunnel socket; listened on while there is an identity to serve with, or was one.
    private let socket: Int32
    private var listener: ConnectionListener?
    private var receiver: MailboxReceiver<WaypointMessage>?

    /// - Parameters:
    ///   - socket: the listening socket, shared by all workers and closed by the program.
    ///   - memory: the account of the process.
    init(
        _ settings: WaypointSettings, socket: Int32, mailbox: Mailbox<WaypointMessage>, memory: MemoryAccount, log: Log
    ) throws(SystemError) {
        self.settings = settings
        self.socket = socket
        self.log = log
        loop = try EventLoop()
        buffers = TunnelBuffers(memory: memory)
        share = buffers.commonShare(loop)
        var generator = SystemRandomNumberGenerator()
        random = RandomDraws(seed: generator.next())
        receiver = try MailboxReceiver(mailbox, on: loop) { [unowned self] in take($0) }
        share.owner = self
    }

    /// Accepts from the first identity on.
    private func listen() {
        guard listener == nil, !isDraining, identity != nil else { return }
        do throws(SystemError) {
            listener = try ConnectionListener(descriptor: socket, loop: loop) { [unowned self] socket, peer in
                accept(socket, peer)
            } refused: { [unowned self] code in
                report(.warn, "accepting paused: \(Kernel.errnoName(code))")
            }
        } catch {
            report(.error, "a worker cannot accept tunnels: \(error)")
        }
    }

    /// Runs until it is told to stop.
    func run() {
        loop.run()
    }

    /// The Date field of this second.
    var date: String {
        if clockTurn != loop.turns {
            clockTurn = loop.turns
            clock.advance(to: Kernel.realtimeNow())
        }
        return clock.text
    }

    private func take(_ message: WaypointMessage) {
        switch message {
        case .mesh(let snapshot):
            self.snapshot = snapshot
            waypoint = snapshot.workload(namespace: settings.namespace, name: settings.name)
        case .routes(let table): routes = table
        case .identity(let identity):
            self.identity = identity
            listen()
        case .revoked(let list): cutRevoked(list)
        case .ask(let question, let reply): reply(answer(question))
        case .drain: drain()
        case .stop:
            for tunnel in Array(tunnels.values) {
                tunnel.close(TunnelFailure(.drainDeadline, "connection closed: shutdown"))
            }
            loop.stop()
        }
    }

    private func drain() {
        guard !isDraining else { return }
        isDraining = true
        listener?.close()
        listener = nil
        for session in Array(sessions.values) { session.drain() }
        for tunnel in Array(tunnels.values) { tunnel.drain() }
        upstreams.close()
        pool.drain()
    }

    private func answer(_ question: WorkerQuestion) -> WaypointAnswer {
        var answer = WaypointAnswer()
        let outgoing = pool.counts
        answer.worker.connections = UInt64(sessions.count + relays.count)
        answer.worker.tunnels = UInt64(tunnels.count + outgoing.connections)
        answer.worker.streams = UInt64(tunnels.values.reduce(0) { $0 + $1.streamCount } + outgoing.streams)
        answer.worker.requests = requests.total
        answer.worker.traffic = traffic.snapshot()
        answer.worker.refusals = refusals.newest(question.refusals)
        answer.worker.refusalsHeld = refusals.count
        answer.worker.live = liveConnections(question)
        answer.worker.cpuNanoseconds = Kernel.threadCPUTime()
        answer.worker.turns = loop.turns
        answer.requests = requests
        return answer
    }

    // MARK: - Upstreams

    /// Chooses an endpoint for a backend of what a client called, if network policies let the client go there.
    func choose(
        _ backend: HTTPRoute.Backend.Destination, called: L7Destination, for client: TunnelSource, excluding: [String]
    ) throws(RoutingCore.Refusal) -> L7Upstream {
        guard let waypoint else {
            throw RoutingCore.Refusal(.workloadUnknown, "the state does not know this waypoint's own workload")
        }
        let choice = try L7Upstream.choose(
            backend, called: called, waypoint: waypoint, excluding: excluding, in: snapshot, random: &random)
        let refusal = choice.networkPolicyRefusal(
            client: client.identity, at: client.address.ip, network: waypoint.fields.network, in: snapshot)
        if let refusal { throw refusal }
        return choice
    }

    /// A channel to an endpoint, not started.
    func channel(to upstream: L7Upstream) throws(TunnelFailure) -> Channel {
        guard upstream.isTunnelled else {
            let channel = try SocketChannel(to: upstream.address, loop: loop, buffers: buffers)
            channel.share = share
            return channel
        }
        guard let identity else {
            throw TunnelFailure(
                .certificateUnavailable, "this waypoint has no valid certificate", isBeforeRequest: true)
        }
        let isIPv4 = upstream.address.ip.isIPv4
        let own = waypoint?.fields.addresses.first { $0.isIPv4 == isIPv4 }
        let key = TunnelKey(
            source: identity.identity, expected: upstream.expected, sourceAddress: own ?? (isIPv4 ? .anyV4 : .anyV6),
            destination: SocketAddress(upstream.address.ip, ProxyPorts.hbone))
        let channel = TunnelChannel(to: upstream, key: key, pool: pool, loop: loop)
        channel.share = share
        return channel
    }

    /// A new upstream connection, not started.
    func dial(_ upstream: L7Upstream, key: UpstreamKey) throws(TunnelFailure) -> UpstreamConnection {
        UpstreamConnection(key: key, channel: try channel(to: upstream), pool: upstreams, loop: loop)
    }

    /// Starts what ``dial(_:key:)`` made; it may fail before this returns.
    func start(_ connection: UpstreamConnection) {
        start(connection.channel)
    }

    /// Starts what ``channel(to:)`` made; it may fail before this returns.
    func start(_ channel: Channel) {
        (channel as? TunnelChannel)?.dial()
    }
}

extension WaypointWorker: TunnelDialer {
    func tunnelSocket(for key: TunnelKey) throws(TunnelFailure) -> Descriptor {
        let number = Kernel.tcpSocket(ipv6: !key.destination.ip.isIPv4)
        guard number >= 0 else {
            throw TunnelFailure(.overLimit, "socket: \(Kernel.errnoName(-number))", isBeforeRequest: true)
        }
        return Descriptor(owning: number)
    }

    func tunnelContext(for key: TunnelKey) throws(TunnelFailure) -> TLSContext {
        guard let identity, identity.identity == key.source else {
            throw TunnelFailure(
                .certificateUnavailable, "no valid certificate for \(key.source)", isBeforeRequest: true)
        }
        return identity.client
    }
}
