internal import Capture
internal import ControlPlane
internal import EventLoop
internal import MeshModel
internal import StatusModel
internal import TLS
internal import Telemetry

/// The slow work of the node, on the control thread: state, certificates, pods.
final class NodeControl: Sendable {
    private let thread: ControlThread
    private let rounds: Lock<NodeRounds>

    /// Starts the thread; its first round runs at once.
    ///
    /// - Parameter succession: what another ztund hands over; its pods are served when this returns.
    /// - Throws: also when the state file cannot be used: there is no last good state yet.
    init(_ node: Node, _ succession: Succession? = nil) throws {
        let watch = FolderWatch.start(log: node.log, now: Kernel.realtimeNow())
        let first = NodeRounds(node, watch)
        do {
            try first.loadFirstState(isRelief: succession != nil)
        } catch {
            first.stopSource()
            throw error
        }
        if let succession { first.adopt(succession.pods, pending: succession.pending) }
        let notices = first.capture.watch?.descriptor ?? -1
        let rounds = Lock(first)
        self.rounds = rounds
        thread = try ControlThread(
            name: "ztun-control", interval: ControlThread.interval(watch), watch: watch,
            also: notices, prepare: Kernel.giveWay
        ) { isNoticed in
            rounds.withLock { $0.round(isNoticed: isNoticed) }
        }
        let thread = self.thread
        node.shared.withLock { $0.wake = { thread.wake() } }
    }

    /// The pods (`namespace/name`) that another ztund serves too.
    func sharedPods() -> Set<String> {
        rounds.withLock { $0.sharedPods() }
    }

    /// Ends our listeners in these pods; every worker must have let go of them.
    func stopListening(_ pods: Set<String>) {
        rounds.withLock { $0.stopListening(pods) }
    }

    /// Ends the thread, then takes all pods out, so that nothing of ours stays in their namespaces.
    ///
    /// - Parameter keepsPods: leaves them as they are, since another ztund serves them.
    func stop(keepsPods: Bool = false) {
        thread.stop()
        rounds.withLock { $0.stopSource() }
        if !keepsPods { rounds.withLock { $0.removeAll() } }
    }

    /// No pod comes, goes or is repaired while another ztund takes over.
    func freeze(_ isFrozen: Bool) {
        rounds.withLock { $0.isFrozen = isFrozen }
        if !isFrozen { thread.wake() }
    }

    /// All pods as the next ztund must know them: the enrolled ones with their listeners, and the others.
    func inheritance() -> (enrolled: [(pod: PodInheritance, listeners: [Int32])], pending: [PodLocation]) {
        rounds.withLock { $0.inheritance }
    }

    /// Another ztund has all pods; every worker must have let go of their listeners.
    func handOver() {
        rounds.withLock { $0.handOver() }
        thread.wake()
    }

    /// A pod left that another ztund has taken over: what is open here is cut.
    func forget(_ pod: String) {
        rounds.withLock { $0.forget(pod) }
    }
}

/// The first state cannot be used; the text names file, place and fault.
struct StateUnusable: Error, CustomStringConvertible {
    let description: String
}

/// What the control thread does in each round. Confined to it by the lock of ``NodeControl``.
final class NodeRounds {
    unowned let node: Node
    private let state: MeshSource
    private let identities: IdentityStore
    var pods: [String: PodCapture] = [:]
    let capture: NodeCapture
    /// Tells when files change; nil where only polling sees it.
    private let watch: FolderWatch?
    /// Finds pods that run already.
    let discovery: PodDiscovery
    /// Pods that were found, or given at run time: they are forgotten when they have ended.
    var transient: Set<String> = []
    /// Whether another ztund is taking over: the pods stay as they are.
    var isFrozen = false
    /// Whether another ztund has all pods: what is left here is to end.
    var isReplaced = false
    /// Whether the pods leave because the daemon ends.
    private var isEnding = false
    private var memory = MemoryReturn()
    /// What became of the wish that a pod fail open, and what that was decided from.
    var failOpen: [String: FailOpenStatus] = [:]
    var failOpenBasis: [String: FailOpenBasis] = [:]

