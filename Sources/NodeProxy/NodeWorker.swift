internal import AdminServer
internal import Capture
internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import TLS
internal import Telemetry

/// One data thread of the node: its loop, buffers and pods. Shares nothing; made and used on its own thread.
final class NodeWorker {
    let index: Int
    let settings: NodeSettings
    let mailboxes: [Mailbox<NodeMessage>]
    let log: Log
    let loop: EventLoop
    let buffers = TunnelBuffers()
    let traffic = TrafficTable()
    var snapshot = MeshSnapshot.empty
    var contexts: [SpiffeID: IdentityContexts] = [:] {
        didSet { for site in pods.values { site.admitWaiting() } }
    }
    var pods: [String: PodSite] = [:]
    var refusals = RefusalRing()
    var journal = FlowJournal()
    var flows = FlowRing()
    /// Flows are recorded until then (monotonic nanoseconds), and have been since then (of 1970).
    var observedUntil: UInt64 = 0
    var observedSince: UInt64 = 0
    var repeats = RepeatGuard<String>()
    var random: RandomDraws
    var seriesCache: [SeriesKey: TrafficTable.SeriesIndex] = [:]
    var isDraining = false
    var drainClock: DrainClock?
    let services: NodeServices
    /// Endpoints that new connections avoid.
    var setAside = SetAsideEndpoints()
    var lookups: [UInt64: NameLookup] = [:]
    var nextLookup: UInt64 = 0
    private var receiver: MailboxReceiver<NodeMessage>?

    init(
        index: Int, settings: NodeSettings, mailboxes: [Mailbox<NodeMessage>], log: Log, services: NodeServices
    ) throws(SystemError) {
        self.index = index
        self.settings = settings
        self.mailboxes = mailboxes
        self.log = log
        self.services = services
        loop = try EventLoop()
        var generator = SystemRandomNumberGenerator()
        random = RandomDraws(seed: generator.next())
        receiver = try MailboxReceiver(mailboxes[index], on: loop) { [unowned self] message in take(message) }
    }

    /// Runs until it is told to stop.
    func run() {
        loop.run()
    }

    private func take(_ message: NodeMessage) {
        switch message {
        case .snapshot(let snapshot): adopt(snapshot)
        case .credentials(let identity, let contexts): self.contexts[identity] = contexts
        case .revoked(let list): for site in pods.values { site.cutRevoked(list) }
        case .podOpened(let location, let sockets): open(location, sockets)
        case .podServed(let pod): serve(pod)
        case .podClosed(let location, let reason): close(location.pod, reason: reason)
        case .handOver(let handover): take(handover)
        case .lookedUp(let id, let answer): lookedUp(id, answer)
        case .ask(let reply): reply(answer(WorkerQuestion()))
        case .inspect(let question, let reply): reply(answer(question))
        case .rehearse(let candidate, let reply): reply(rehearse(candidate))
        case .drain: drain()
        case .handOverRelays(let reply): reply(pods.values.flatMap { $0.handOverRelays() })
        case .resume(let inherited): resume(inherited)
        case .yield(let pods): yield(pods)
        case .count(let reply): reply(unfinished)
        case .cutAll: cutAll()
        case .stop:
            for pod in Array(pods.keys) { close(pod, reason: .drainDeadline) }
            // Their deadlines belong to the loop, which may go first.
            drainClock = nil
            lookups = [:]
            loop.stop()
        }
    }

    // MARK: - State

    private func adopt(_ snapshot: MeshSnapshot) {
        self.snapshot = snapshot
        seriesCache.removeAll(keepingCapacity: true)
        journal.forgetObjects()
        for site in pods.values {
            site.adopt(snapshot)
            site.review()
            site.admitWaiting()
        }
    }

    private func open(_ location: PodLocation, _ sockets: PodSockets) {
        close(location.pod, reason: .podRemoved)
        let site = PodSite(location, sockets, worker: self)
        pods[location.pod] = site
        site.adopt(snapshot)
    }

    private func serve(_ pod: String) {
        do throws(SystemError) {
            try pods[pod]?.listen()
        } catch {
            report(.error, "pod \(pod) cannot be served on worker \(index): \(error)")
        }
    }

    private func close(_ pod: String, reason: Reason) {
        guard let site = pods.removeValue(forKey: pod) else { return }
        site.close(TunnelFailure(reason, "connection closed: \(reason == .podRemoved ? "the pod left" : "shutdown")"))
    }

    private func take(_ handover: OutboundHandover) {
        let socket = Descriptor(owning: handover.descriptor)
        guard let site = pods[handover.pod] else { return Kernel.resetOnClose(socket.number) }
        site.carry(socket, handover)
    }

