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
    private var key: TunnelKey?
    private var relay: SocketRelay?
    private var plain: PlainRelay?
    private var excluded: [String] = []
    private var attempts = 1
    private var repeats = 0
    private var isOver = false

    private init(
        site: PodSite, workload: Workload, destination: SocketAddress, route: OutboundRoute, record: ConnectionRecord
    ) {
        self.site = site
        self.workload = workload
        self.destination = destination
        self.route = route
        self.record = record
    }

    /// Takes over the application's socket.
    static func start(
        _ socket: consuming Descriptor, site: PodSite, workload: Workload, destination: SocketAddress,
        route: OutboundRoute, record: ConnectionRecord
    ) {
        let connection = OutboundConnection(
            site: site, workload: workload, destination: destination, route: route, record: record)
        connection.describeRoute()
        guard let nextHop = route.nextHopAddress, route.transport != .doubleHBONE else {
            let failure =
                route.transport == .doubleHBONE
                ? TunnelFailure(.gatewayUnknown, "destinations on other networks are not carried yet")
                : TunnelFailure(.noHealthyUpstream, "endpoints by host name are not looked up yet")
            return site.refuse(socket, connection.record, failure)
        }
        site.worker.opened(&connection.record)
        site.connections.insert(connection)
        switch route.transport {
        case .tcp: connection.startPlain(socket, to: nextHop)
        case .hbone, .doubleHBONE: connection.startTunnel(socket)
        }
    }

    override func cut(_ failure: TunnelFailure) {
        if let key { site.pool.cancel(key, self) }
        if let relay {
            if relay.stream != nil { relay.cut(failure) } else { end(nil, failure) }
        }
        plain?.cut(failure)
    }

    /// What the log and the metrics say of where it goes.
    private func describeRoute() {
        record.service = route.service
        record.destinationWorkload = route.destination ?? route.peer
        record.isMutualTLS = route.transport != .tcp
        if let nextHop = route.nextHopAddress { record.destination = nextHop }
        record.authority = route.authority?.description ?? ""
    }

    // MARK: - Plain TCP

    private func startPlain(_ socket: consuming Descriptor, to nextHop: SocketAddress) {
        do throws(SystemError) {
            let upstream = try site.sockets.dialPeer(at: nextHop)
            plain = try PlainRelay(
                downstream: socket, upstream: upstream, loop: site.worker.loop, buffers: site.worker.buffers,
                owner: self)
        } catch {
            end(nil, TunnelFailure(.connectFailed, "connection failed: \(error)"))
        }
    }

    // MARK: - Tunnel

    private func startTunnel(_ socket: consuming Descriptor) {
        do throws(SystemError) {
            relay = try SocketRelay(socket: socket, isConnected: true, loop: site.worker.loop, owner: self)
        } catch {
            return end(nil, TunnelFailure(.overLimit, "\(error)"))
        }
        checkout()
    }

    private func checkout() {
        guard let key = site.tunnelKey(for: route, source: record.source, workload: workload) else {
            return end(nil, TunnelFailure(.noHealthyUpstream, "no address to dial"))
        }
        self.key = key
        site.pool.checkout(key, self)
    }

    func tunnelAvailable(_ connection: TunnelConnection) {
        guard !isOver, let relay, let authority = route.authority else { return }
        record.destinationIdentity = connection.peer?.identity
        let head = TunnelHeaders.request(
            authority: authority, baggage: site.baggage, source: record.source, service: route.service,
            random: &site.worker.random)
        if !relay.open(on: connection, head: head) { checkout() }
    }

    func tunnelUnavailable(_ failure: TunnelFailure) {
        relayRefused(failure)
    }

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

    // MARK: - RelayOwner

    func relayOpened(head: HeaderBlock?) {}

    func relayRefused(_ failure: TunnelFailure) {
        guard !isOver else { return }
        if failure.isUnprocessed, repeats < 2 {
            repeats += 1
            return checkout()
        }
        if plain == nil, mayRetry(failure), let next = nextRoute() {
            attempts += 1
            route = next
            describeRoute()
            return checkout()
        }
        end(nil, failure)
    }

    func relayEnded(_ outcome: RelayOutcome) {
        end(outcome, outcome.failure)
    }

    /// Only where no byte of the application can have been seen, and never after a refusal by identity or policy.
    private func mayRetry(_ failure: TunnelFailure) -> Bool {
        guard route.mayTryAnother, attempts < site.worker.settings.connectAttempts, route.peer != nil else {
            return false
        }
        if let status = failure.status { return status == 503 }
        switch failure.reason {
        case .identityMismatch, .trustDomainMismatch, .certificateRevoked, .certificateUnavailable: return false
        default: return failure.isBeforeRequest
        }
    }

    /// Another endpoint over a tunnel; nil when there is none.
    private func nextRoute() -> OutboundRoute? {
        if let peer = route.peer { excluded.append(peer.fields.uid) }
        let request = OutboundDecision.Request(
            source: workload, destination: destination, random: site.worker.random.next(), excluding: excluded)
        guard case .route(let next) = OutboundDecision.decide(request, in: site.worker.snapshot),
            next.transport == .hbone, next.nextHopAddress != nil
        else { return nil }
        return next
    }

    private func end(_ outcome: RelayOutcome?, _ failure: TunnelFailure?) {
        guard !isOver else { return }
        isOver = true
        relay?.giveUp()
        relay = nil
        plain = nil
        site.connections.remove(self)
        site.worker.closed(&record, outcome, failure)
    }
}