    init(_ node: Node, _ watch: FolderWatch?) {
        self.node = node
        self.watch = watch
        let configuration = node.configuration
        var options = CaptureOptions(
            mode: Capture.CaptureMode(rawValue: configuration.capture.rawValue) ?? .nft,
            probeSources: configuration.probeSources)
        options.keepAlive.isEnabled = configuration.dataPath.keepalive
        options.keepAlive.idle = Int32(clamping: configuration.dataPath.keepaliveTime)
        options.keepAlive.interval = Int32(clamping: configuration.dataPath.keepaliveInterval)
        options.keepAlive.probes = Int32(clamping: configuration.dataPath.keepaliveRetries)
        options.canary = configuration.canary
        options.gateDirectory = configuration.gateDirectory
        options.podCgroup = configuration.podCgroup
        options.probeCgroup = configuration.probeCgroup
        options.bpfDirectory =
            configuration.bpfDirectory
            ?? BPFFolder.usual(
                runDirectory: configuration.program.runDirectory, standard: ProgramConfiguration.defaultRunDirectory)
        options.settingsDirectory = configuration.program.runDirectory + "/settings"
        capture = NodeCapture(options)
        if let manifests = configuration.program.manifests {
            let settings = configuration.kubernetesSettings
            let source = ManifestSource(path: manifests, settings: settings) { [unowned node] mesh, _ in
                node.adopt(mesh)
            }
            state = .manifests(source)
        } else if let api = configuration.program.api {
            let settings = configuration.kubernetesSettings
            state = .kubernetes(
                KubernetesSource(
                    api, kinds: WatchedKind.all(rootNamespace: settings.rootNamespace), settings: settings,
                    writesStatus: configuration.program.writesStatus,
                    wake: { [unowned node] in node.shared.withLock { $0.wake }?() },
                    deliver: { [unowned node] update in node.adopt(update) }))
        } else {
            state = .file(
                StateSource(path: configuration.program.state, trustDomain: configuration.program.trustDomain) {
                    [unowned node] state, _ in
                    node.adopt(state)
                })
        }
        identities = IdentityStore(source: configuration.program.identitySource) {
            [unowned node] identity, credentials in
            node.adopt(identity, credentials)
        }
        discovery = PodDiscovery(
            folders: configuration.discover, network: configuration.dataPath.network,
            node: configuration.dataPath.nodeName)
        let now = Kernel.monotonicNow()
        for pod in configuration.pods {
            let location = PodLocation(namespace: pod.namespace, name: pod.name, path: pod.netns)
            pods[location.pod] = PodCapture(location, node: capture, now: now)
        }
        let source = state
        node.source.withLock { $0 = source }
    }

    /// Reads the state before anything else runs.
    /// - Parameter isRelief: another ztund serves until we can: it must not give its pods to one that knows nothing.
    func loadFirstState(isRelief: Bool) throws(StateUnusable) {
        var tries = 50
        if case .kubernetes(let source) = state {
            do throws(ControlThreadFailure) {
                try source.start()
            } catch {
                throw StateUnusable(description: error.reason)
            }
            // A server may be away for long, and status is to say so meanwhile; pods are taken in once there is a state.
            tries = isRelief ? 3000 : 200
        }
        for _ in 0..<tries {
            let now = Int64(Kernel.realtimeNow())
            switch state.check(now: now) {
            case .loaded, .unchanged: return Kernel.returnFreeMemory()
            case .settling: Kernel.pause(milliseconds: 10)
            case .failed:
                throw StateUnusable(description: state.status(now: now).lastError)
            }
        }
        if isRelief, case .kubernetes(let source) = state, !source.isSynced {
            throw StateUnusable(description: state.status(now: Int64(Kernel.realtimeNow())).lastError)
        }
    }

    /// Whether pods may be taken in: with nothing known, their connections would be judged by nothing.
    private var hasFirstState: Bool {
        if case .kubernetes(let source) = state { return source.isSynced }
        return true
    }

    /// Ends what the source runs beside this thread.
    func stopSource() { state.stop() }

