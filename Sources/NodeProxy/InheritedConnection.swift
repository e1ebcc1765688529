internal import AdminServer
internal import Capture
internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import Telemetry

/// A connection without a tunnel that an earlier ztund accepted; policy is asked about it as about any other.
final class InheritedConnection: SiteConnection, RelayOwner {
    private let site: PodSite
    private let target: SocketAddress
    private var record: ConnectionRecord
    /// What policy is asked; nil for a connection that the pod itself opened.
    private let request: AuthorizationRequest?
    private var plain: PlainRelay?
    private var isOver = false

    private init(_ site: PodSite, _ record: ConnectionRecord, _ target: SocketAddress, _ request: AuthorizationRequest?)
    {
        self.site = site
        self.record = record
        self.target = target
        self.request = request
    }

    /// Goes on with a connection, or resets it where it may not be.
    static func resume(_ inherited: InheritedRelay, site: PodSite) {
        let worker = site.worker
        let relay = inherited.relay
        guard let source = SocketAddress(relay.source), let target = SocketAddress(relay.target),
            let destination = SocketAddress(relay.destination), let workload = site.workload
        else { return inherited.parts.reset() }
        var record = ConnectionRecord(
            direction: relay.isInbound ? .inbound : .outbound, acceptedAt: relay.acceptedAt, source: source,
            destination: destination)
        let network = workload.fields.network
        let other = relay.isInbound ? source.ip : destination.ip
        let peer = worker.snapshot.workload(at: NetworkAddress(network: network, ip: other))
        var request: AuthorizationRequest?
        if relay.isInbound {
            record.sourceWorkload = peer
            record.destinationWorkload = workload
            request = AuthorizationRequest(
                source: nil, sourceIP: source.ip, target: InboundTarget(destination: target, dial: target),
                workload: workload)
        } else {
            record.sourceWorkload = workload
            record.sourceIdentity = workload.identity
            record.destinationWorkload = peer
            record.service = worker.snapshot.service(
                at: NetworkAddress(network: network, ip: target.ip), visibleTo: workload.fields.namespace)
        }
        let (fromClient, fromServer) = (relay.downstream.bytesRead, relay.upstream.bytesRead)
        // The one before has counted these.
        record.countedFromSocket = relay.isInbound ? fromServer : fromClient
        record.countedToSocket = relay.isInbound ? fromClient : fromServer
        worker.opened(&record)
        let connection = InheritedConnection(site, record, target, request)
        if let request, case .refused(let refusal) = Authorizer.authorize(request, in: worker.snapshot),
            worker.snapshot.settings.policyEdits(ofNamespace: request.workload.fields.namespace) == .cut
        {
            connection.record.policy = refusal.policy ?? ""
            inherited.parts.reset()
            return connection.end(nil, connection.policyChanged)
        }
        do throws(SystemError) {
            connection.plain = try PlainRelay(
                resuming: inherited.parts, loop: worker.loop, buffers: worker.buffers, share: site.share,
                owner: connection)
            site.connections.insert(connection)
        } catch {
            connection.end(nil, TunnelFailure(.overLimit, "\(error)"))
        }
    }

    private var policyChanged: TunnelFailure {
        TunnelFailure(.policyChanged, "connection closed due to policy change")
    }

    override func cut(_ failure: TunnelFailure) {
        plain?.cut(failure)
    }

    override func refusal(in snapshot: MeshSnapshot, workload: Workload?) -> ReviewRefusal? {
        guard let request else { return nil }
        return .inbound(request, workload: workload, in: snapshot)
    }

    override func cut(_ refusal: ReviewRefusal) {
        record.policy = refusal.policy
        cut(refusal.failure)
    }

    override func handOver() -> InheritedRelay? {
        guard let parts = plain?.takeApart() else { return nil }
        isOver = true
        plain = nil
        return site.handedOver(&record, self, target: target, parts)
    }

    override var keptBytes: Int { plain?.keptBytes ?? 0 }

    override func countBytes() {
        guard let bytes = plain?.bytes else { return }
        if request == nil {
            site.worker.count(&record, fromSocket: bytes.fromSocket, toSocket: bytes.toSocket)
        } else {
            site.worker.count(&record, fromSocket: bytes.toSocket, toSocket: bytes.fromSocket)
        }
    }

    override func live(now: UInt64) -> LiveConnection? {
        var live = record.live(pod: site.location.pod, transport: .tcp, to: record.destination, now: now)
        live.target = "\(target)"
        return live
    }

    override func flow(now: UInt64, wall: UInt64) -> FlowRecord? {
        var flow = record.flow(now: now, wall: wall)
        if let plain { record.add(RelayFigures(plain, isInbound: request != nil), to: &flow) }
        return flow
    }

    func relayOpened(head: HeaderBlock?) {}
    func relayRefused(_ failure: TunnelFailure) { end(nil, failure) }

    func relayEnded(_ outcome: RelayOutcome) {
        var outcome = outcome
        // A plain relay counts from its downstream, which here is the client and not the application.
        if request != nil { outcome.swapSides() }
        end(outcome, outcome.failure)
    }

    private func end(_ outcome: RelayOutcome?, _ failure: TunnelFailure?) {
        guard !isOver else { return }
        isOver = true
        plain = nil
        site.connections.remove(self)
        site.worker.closed(&record, outcome, failure)
    }
}

extension PodSite {
    /// Takes all connections apart that go on without a tunnel, for the ztund that takes over.
    func handOverRelays() -> [InheritedRelay] {
        var relays: [InheritedRelay] = []
        connections.forEach { connection in
            if let relay = connection.handOver() { relays.append(relay) }
        }
        return relays
    }

    /// One connection leaves for another ztund: it is counted to here, and told of at its end by that one.
    func handedOver(
        _ record: inout ConnectionRecord, _ connection: SiteConnection, target: SocketAddress, _ parts: PlainRelayParts
    ) -> InheritedRelay {
        connections.remove(connection)
        let (fromClient, fromServer) = (parts.downstream.bytesRead, parts.upstream.bytesRead)
        let isInbound = record.direction == .inbound
        worker.count(
            &record, fromSocket: isInbound ? fromServer : fromClient, toSocket: isInbound ? fromClient : fromServer)
        if let series = record.series { worker.traffic.closed(series) }
        return InheritedRelay(
            relay: RelayInheritance(
                pod: location.pod, isInbound: isInbound, source: record.source, target: target,
                destination: record.destination, acceptedAt: record.acceptedAt, parts: parts),
            parts: parts)
    }
}
