internal import AdminServer
internal import Capture
package import ControlPlane
internal import EventLoop
internal import MeshModel
internal import StatusModel
internal import TLS
internal import Telemetry

/// The node daemon: workers, the control thread and the admin thread, from configuration to shutdown.
package final class Node: Sendable {
    let configuration: NodeConfiguration
    let settings: NodeSettings
    let log: Log
    let mailboxes: [Mailbox<NodeMessage>]
    let startedAt: UInt64
    let shared: Lock<Shared>
    let revocations: RevocationListFile?
    /// How many signals came since the drain began.
    let signals: Lock<Int>
    let services: NodeServices
    /// The source of the state, once there is one.
    let source = Lock<MeshSource?>(nil)

    /// What the control thread writes and the admin thread reads.
    struct Shared: Sendable {
        var snapshot = MeshSnapshot.empty
        /// The waypoints' routes, for `ztun why`; nil where the source does not tell.
        var routes: HTTPRouteTable?
        var pods: [PodCaptureStatus] = []
        var requests: [PodChange] = []
        var state = StateStatus()
        var certificates: [CertificateStatus] = []
        /// The chains in use, by identity.
        var held: [String: HeldChain] = [:]
        var podsStarted: UInt64 = 0
        var podsStopped: UInt64 = 0
        var hasState = false
        var isDraining = false
        /// Network namespaces that were found and not taken in, with the reason.
        var leftAlone: [String: String] = [:]
        /// The pods that were to fail open.
        var failOpen: [String: FailOpenStatus] = [:]
        var generation = 1
        /// Another ztund has taken over all pods.
        var isReplaced = false
        /// The one that took over is gone.
        var successorEnded = false
        var handover: HandoverServer?
        var notes: [String] = []
        var wake: (@Sendable () -> Void)?
        var shutDown: (@Sendable () -> Void)?
    }

    /// A pod to take in or out, asked for at run time.
    struct PodChange: Sendable {
        let location: PodLocation
        let isAddition: Bool
        let failOpen: Bool?
        let reroutedInterfaces: String?
        let reply: (@Sendable (CommandReply) -> Void)?
    }

    /// - Throws: `SystemError` when the process has no descriptors for its mailboxes.
    package init(_ configuration: NodeConfiguration) throws {
        self.configuration = configuration
        var settings = NodeSettings()
        settings.trustDomain = configuration.program.trustDomain
        settings.streamsPerConnection = configuration.program.poolMaxStreams
        settings.apply(configuration.dataPath)
        self.settings = settings
        services = NodeServices(settings)
        log = try configuration.program.makeLog()
        let count =
            switch configuration.program.workers {
            case .auto: Kernel.processorCount
            case .exactly(let count): count
            }
        var mailboxes: [Mailbox<NodeMessage>] = []
        for _ in 0..<count { mailboxes.append(try Mailbox()) }
        self.mailboxes = mailboxes
        startedAt = Kernel.realtimeNow()
        revocations = configuration.program.crl.map { RevocationListFile(path: $0) }
        shared = Lock(Shared())
        signals = Lock(0)
    }

    /// Tells every worker.
    func tell(_ message: NodeMessage) {
        for mailbox in mailboxes { mailbox.post(message) }
    }

    /// Runs until `waitForSignal` returns and the drain after it is over; `waitForSignal` blocks on SIGTERM or SIGINT
    /// and is called again during the drain: its second return ends it at once.
    ///
    /// - Parameter waitForSignal: gets a closure that makes it return, for shutdowns asked for over the socket.
    package func run(waitForSignal: @escaping @Sendable () -> Void, raiseSignal: @escaping @Sendable () -> Void) throws
    {
        _ = Kernel.raiseDescriptorLimit()
        Kernel.keepLittleFreeMemory()
        Kernel.ignoreBrokenPipes()
        let writer = try LogWriter(log)
        defer { writer.finish() }
        shared.withLock { $0.shutDown = raiseSignal }
        let succession = try takeOver()
        var threads: [LoopThread] = []
        for index in mailboxes.indices {
            threads.append(
                try LoopThread(name: "ztun-worker-\(index)") { [self] in
                    do throws(SystemError) {
                        try NodeWorker(
                            index: index, settings: settings, mailboxes: mailboxes, log: log, services: services
                        ).run()
                    } catch {
                        log.write(
                            .error, .proxy, "worker \(index) could not start: \(error)", now: Kernel.realtimeNow())
                    }
                })
        }
        let control: NodeControl
        let admin: AdminServer
        let handover: HandoverServer
        do {
            control = try NodeControl(self, succession)
        } catch {
            tell(.stop)
            for thread in threads { thread.join() }
            throw error
        }
        do {
            admin = try AdminServer(
                AdminAddresses(
                    admin: configuration.program.adminAddress, metrics: configuration.program.metricsAddress,
                    readiness: configuration.program.readinessAddress,
                    controlSocket: configuration.program.runDirectory + "/ztund.sock"),
                source: self, log: log, inherited: succession?.listeners ?? [])
            do {
                if let succession { try complete(succession, admin) }
                handover = try HandoverServer(self, control, admin, links: succession?.links ?? [])
            } catch {
                admin.stop()
                throw error
            }
        } catch {
            // What another ztund still serves stays as it is.
            control.stop(keepsPods: succession.map { !$0.isOrphaned } ?? false)
            tell(.stop)
            for thread in threads { thread.join() }
            throw error
        }
        configuration.program.tellStart(configuration.environmentNotes, to: log, now: Kernel.realtimeNow())
        log.write(.info, .program, "ztund started", now: Kernel.realtimeNow()) { line in
            line.field("workers", number: self.mailboxes.count)
            line.field("capture", string: self.configuration.capture.rawValue)
        }
        shared.withLock { $0.handover = handover }
        waitForSignal()
        drain(control, waitForSignal: waitForSignal)
        handover.stop()
        shared.withLock { $0.handover = nil }
        control.stop()
        tell(.stop)
        for thread in threads { thread.join() }
        admin.stop()
        log.write(.info, .program, "shutdown complete", now: Kernel.realtimeNow())
    }
}