    /// One round; returns the milliseconds until the next, nil for the usual interval.
    func round(isNoticed: Bool) -> Int? {
        watch?.follow(node.configuration.program.watchedPaths)
        let wall = Int64(Kernel.realtimeNow())
        let listSettling = node.checkRevocations(now: wall)
        let outcome = state.check(now: wall)
        // What reading took besides the state itself.
        if outcome == .loaded { Kernel.returnFreeMemory() }
        let settling = outcome == .settling || listSettling
        takeNotices()
        if !isFrozen, hasFirstState {
            takeRequests()
            if !isReplaced { discoverPods() }
            advancePods()
        }
        checkIdentities(wall)
        publish(wall)
        if memory.isStartOver(now: Kernel.monotonicNow()) { Kernel.returnCode() }
        if let resident = Kernel.residentMemory(), memory.isDue(resident: resident, now: Kernel.monotonicNow()) {
            Kernel.returnFreeMemory()
        }
        if isFrozen { return 100 }
        if settling { return ControlThread.settlingTime(isNoticed: isNoticed) }
        let now = Kernel.monotonicNow()
        guard let due = (pods.values.compactMap(\.nextDue) + [discovery.nextDue].compactMap(\.self)).min() else {
            return nil
        }
        return due <= now ? 1 : min(500, Int((due - now) / 1_000_000) + 1)
    }

    /// Has the pods looked after in whose namespaces something changed.
    private func takeNotices() {
        guard let noticed = capture.watch?.take(), !noticed.isEmpty else { return }
        let now = Kernel.monotonicNow()
        for pod in pods.values { pod.noticed(by: noticed, now: now) }
    }

    /// Has certificates for exactly the identities of the pods.
    func checkIdentities(_ wall: Int64) {
        let snapshot = node.shared.withLock { $0.snapshot }
        var wanted = Set<SpiffeID>()
        for pod in pods.values {
            let workload = snapshot.workload(namespace: pod.location.namespace, name: pod.location.name)
            if let workload { wanted.insert(workload.identity) }
        }
        identities.keep(exactly: wanted)
        identities.check(now: wall / 1_000_000_000, random: { Double.random(in: -1...1) })
    }

    private func takeRequests() {
        let requests = node.shared.withLock { shared in
            defer { shared.requests = [] }
            return shared.requests
        }
        let now = Kernel.monotonicNow()
        for request in requests {
            let pod = request.location.pod
            guard !isReplaced else {
                request.reply?(
                    CommandReply(
                        ok: false, message: "another ztund has just taken over: give the command again",
                        outcome: .replaced))
                continue
            }
            if request.isAddition {
                let taken = pods.values.first { $0.location.path == request.location.path }
                if let known = pods[pod], known.location == request.location {
                    known.asksFailOpen = request.failOpen ?? known.asksFailOpen
                    decideFailOpen()
                    request.reply?(
                        Self.reply(known, known.status.phase == .enrolled ? "is already taken care of" : nil))
                } else if let known = pods[pod] {
                    request.reply?(
                        CommandReply(
                            ok: false,
                            message:
                                "pod \(pod) is known with another namespace, \(known.location.path): remove it first",
                            outcome: .elsewhere))
                } else if let taken {
                    request.reply?(
                        CommandReply(
                            ok: false,
                            message: "the namespace \(request.location.path) belongs to pod \(taken.location.pod)"))
                } else {
                    let capture = PodCapture(request.location, node: capture, now: now)
                    capture.asksFailOpen = request.failOpen ?? false
                    capture.reroutedInterfaces = request.reroutedInterfaces ?? ""
                    pods[pod] = capture
                    transient.insert(pod)
                    decideFailOpen()
                    advance(capture, now: now)
                    request.reply?(Self.reply(capture, capture.status.phase == .enrolled ? "is enrolled" : nil))
                }
            } else if let known = pods[pod], !request.location.path.isEmpty,
                known.location.path != request.location.path
            {
                request.reply?(
                    CommandReply(ok: true, message: "pod \(pod) is in another namespace now, \(known.location.path)"))
            } else if let known = pods[pod] {
                known.remove(now: now)
                advance(known, now: now)
                request.reply?(
                    CommandReply(
                        ok: known.isRemoved,
                        message: known.isRemoved
                            ? "pod \(pod) is removed" : "pod \(pod) is leaving: \(known.status.reason ?? "")"))
            } else {
                request.reply?(CommandReply(ok: false, message: "no pod \(pod) is known; see `ztun status`"))
            }
        }
    }