    private func answer(_ question: WorkerQuestion) -> WorkerAnswer {
        var answer = WorkerAnswer()
        if let flows = question.flows {
            answer.flows = self.answer(flows)
            return answer
        }
        forgetFlows()
        for site in pods.values {
            site.countBytes()
            let counts = site.counts
            answer.podConnections[site.location.pod] = UInt64(counts.connections)
            answer.connections += UInt64(counts.connections)
            answer.tunnels += UInt64(counts.tunnels)
            answer.streams += UInt64(counts.streams)
        }
        answer.traffic = traffic.snapshot()
        answer.refusals = refusals.newest(question.refusals)
        answer.refusalsHeld = refusals.count
        if question.journal { answer.journal = journalAnswer }
        answer.live = question.connections > 0 ? liveConnections(question) : []
        answer.cpuNanoseconds = Kernel.threadCPUTime()
        answer.turns = loop.turns
        return answer
    }

    // MARK: - Telling

    /// One line for the operator; the same text at most once a second.
    func report(_ level: LogLevel, _ text: String) {
        guard let held = repeats.admits(text, now: loop.now) else { return }
        log.write(level, .proxy, text, now: Kernel.realtimeNow()) { line in
            if held > 0 { line.field("repeated", number: held) }
        }
    }

    /// A connection begins: its labels' series, looked up once.
    func opened(_ record: inout ConnectionRecord) {
        let key = SeriesKey(record)
        let series: TrafficTable.SeriesIndex
        if let known = seriesCache[key] {
            series = known
        } else {
            if seriesCache.count >= 65_536 { seriesCache.removeAll() }
            series = traffic.series(for: record.labels)
            seriesCache[key] = series
        }
        record.series = series
        traffic.opened(series)
        if log.isEnabled(.debug, .access) {
            log.opened(record.access(nil, failure: nil, now: loop.now), now: Kernel.realtimeNow())
        }
    }

    /// A connection ended, well or badly: metrics, access log, and the ring when it was refused.
    func closed(_ record: inout ConnectionRecord, _ outcome: RelayOutcome?, _ failure: TunnelFailure?) {
        if let series = record.series {
            if let outcome { count(&record, fromSocket: outcome.bytesFromSocket, toSocket: outcome.bytesToSocket) }
            traffic.closed(series, flag: failure.map { ResponseFlag($0.reason) } ?? .none)
        }
        if let failure { remember(record, failure) }
        note(record, failure)
        if isObserving { observe(record, outcome, failure) }
        if log.isEnabled(.info, .access) || failure != nil {
            log.complete(record.access(outcome, failure: failure, now: loop.now), now: Kernel.realtimeNow())
        }
    }

    /// Adds what a connection has moved since it was last counted, so that a long one shows while it lives.
    func count(_ record: inout ConnectionRecord, fromSocket: UInt64, toSocket: UInt64) {
        guard let series = record.series else { return }
        let up = Int(fromSocket &- record.countedFromSocket)
        let down = Int(toSocket &- record.countedToSocket)
        record.countedFromSocket = fromSocket
        record.countedToSocket = toSocket
        // "received" is the direction of the request, whoever reports.
        traffic.received(record.direction == .outbound ? up : down, series)
        traffic.sent(record.direction == .outbound ? down : up, series)
    }

    /// A connection refused before it was counted.
    func refused(_ record: ConnectionRecord, _ failure: TunnelFailure) {
        remember(record, failure)
        note(record, failure)
        if isObserving {
            var record = record
            record.timing = timing(acceptedAt: record.acceptedAt, socket: -1)
            record.timing.pass(.decision, at: Kernel.monotonicNow())
            observe(record, nil, failure)
        }
        log.failed(record.access(nil, failure: failure, now: loop.now), now: Kernel.realtimeNow())
    }

    private func remember(_ record: ConnectionRecord, _ failure: TunnelFailure) {
        traffic.refused(failure.reason, record.direction)
        // Applications reset connections all day; the ring is for what somebody was refused.
        guard failure.reason != .reset else { return }
        refusals.append(
            Refusal(
                time: Kernel.realtimeNow(), reason: failure.reason, direction: record.direction,
                source: record.source, destination: record.destination, pod: record.pod, peer: record.peer,
                policy: record.policy, detail: failure.description))
    }
}

/// What decides the labels of a connection, cheap to hash. The objects live at least as long as the snapshot, and the
/// cache is emptied with every snapshot.
struct SeriesKey: Hashable {
    private let direction: Direction
    private let source: ObjectIdentifier?
    private let destination: ObjectIdentifier?
    private let service: ObjectIdentifier?
    private let peer: SpiffeID?
    private let isMutualTLS: Bool
    private let baggage: [Baggage?]

    init(_ record: ConnectionRecord) {
        direction = record.direction
        source = record.sourceWorkload.map { ObjectIdentifier($0) }
        destination = record.destinationWorkload.map { ObjectIdentifier($0) }
        service = record.service.map { ObjectIdentifier($0) }
        peer = record.direction == .inbound ? record.sourceIdentity : nil
        isMutualTLS = record.isMutualTLS
        // Empty, and so without an allocation, where the state knows the peers.
        baggage =
            record.sourceBaggage == nil && record.destinationBaggage == nil
            ? [] : [record.sourceBaggage, record.destinationBaggage]
    }
}
