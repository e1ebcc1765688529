internal import AdminServer
internal import Capture
internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import TLS
internal import Telemetry

/// One connection that a program of the pod opened, from the decision to its end; tries other endpoints while it may.
final class OutboundConnection: SiteConnection, TunnelWaiter, RelayOwner {
    private let site: PodSite
    private let workload: Workload
    private let destination: SocketAddress
    private var route: OutboundRoute
    private var record: ConnectionRecord
    /// The application's socket until a relay has it.
    private var application: Descriptor?
    private var key: TunnelKey?
    private var gateway: GatewayTunnel?
    private var dial: PlainDial?
    private var relay: SocketRelay?
    private var plain: PlainRelay?
    private var excluded: [String] = []
    private var attempts = 1
    private var repeats = 0
    private var isOver = false
    /// What it waits for next, for who observes.
    private var stage = FlowStage.pool

    private init(
        _ application: consuming Descriptor, site: PodSite, workload: Workload, destination: SocketAddress,
        route: OutboundRoute, record: ConnectionRecord
    ) {
        self.site = site
        self.workload = workload
        self.destination = destination
        self.route = route
        self.record = record
        self.application = consume application
    }

    /// Takes over the application's socket.
    static func start(
        _ socket: consuming Descriptor, site: PodSite, workload: Workload, destination: SocketAddress,
        route: OutboundRoute, record: ConnectionRecord
    ) {
        let connection = OutboundConnection(
            socket, site: site, workload: workload, destination: destination, route: route, record: record)
        connection.describeRoute()
        connection.startTiming()
        // Behind a gateway the labels are known when the other side has answered.
        if route.transport != .doubleHBONE { site.worker.opened(&connection.record) }
        site.connections.insert(connection)
        connection.proceed()
    }

    override func cut(_ failure: TunnelFailure) {
        if let key { site.pool.cancel(key, self) }
        gateway?.cancel()
        dial?.cancel()
        if let relay, relay.stream != nil {
            relay.cut(failure)
        } else if let plain {
            plain.cut(failure)
        } else {
            end(nil, failure)
        }
    }

    /// Asks the source's network policies again.
    override func refusal(in snapshot: MeshSnapshot, workload: Workload?) -> ReviewRefusal? {
        guard let workload, !snapshot.networkPolicies.isEmpty,
            let verdict = route.egress(from: workload, dialled: destination, in: snapshot),
            let policy = verdict.refusing?.first
        else { return nil }
        return ReviewRefusal(
            reason: .networkPolicyDenied, policy: policy,
            isCut: snapshot.settings.policyEdits(ofNamespace: workload.fields.namespace) == .cut)
    }

    override func farRefusal(in snapshot: MeshSnapshot) -> ReviewRefusal? {
        guard route.via == .destination, let known = route.destination, known.fields.tunnelProtocol == .hbone,
            let next = route.nextHopAddress
        else { return nil }
        let target = SocketAddress(next.ip, route.targetPort)
        let request = AuthorizationRequest(
            source: route.transport == .hbone ? record.sourceIdentity : nil, sourceIP: record.source.ip,
            target: InboundTarget(destination: target, dial: target), workload: known)
        return .inbound(request, workload: snapshot.workload(uid: known.fields.uid), in: snapshot)
    }

    override func cut(_ refusal: ReviewRefusal) {
        record.policy = refusal.policy
        cut(refusal.failure)
    }

    /// What the log and the metrics say of where it goes.
    private func describeRoute() {
        record.service = route.service
        // A gateway's peer is not whom the connection is for.
        // Through a waypoint the other end, whose identity was proved, is the waypoint.
        let peer = route.transport == .doubleHBONE ? nil : route.peer
        record.destinationWorkload = route.via == .waypoint ? peer : route.destination ?? peer
        record.isMutualTLS = route.transport != .tcp
        record.transport = route.transport.flow
        record.waypoint = route.via == .waypoint ? peer : nil
        if let nextHop = route.nextHopAddress { record.destination = nextHop }
        record.authority = route.authority?.description ?? ""
    }