    /// The answer to who wants a pod taken in; `good` says it is.
    private static func reply(_ capture: PodCapture, _ good: String?) -> CommandReply {
        let pod = capture.location.pod
        if let good { return CommandReply(ok: true, message: "pod \(pod) \(good)") }
        return CommandReply(
            ok: false,
            message: "pod \(pod) is not enrolled yet: \(capture.status.reason ?? "pending"); ztund keeps trying",
            outcome: .pending)
    }

    func advancePods() {
        if !isReplaced { decideFailOpen() }
        defer { if !isReplaced { decideFailOpen() } }
        let start = Kernel.monotonicNow()
        if capture.refresh(now: start) { reconsiderPods() }
        if capture.refreshGate() { for pod in pods.values { pod.passGate() } }
        // Pods that are not captured yet come before the care of those that are.
        for capture in pods.values.filter({ !$0.isEnrolled }) + pods.values.filter(\.isEnrolled) {
            let now = Kernel.monotonicNow()
            // A thousand pods at the start take a minute: certificates, state and status have their turns in between.
            guard now - start < 250_000_000 else { return }
            if let due = capture.nextDue, due <= now { advance(capture, now: now) }
        }
    }

    /// Pods go on in another mode where that became the better one.
    private func reconsiderPods() {
        for pod in pods.values where pod.reconsider() { tellMode(pod.status) }
    }

    private func tellMode(_ status: PodCaptureStatus) {
        node.log.write(
            .info, .inpod, "pod \(status.location.pod) is captured in another mode", now: Kernel.realtimeNow()
        ) { line in
            line.field("capture", string: status.mode.rawValue)
            line.field("cause", string: status.modeReason)
        }
    }

    func advance(_ capture: PodCapture, now: UInt64) {
        let before = capture.status
        switch capture.advance(now: now) {
        case .none: break
        case .opened(let sockets):
            node.tell(.podOpened(capture.location, sockets))
            // A worker hands connections to others: none may accept before all of them know the pod.
            node.tell(.podServed(capture.location.pod))
            node.shared.withLock { $0.podsStarted += 1 }
        case .closed:
            node.tell(.podClosed(capture.location, isEnding ? .drainDeadline : .podRemoved))
            node.shared.withLock { $0.handover }?.podRemoved(capture.location.pod)
            node.shared.withLock { $0.podsStopped += 1 }
        }
        let after = capture.status
        if after.phase != before.phase || after.reason != before.reason || after.degradation != before.degradation {
            let reason = after.reason ?? after.degradation
            let level: LogLevel = reason == nil ? .info : .warn
            let state = after.reason == nil && after.degradation != nil ? "degraded" : after.phase.rawValue
            node.log.write(level, .inpod, "pod \(capture.location.pod) is \(state)", now: Kernel.realtimeNow()) {
                line in
                if let reason { line.field("cause", string: reason) }
            }
        }
        if before.phase == .enrolled, after.phase == .enrolled, after.mode != before.mode { tellMode(after) }
        if capture.isRemoved { pods[capture.location.pod] = nil }
    }

    func sharedPods() -> Set<String> {
        Set(pods.values.filter(\.isShared).map(\.location.pod))
    }

    func stopListening(_ pods: Set<String>) {
        for capture in self.pods.values where pods.contains(capture.location.pod) { capture.stopListening() }
    }

    /// The end of the daemon: takes everything out of every pod, unless it is to stay closed without us.
    func removeAll() {
        guard node.configuration.onExit == .remove, !isReplaced else { return }
        isEnding = true
        self.capture.shutGate()
        for capture in Array(pods.values) {
            let now = Kernel.monotonicNow()
            capture.remove(now: now)
            advance(capture, now: now)
        }
        capture.close()
        publish(Int64(Kernel.realtimeNow()))
    }

