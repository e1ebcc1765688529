internal import ControlPlane
internal import EventLoop
internal import MeshModel
internal import StatusModel
internal import TLS
internal import Telemetry

/// The slow work of the waypoint, on the control thread: state, routes, certificates.
final class WaypointControl: Sendable {
    private let thread: ControlThread
    private let rounds: Lock<WaypointRounds>

    /// Starts the thread; its first round runs at once.
    init(_ waypoint: Waypoint) throws(ControlThreadFailure) {
        let watch = FolderWatch.start(log: waypoint.log, now: Kernel.realtimeNow())
        let rounds = Lock(WaypointRounds(waypoint, watch))
        self.rounds = rounds
        thread = try ControlThread(
            name: "ztun-control", interval: ControlThread.interval(watch), watch: watch, prepare: Kernel.giveWay
        ) { isNoticed in
            rounds.withLock { $0.round(isNoticed: isNoticed) }
        }
        let thread = self.thread
        rounds.withLock { $0.waker.withLock { $0 = { thread.wake() } } }
        try rounds.withLock { rounds throws(ControlThreadFailure) in try rounds.startSource() }
    }

    func stop() {
        thread.stop()
        rounds.withLock { $0.stopSource() }
    }
}

/// What the control thread does in each round. Confined to it by the lock of ``WaypointControl``.
final class WaypointRounds {
    private unowned let waypoint: Waypoint
    private let state: MeshSource
    private let routes: FileSource<HTTPRouteFile>?
    private let identities: IdentityStore
    private var faults: [String: String] = [:]
    /// Tells when files change; nil where only polling sees it.
    private let watch: FolderWatch?
    private var memory = MemoryReturn()
    /// Begins a round, once there is a thread to do it.
    let waker: Lock<(@Sendable () -> Void)?>

    init(_ waypoint: Waypoint, _ watch: FolderWatch?) {
        self.waypoint = waypoint
        self.watch = watch
        let configuration = waypoint.configuration
        let waker = Lock<(@Sendable () -> Void)?>(nil)
        self.waker = waker
        if let manifests = configuration.program.manifests {
            let settings = configuration.program.kubernetesSettings
            state = .manifests(
                ManifestSource(path: manifests, settings: settings) { [unowned waypoint] mesh, _ in
                    waypoint.adopt(mesh)
                })
        } else if let api = configuration.program.api {
            let settings = configuration.program.kubernetesSettings
            state = .kubernetes(
                KubernetesSource(
                    api, kinds: WatchedKind.all(rootNamespace: settings.rootNamespace), settings: settings,
                    writesStatus: configuration.program.writesStatus,
                    wake: { waker.withLock { $0 }?() },
                    deliver: { [unowned waypoint] update in waypoint.adopt(update) }))
        } else {
            state = .file(
                StateSource(path: configuration.program.state, trustDomain: configuration.program.trustDomain) {
                    [unowned waypoint] state, _ in
                    waypoint.adopt(state)
                })
        }
        routes = configuration.routes.map { path in
            FileSource(
                path: path,
                parse: { bytes, name throws(ConfigurationError) in try HTTPRouteFile(parsing: bytes, file: name) },
                deliver: { [unowned waypoint] file, _ in waypoint.adopt(file.table) })
        }
        identities = IdentityStore(source: configuration.program.identitySource) { [unowned waypoint] _, credentials in
            waypoint.adopt(credentials)
        }
    }

    /// Starts what the source runs beside this thread.
    func startSource() throws(ControlThreadFailure) {
        if case .kubernetes(let source) = state { try source.start() }
    }

    /// Ends it.
    func stopSource() { state.stop() }

    /// One round; returns the milliseconds until the next, nil for the usual interval.
    func round(isNoticed: Bool) -> Int? {
        let configuration = waypoint.configuration
        watch?.follow(configuration.program.watchedPaths.union(configuration.routes.map { [$0] } ?? []))
        let wall = Int64(Kernel.realtimeNow())
        var settling = waypoint.checkRevocations(now: wall)
        switch state.check(now: wall) {
        case .settling: settling = true
        // What reading took besides the state itself.
        case .loaded: Kernel.returnFreeMemory()
        case .unchanged, .failed: break
        }
        if let routes, routes.check(now: wall) == .settling { settling = true }
        let settings = waypoint.settings
        let workload = waypoint.shared.withLock {
            $0.snapshot.workload(namespace: settings.namespace, name: settings.name)
        }
        identities.keep(exactly: Set(workload.map { [$0.identity] } ?? []))
        identities.check(now: wall / 1_000_000_000, random: { Double.random(in: -1...1) })
        publish(wall, isKnown: workload != nil)
        if memory.isStartOver(now: Kernel.monotonicNow()) { Kernel.returnCode() }
        if let resident = Kernel.residentMemory(), memory.isDue(resident: resident, now: Kernel.monotonicNow()) {
            Kernel.returnFreeMemory()
        }
        return settling ? ControlThread.settlingTime(isNoticed: isNoticed) : nil
    }

