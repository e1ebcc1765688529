internal import EventLoop
internal import FoundationEssentials
internal import StatusModel
internal import Telemetry

/// The admin thread's side of an ``AdminServer``: connections, questions to the workers, answers.
final class AdminLoop: EventHandler {
    /// What waits for the workers' answers.
    private enum Purpose: Sendable { case status, metrics(openMetrics: Bool) }

    let loop: EventLoop
    let source: any AdminSource
    private let log: Log
    let mailbox: Mailbox<AdminMessage>
    private var receiver: MailboxReceiver<AdminMessage>?
    private var listeners: [AdminListener] = []
    private var connections: [UInt64: AdminConnection] = [:]
    private var nextIdentifier: UInt64 = 0
    private var round: WorkerRound
    private var waiting: [(connection: UInt64, serial: UInt64, purpose: Purpose)] = []
    private var waitingForNext: [(connection: UInt64, serial: UInt64, purpose: Purpose)] = []
    /// How many long answers are being written.
    let compositions = Lock(0)
    var inspections: [UInt64: Inspection] = [:]
    var nextInspection: UInt64 = 0
    var streams: [ObjectIdentifier: FlowStream] = [:]
    private lazy var roundDeadline = Deadline(owner: self, kind: 0)

    init(source: any AdminSource, log: Log, mailbox: Mailbox<AdminMessage>) throws(SystemError) {
        loop = try EventLoop()
        self.source = source
        self.log = log
        self.mailbox = mailbox
        round = WorkerRound(workerCount: source.workerCount)
    }

    func listen(_ descriptor: consuming Descriptor, surface: AdminSurface) throws(SystemError) {
        let listener = AdminListener(descriptor, surface: surface, server: self)
        try listener.start()
        listeners.append(listener)
    }

    func run() throws(SystemError) {
        receiver = try MailboxReceiver(mailbox, on: loop) { [unowned self] message in self.receive(message) }
        loop.run()
        for connection in Array(connections.values) { connection.close() }
        for listener in listeners { listener.close() }
        receiver?.close(on: loop)
    }

    private func receive(_ message: AdminMessage) {
        switch message {
        case .workerAnswered(let number, let worker, let answer, let at):
            if round.take(answer, of: worker, round: number, at: at) { endRound() }
        case .inspected(let identifier, let worker, let answer): inspections[identifier]?.take(answer, of: worker)
        case .replied(let connection, let serial, let response): reply(response, connection, serial)
        case .listen(let number):
            do throws(SystemError) {
                try listen(Descriptor(owning: number), surface: .control)
            } catch {
                log.write(.warn, .admin, "no socket of its own: \(error)", now: Kernel.realtimeNow())
            }
        case .leave(let numbers):
            for listener in listeners where numbers.contains(listener.number) { listener.close() }
            listeners.removeAll { numbers.contains($0.number) }
        case .stop: loop.stop()
        }
    }

    private func reply(_ response: AdminResponse, _ connection: UInt64, _ serial: UInt64) {
        guard let connection = connections[connection], connection.serial == serial else { return }
        connection.respond(response)
    }

    // MARK: - Connections

    func accepted(_ descriptor: consuming Descriptor, surface: AdminSurface) {
        let sameSurface = connections.values.filter { $0.surface == surface }
        if sameSurface.count >= surface.connectionLimit {
            sameSurface.min { $0.identifier < $1.identifier }?.close()
        }
        var trusted = true
        if surface == .control {
            let peer = Kernel.unixPeerUID(descriptor.number)
            trusted = peer == 0 || peer == AdminServer.ownUID
        } else {
            Kernel.setNoDelay(descriptor.number)
        }
        nextIdentifier += 1
        let connection = AdminConnection(
            descriptor, identifier: nextIdentifier, surface: surface, trusted: trusted, server: self)
        connections[nextIdentifier] = connection
        do throws(SystemError) { try connection.start() } catch { connections[connection.identifier] = nil }
    }

    /// The connection while it has the request of that number.
    func connection(_ identifier: UInt64, serial: UInt64) -> AdminConnection? {
        guard let connection = connections[identifier], connection.serial == serial else { return nil }
        return connection
    }

    func forget(_ connection: AdminConnection) {
        connections[connection.identifier] = nil
    }

    // MARK: - Answers

    func answer(_ route: AdminRoute, for connection: AdminConnection) {
        guard connection.isTrusted else {
            return connection.respond(.text(403, "this socket is for root\n"))
        }
        switch route {
        case .refused(let response): connection.respond(response)
        case .index: connection.respond(Self.index)
        case .readiness: connection.respond(Self.readiness(pending: source.pendingTasks()))
        case .logging(let level, let reset): connection.respond(changeLog(level: level, reset: reset))
        case .quit:
            connection.respond(.text(200, "shutdown now\n"))
            source.shutDown()
        case .configDump:
            dumpConfiguration(replying(to: connection))
        case .list(let query): list(query, replying(to: connection))
        case .flows(let query): stream(query, to: connection)
        case .strictReady(let namespace, let workload):
            judgeStrictness(namespace, workload, replying(to: connection))
        case .policyDiff: comparePolicies(connection.body, replying(to: connection))
        case .why: explain(connection.body, replying(to: connection))
        case .status: ask(.status, for: connection)
        case .metrics(let openMetrics): ask(.metrics(openMetrics: openMetrics), for: connection)
        case .addPod: command(connection, needsNamespacePath: true, source.add)
        case .removePod: command(connection, needsNamespacePath: false, source.remove)
        }
    }