    /// Sets out for the route's next hop.
    private func proceed() {
        describeRoute()
        switch (route.nextHop, route.transport) {
        case (.hostname(let name, _, let prefersIPv4), _):
            site.worker.lookUp(name, prefersIPv4: prefersIPv4) { [self] result in
                guard !isOver else { return }
                stage = .decision
                pass()
                switch result {
                case .success(let address):
                    route = route.resolved(to: address)
                    proceed()
                case .failure(let failure):
                    refused(failure)
                }
            }
        case (.address(let nextHop), .tcp):
            stage = .connect
            startPlain(to: nextHop)
        case (.address, .hbone), (.address, .doubleHBONE):
            startTunnel()
        }
    }

    // MARK: - Plain TCP

    private func startPlain(to nextHop: SocketAddress) {
        do throws(SystemError) {
            let upstream = try site.sockets.dialPeer(at: nextHop)
            guard route.mayTryAnother, route.peer != nil else { return relayPlain(upstream) }
            dial = try PlainDial(
                upstream, loop: site.worker.loop,
                connected: { [self] socket in
                    dial = nil
                    relayPlain(socket)
                },
                failed: { [self] failure in
                    dial = nil
                    relayRefused(failure)
                })
        } catch {
            relayRefused(TunnelFailure(.connectFailed, "connection failed: \(error)", isBeforeRequest: true))
        }
    }

    private func relayPlain(_ upstream: consuming Descriptor) {
        guard let socket = application.take() else { return }
        do throws(SystemError) {
            plain = try PlainRelay(
                downstream: socket, upstream: upstream, loop: site.worker.loop, buffers: site.worker.buffers,
                share: site.share, owner: self)
            plain?.isObserved = record.timing.isRunning
        } catch {
            end(nil, TunnelFailure(.connectFailed, "connection failed: \(error)"))
        }
    }

    // MARK: - Tunnel

    private func startTunnel() {
        if relay == nil {
            guard let socket = application.take() else { return }
            do throws(SystemError) {
                relay = try SocketRelay(
                    socket: socket, isConnected: true, loop: site.worker.loop, share: site.share, owner: self)
                relay?.isObserved = record.timing.isRunning
            } catch {
                return end(nil, TunnelFailure(.overLimit, "\(error)"))
            }
        }
        checkout()
    }

    private func checkout() {
        guard let key = site.tunnelKey(for: route, source: record.source, workload: workload),
            route.authority != nil
        else {
            return end(nil, TunnelFailure(.noHealthyUpstream, "no address to dial"))
        }
        guard route.transport == .doubleHBONE else {
            self.key = key
            return site.pool.checkout(key, self)
        }
        let inner = route.innerExpected?.serviceNames.compactMap { SpiffeID($0) } ?? []
        let gateway = GatewayTunnel(site: site, key: key, inner: inner, head: request())
        self.gateway = gateway
        gateway.open(self)
    }

    private func request() -> HeaderBlock {
        TunnelHeaders.request(
            authority: record.authority, baggage: site.baggage, source: record.source, service: route.service,
            random: &site.worker.random)
    }

    func tunnelAvailable(_ connection: TunnelConnection) {
        guard !isOver, let relay, route.authority != nil else { return }
        record.destinationIdentity = connection.peer?.identity
        if record.timing.isRunning {
            record.timing.passTunnel(connection.milestones, at: Kernel.monotonicNow())
            stage = .answer
        }
        var head = request()
        if gateway != nil {
            gateway = nil
            head.append("x-forwarded-network", workload.fields.network)
        }
        if !relay.open(on: connection, head: head) { checkout() }
    }

    func tunnelUnavailable(_ failure: TunnelFailure) {
        gateway = nil
        stage = FlowStage(ofFailedDial: failure.reason)
        pass()
        refused(failure)
    }

    override func handOver() -> InheritedRelay? {
        guard let parts = plain?.takeApart() else { return nil }
        isOver = true
        plain = nil
        return site.handedOver(&record, self, target: destination, parts)
    }