    private func publish(_ wall: Int64) {
        let statuses = pods.values.map(\.status).sorted { $0.location.pod < $1.location.pod }
        var state = self.state.status(now: wall)
        let certificates = identities.status(now: wall / 1_000_000_000)
        let warnings = self.state.warnings + capture.notes
        node.shared.withLock { shared in
            shared.pods = statuses
            let outbound = shared.snapshot.settings.outboundTrafficPolicy
            state.outboundTrafficPolicy = outbound == .allowAny ? nil : outbound.rawValue
            if shared.state.lastError != state.lastError, !state.lastError.isEmpty {
                node.log.write(
                    .error, .state, "the newest state is not in force, the last good one serves",
                    now: Kernel.realtimeNow()
                ) { $0.field("error", string: state.lastError) }
            }
            shared.state = state
            shared.certificates = certificates
            shared.leftAlone = discovery.left
            shared.failOpen = failOpen
            shared.notes = warnings
        }
    }
}

extension Node {
    /// A new state from Kubernetes resources.
    func adopt(_ mesh: CompiledMesh) {
        var state = LocalState()
        (state.workloads, state.services, state.policies) = (mesh.workloads, mesh.services, mesh.policies)
        (state.networkPolicies, state.settings) = (mesh.networkPolicies, mesh.settings)
        let routes = HTTPRouteTable(mesh.routes)
        shared.withLock { $0.routes = routes }
        adopt(state)
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
            tell(.snapshot(snapshot))
            log.write(.debug, .state, "state changed", now: Kernel.realtimeNow()) { line in
                line.field("workloads", number: changes.workloads.count)
                line.field("removed", number: changes.removedWorkloads.count)
            }
        }
        return shared.withLock { $0.snapshot.workloadCount }
    }

    /// What the mesh says of itself, with what this node was told over it.
    func settings(over mesh: MeshSettings) -> MeshSettings {
        var settings = mesh
        let options = configuration.dataPath
        if let policy = options.outboundTrafficPolicy { settings.outboundTrafficPolicy = policy }
        settings.policyEdits = options.policyEdits
        return settings
    }

    /// A new state from the source: the next snapshot, to every worker.
    func adopt(_ state: LocalState) {
        // Made outside the lock, which the status needs too: only this thread replaces the snapshot.
        let snapshot = state.next(after: shared.withLock { $0.snapshot }, settings: settings(over: state.settings))
        shared.withLock { shared in
            shared.snapshot = snapshot
            shared.hasState = true
        }
        tell(.snapshot(snapshot))
        log.write(.info, .state, "state loaded", now: Kernel.realtimeNow()) { line in
            line.field("workloads", number: snapshot.workloadCount)
            line.field("services", number: snapshot.serviceCount)
            line.field("policies", number: snapshot.policyCount)
        }
    }

    /// New credentials of an identity, or their loss.
    func adopt(_ identity: SpiffeID, _ credentials: TLSCredentials?) {
        let held = credentials.map { HeldChain($0) }
        shared.withLock { $0.held["\(identity)"] = held }
        guard let credentials else {
            tell(.credentials(identity, nil))
            return log.write(
                .warn, .identity, "no valid certificate for \(identity) any more", now: Kernel.realtimeNow())
        }
        do throws(TLSFailure) {
            let contexts = try IdentityContexts(
                credentials, revocations: revocations?.list, records: configuration.program.tlsRecords)
            tell(.credentials(identity, contexts))
            log.write(.info, .identity, "certificate for \(identity)", now: Kernel.realtimeNow()) { line in
                line.field("serial", string: credentials.serial)
                line.field("expires", string: StatusTime(unixSeconds: credentials.notAfter).description)
            }
        } catch {
            log.write(
                .error, .identity, "the certificate of \(identity) cannot be used: \(error)", now: Kernel.realtimeNow())
        }
    }
}