    /// A closure that brings an answer from any thread to this connection's current request.
    private func replying(to connection: AdminConnection) -> @Sendable (AdminResponse) -> Void {
        let (mailbox, identifier, serial) = (mailbox, connection.identifier, connection.serial)
        return { mailbox.post(.replied(connection: identifier, serial: serial, $0)) }
    }

    private func command(
        _ connection: AdminConnection, needsNamespacePath: Bool,
        _ run: (PodRequest, @escaping @Sendable (CommandReply) -> Void) -> Void
    ) {
        guard let request = try? JSONDecoder().decode(PodRequest.self, from: Data(connection.body)),
            PodRequest(request.description)?.description == request.description,
            !needsNamespacePath || request.netns != nil
        else {
            let form = needsNamespacePath ? #", "netns": "/run/netns/X""# : ""
            let message = #"the body is not {"namespace": "NS", "name": "NAME"\#(form)} with Kubernetes names"#
            return connection.respond(Self.json(CommandReply(ok: false, message: message), status: 400))
        }
        let reply = replying(to: connection)
        run(request) { reply(Self.json($0, status: $0.ok ? 200 : 409)) }
    }

    private func changeLog(level: String?, reset: Bool) -> AdminResponse {
        do throws(LogFilter.Failure) {
            let filter = try log.changeFilter(appending: level, reset: reset)
            return .text(200, "current log level is \(filter)\n")
        } catch {
            return .text(400, "Invalid level provided: \(error)\n")
        }
    }

    // MARK: - Questions to the workers

    private func ask(_ purpose: Purpose, for connection: AdminConnection) {
        // An answer of a round that began before the question could be older than the question.
        waitingForNext.append((connection.identifier, connection.serial, purpose))
        if !round.isOpen { beginRound() }
    }

    private func beginRound() {
        guard !waitingForNext.isEmpty else { return }
        waiting = waitingForNext
        waitingForNext = []
        round.begin(now: Kernel.monotonicNow())
        guard source.workerCount > 0 else { return endRound() }
        roundDeadline.arm(loop.deadlines(seconds: 1), now: loop.now)
        let (mailbox, number) = (mailbox, round.number)
        for worker in 0..<source.workerCount {
            source.ask(worker: worker) { answer in
                mailbox.post(.workerAnswered(round: number, worker: worker, answer, at: Kernel.monotonicNow()))
            }
        }
    }

    override func expired(_ kind: UInt8) {
        if round.isOpen { endRound() }
    }

    private func endRound() {
        round.end()
        roundDeadline.cancel()
        let asked = waiting
        waiting = []
        var report = source.report()
        report.add(round)
        report.logFilter = log.filter.description
        report.logLinesDropped = log.dropped
        report.assess()
        var pages: [Bool: AdminResponse] = [:]
        for question in asked {
            switch question.purpose {
            case .status: reply(Self.json(report, status: 200), question.connection, question.serial)
            case .metrics(let openMetrics):
                let page = pages[openMetrics] ?? metrics(report, openMetrics: openMetrics)
                pages[openMetrics] = page
                reply(page, question.connection, question.serial)
            }
        }
        beginRound()
    }

    private func metrics(_ report: StatusReport, openMetrics: Bool) -> AdminResponse {
        var page = MetricsPage(openMetrics: openMetrics)
        page.write(round.traffic)
        page.write(report)
        for metric in source.metrics() { page.write(metric) }
        return AdminResponse(status: 200, contentType: page.contentType, body: page.finished())
    }

    // MARK: - Fixed answers

    static func json(_ value: some Encodable, status: UInt16) -> AdminResponse {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return .text(500, "the answer could not be encoded\n") }
        return .json(status, Array(data) + [10])
    }

    static func readiness(pending: [String]) -> AdminResponse {
        guard !pending.isEmpty else { return .text(200, "ready\n") }
        return .text(500, "not ready, pending: \(pending.sorted().joined(separator: ", "))\n")
    }

    private static let index = AdminResponse(
        status: 200, contentType: "text/html; charset=utf-8",
        body: Array(
            """
            <!doctype html><title>ztun</title><h1>ztun admin</h1><ul>
            <li><a href="config_dump">GET /config_dump</a>: workloads, services, policies, certificates
            <li>POST /logging?level=LEVEL|SCOPE=LEVEL,…[&amp;reset]: show or change the log filter
            <li>POST /quitquitquit: end the program
            </ul><p>Metrics are on port 15020, readiness on 15021; a person asks <code>ztun status</code>.

            """.utf8))
}