    override var keptBytes: Int { (relay?.keptBytes ?? 0) + (plain?.keptBytes ?? 0) }

    override func countBytes() {
        guard let bytes = relay?.bytes ?? plain?.bytes else { return }
        site.worker.count(&record, fromSocket: bytes.fromSocket, toSocket: bytes.toSocket)
    }

    override func live(now: UInt64) -> LiveConnection? {
        var live = record.live(
            pod: site.location.pod, transport: route.transport.live, to: record.destination, now: now)
        live.target = "\(destination)"
        return live
    }

    override func flow(now: UInt64, wall: UInt64) -> FlowRecord? {
        var flow = record.flow(now: now, wall: wall)
        if let relay {
            record.add(RelayFigures(relay), to: &flow)
        } else if let plain {
            record.add(RelayFigures(plain, isInbound: false), to: &flow)
        }
        return flow
    }

    private func startTiming() {
        guard site.worker.isObserving, let number = application?.number else { return }
        record.timing = site.worker.timing(acceptedAt: record.acceptedAt, socket: number)
        record.timing.pass(.decision, at: Kernel.monotonicNow())
    }

    /// The time since the last milestone belongs to what was waited for.
    private func pass() {
        if record.timing.isRunning { record.timing.pass(stage, at: Kernel.monotonicNow()) }
    }

    // MARK: - RelayOwner

    func relayOpened(head: HeaderBlock?) {
        pass()
        if let peer = route.peer { site.worker.setAside.succeeded(peer.fields.uid, destination: destination) }
        guard record.series == nil else { return }
        record.destinationBaggage = head.flatMap { Baggage($0) }
        site.worker.opened(&record)
    }

    func relayRefused(_ failure: TunnelFailure) {
        pass()
        refused(failure)
    }

    private func refused(_ failure: TunnelFailure) {
        guard !isOver else { return }
        if failure.isUnprocessed, repeats < 2, plain == nil {
            repeats += 1
            return proceed()
        }
        if plain == nil, let peer = route.peer, isFault(ofEndpoint: failure) {
            site.worker.setAside(peer, for: destination, after: failure)
            excluded.append(peer.fields.uid)
            if attempts < site.worker.settings.connectAttempts, let next = nextRoute() {
                attempts += 1
                NodeCounters.count(site.worker.services.counters.retries)
                route = next
                return proceed()
            }
        }
        end(nil, failure)
    }

    func relayEnded(_ outcome: RelayOutcome) {
        end(outcome, outcome.failure)
    }

    /// Whether another endpoint may do better: only where no byte of the application can have been seen, and never after a
    /// refusal by identity or policy.
    private func isFault(ofEndpoint failure: TunnelFailure) -> Bool {
        guard route.mayTryAnother else { return false }
        if let status = failure.status { return status == 503 }
        switch failure.reason {
        case .identityMismatch, .trustDomainMismatch, .certificateRevoked, .certificateUnavailable, .overLimit,
            .draining:
            return false
        default: return failure.isBeforeRequest
        }
    }

    /// The way to another endpoint; nil when there is none. A socket that a tunnel's relay has is not taken back.
    private func nextRoute() -> OutboundRoute? {
        guard case .route(let next) = site.worker.decide(workload, to: destination, excluding: excluded),
            next.transport != .tcp || relay == nil,
            // A waypoint or gateway that is named by its address is no choice among several.
            !(next.peer.map { excluded.contains($0.fields.uid) } ?? false)
        else { return nil }
        return next
    }

    private func end(_ outcome: RelayOutcome?, _ failure: TunnelFailure?) {
        guard !isOver else { return }
        isOver = true
        relay?.giveUp()
        relay = nil
        plain = nil
        dial = nil
        gateway = nil
        if let application = application.take() { Kernel.resetOnClose(application.number) }
        site.connections.remove(self)
        if record.series == nil { site.worker.opened(&record) }
        site.worker.closed(&record, outcome, failure)
    }
}
