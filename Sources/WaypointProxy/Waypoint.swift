internal import AdminServer
package import ControlPlane
internal import EventLoop
internal import HBONE
internal import MeshModel
internal import StatusModel
internal import TLS
internal import Telemetry

/// The waypoint: workers, the control thread and the admin thread, from configuration to shutdown.
package final class Waypoint: Sendable {
    let configuration: WaypointConfiguration
    let settings: WaypointSettings
    let log: Log
    let mailboxes: [Mailbox<WaypointMessage>]
    let startedAt: UInt64
    let revocations: RevocationListFile?
    let shared: Lock<Shared>
    private let ended: Lock<Bool>

    /// What waits for slow readers, on all workers.
    let memory: MemoryAccount
    /// What the control thread writes and the admin thread reads.
    struct Shared: Sendable {
        var snapshot = MeshSnapshot.empty
        var state = StateStatus()
        var certificates: [CertificateStatus] = []
        var hasState = false
        var hasRoutes = false
        var hasIdentity = false
        var isDraining = false
        var notes: [String] = []
        var routes: [RequestTable] = []
        var shutDown: (@Sendable () -> Void)?
        /// The tunnel socket, bound; owned by the run.
        var socket: Int32 = -1
    }

    /// - Throws: `SystemError` when the process has no descriptors for its mailboxes; a fault of the log filter.
    package init(_ configuration: WaypointConfiguration) throws {
        self.configuration = configuration
        var settings = WaypointSettings(
            namespace: configuration.workload.namespace, name: configuration.workload.name)
        settings.trustDomain = configuration.program.trustDomain
        settings.streamsPerConnection = configuration.program.poolMaxStreams
        settings.address = configuration.address
        settings.apply(configuration.dataPath)
        self.settings = settings
        memory = MemoryAccount(budget: settings.memoryBudget)
        log = try configuration.program.makeLog()
        let count =
            switch configuration.program.workers {
            case .auto: Kernel.processorCount
            case .exactly(let count): count
            }
        var mailboxes: [Mailbox<WaypointMessage>] = []
        for _ in 0..<count { mailboxes.append(try Mailbox()) }
        self.mailboxes = mailboxes
        startedAt = Kernel.realtimeNow()
        revocations = configuration.program.crl.map { RevocationListFile(path: $0) }
        var shared = Shared()
        shared.hasRoutes = configuration.routes == nil
        shared.routes = Array(repeating: RequestTable(), count: count)
        self.shared = Lock(shared)
        ended = Lock(false)
    }

    func tell(_ message: WaypointMessage) {
        for mailbox in mailboxes { mailbox.post(message) }
    }

    /// Runs until `waitForSignal` returns and the drain after it is over.
    ///
    /// - Parameters:
    ///   - drainSeconds: how long what is under way may take to end after the signal.
    ///   - waitForSignal: blocks until SIGTERM or SIGINT; its second return ends the drain at once.
    ///   - raiseSignal: makes it return, for a shutdown asked for over the admin port.
    package func run(
        drainSeconds: Int, waitForSignal: @escaping @Sendable () -> Void, raiseSignal: @escaping @Sendable () -> Void
    ) throws {
        _ = Kernel.raiseDescriptorLimit()
        Kernel.keepLittleFreeMemory()
        Kernel.ignoreBrokenPipes()
        let socket = try TunnelSocket.bind(at: configuration.address)
        shared.withLock { $0.socket = socket.number }
        let writer = try LogWriter(log)
        defer { writer.finish() }
        shared.withLock { $0.shutDown = raiseSignal }
        var threads: [LoopThread] = []
        let number = socket.number
        for (index, mailbox) in mailboxes.enumerated() {
            threads.append(
                try LoopThread(name: "ztun-worker-\(index)") { [settings, memory, log] in
                    do throws(SystemError) {
                        try WaypointWorker(settings, socket: number, mailbox: mailbox, memory: memory, log: log).run()
                    } catch {
                        log.write(
                            .error, .waypoint, "worker \(index) could not start: \(error)", now: Kernel.realtimeNow())
                    }
                })
        }
        let control = try WaypointControl(self)
        let admin: AdminServer
        do {
            admin = try AdminServer(
                AdminAddresses(
                    admin: configuration.program.adminAddress, metrics: configuration.program.metricsAddress,
                    readiness: configuration.program.readinessAddress,
                    controlSocket: configuration.program.runDirectory + "/ztun-waypoint.sock"),
                source: self, log: log)
        } catch {
            control.stop()
            tell(.stop)
            for thread in threads { thread.join() }
            throw error
        }
        configuration.program.tellStart(configuration.environmentNotes, to: log, now: Kernel.realtimeNow())
        log.write(.info, .program, "ztun-waypoint started", now: Kernel.realtimeNow()) { line in
            line.field("address", address: self.configuration.address)
            line.field("workload", string: "\(self.settings.namespace)/\(self.settings.name)")
            line.field("workers", number: self.mailboxes.count)
        }
        waitForSignal()
        drain(drainSeconds, waitForSignal)
        control.stop()
        tell(.stop)
        for thread in threads { thread.join() }
        admin.stop()
        log.write(.info, .program, "shutdown complete", now: Kernel.realtimeNow())
    }

    /// Lets running requests end until the deadline or a second signal.
    private func drain(_ seconds: Int, _ waitForSignal: @escaping @Sendable () -> Void) {
        shared.withLock { $0.isDraining = true }
        log.write(.info, .program, "drain started", now: Kernel.realtimeNow()) { $0.field("seconds", number: seconds) }
        tell(.drain)
        let ended = self.ended
        if (try? LoopThread(name: "ztun-signal") {
            waitForSignal(); ended.withLock { $0 = true }
        }) == nil {
            return
        }
        let end = Kernel.monotonicNow() + UInt64(seconds) * 1_000_000_000
        while Kernel.monotonicNow() < end, !ended.withLock({ $0 }) {
            if openConnections() == 0 { return }
            Kernel.pause(milliseconds: 20)
        }
        log.write(
            .warn, .program, "drain duration expired with pending connections, forcefully shutting down",
            now: Kernel.realtimeNow())
    }

    /// Sessions open on all workers; a worker that does not answer within 200 ms counts as busy.
    private func openConnections() -> Int {
        let sums = Lock((answers: 0, connections: 0))
        for mailbox in mailboxes {
            mailbox.post(
                .ask(WorkerQuestion(refusals: 0)) { answer in
                    sums.withLock { $0 = ($0.answers + 1, $0.connections + Int(answer.worker.connections)) }
                })
        }
        for _ in 0..<100 {
            let (answers, connections) = sums.withLock { $0 }
            if answers == mailboxes.count { return connections }
            Kernel.pause(milliseconds: 2)
        }
        return 1
    }
}