    private func publish(_ wall: Int64, isKnown: Bool) {
        var state = self.state.status(now: wall)
        tell(of: "the newest state", state.lastError)
        if let routes {
            let status = routes.status
            tell(of: "the routes file", status.lastError ?? "")
            if let error = status.lastError, state.lastError.isEmpty { state.lastError = error }
        }
        let certificates = identities.status(now: wall / 1_000_000_000)
        var notes = self.state.warnings
        let settings = waypoint.settings
        if !isKnown, state.generation > 0 {
            notes.append(
                "the state has no workload \(settings.namespace)/\(settings.name): the waypoint has no identity and "
                    + "serves nobody; add it to the state, or correct --workload")
        }
        waypoint.shared.withLock { shared in
            state.routes = shared.state.routes
            shared.state = state
            shared.certificates = certificates
            shared.notes = notes
        }
    }

    /// One line when a file begins to be refused.
    private func tell(of what: String, _ error: String) {
        guard faults[what] != error else { return }
        faults[what] = error
        guard !error.isEmpty else { return }
        waypoint.log.write(
            .error, .state, "\(what) is not in force, the last good one serves", now: Kernel.realtimeNow()
        ) { $0.field("error", string: error) }
    }
}

extension Waypoint {
    /// A new state from Kubernetes resources.
    func adopt(_ mesh: CompiledMesh) {
        var state = LocalState()
        (state.workloads, state.services, state.policies) = (mesh.workloads, mesh.services, mesh.policies)
        state.networkPolicies = mesh.networkPolicies
        adopt(state)
        // A file of routes, where one is given, says all.
        if configuration.routes == nil { adopt(HTTPRouteTable(mesh.routes)) }
    }

    /// A new state from the Kubernetes API, or a part of one; returns how many workloads there are.
    func adopt(_ update: MeshUpdate) -> Int {
        switch update {
        case .whole(let mesh): adopt(mesh)
        case .part(let changes):
            let before = shared.withLock { $0.snapshot }
            let changes = changes.differing(from: before)
            guard !changes.isEmpty else { break }
            let snapshot = before.applying(changes)
            shared.withLock { $0.snapshot = snapshot }
            tell(.mesh(snapshot))
            log.write(.debug, .state, "state changed", now: Kernel.realtimeNow()) { line in
                line.field("workloads", number: changes.workloads.count)
                line.field("removed", number: changes.removedWorkloads.count)
            }
        }
        return shared.withLock { $0.snapshot.workloadCount }
    }

    /// A new state from the source: the next snapshot, to every worker.
    func adopt(_ state: LocalState) {
        // Made outside the lock, which the status needs too: only this thread replaces the snapshot.
        let snapshot = state.next(after: shared.withLock { $0.snapshot })
        shared.withLock { shared in
            shared.snapshot = snapshot
            shared.hasState = true
        }
        tell(.mesh(snapshot))
        log.write(.info, .state, "state loaded", now: Kernel.realtimeNow()) { line in
            line.field("workloads", number: snapshot.workloadCount)
            line.field("services", number: snapshot.serviceCount)
        }
    }

    /// New routes from the file.
    func adopt(_ table: HTTPRouteTable) {
        shared.withLock { shared in
            shared.hasRoutes = true
            shared.state.routes = table.routes.count
        }
        tell(.routes(table))
        log.write(.info, .state, "routes loaded", now: Kernel.realtimeNow()) {
            $0.field("routes", number: table.routes.count)
        }
    }

    /// New credentials of the waypoint's identity, or their loss.
    func adopt(_ credentials: TLSCredentials?) {
        guard let credentials else {
            tell(.identity(nil))
            shared.withLock { $0.hasIdentity = false }
            return log.write(.warn, .identity, "no valid certificate any more", now: Kernel.realtimeNow())
        }
        do {
            try TunnelSocket.listen(shared.withLock { $0.socket }, at: configuration.address)
        } catch {
            log.write(.error, .waypoint, "\(error)", now: Kernel.realtimeNow())
            return shutDown()
        }
        do throws(TLSFailure) {
            let made = try WaypointIdentity(
                credentials, revocations: revocations?.list, records: configuration.program.tlsRecords)
            tell(.identity(made))
            shared.withLock { $0.hasIdentity = true }
            log.write(.info, .identity, "certificate for \(credentials.identity)", now: Kernel.realtimeNow()) { line in
                line.field("serial", string: credentials.serial)
                line.field("expires", string: StatusTime(unixSeconds: credentials.notAfter).description)
            }
        } catch {
            log.write(
                .error, .identity, "the certificate of \(credentials.identity) cannot be used: \(error)",
                now: Kernel.realtimeNow())
        }
    }
}
