internal import AdminServer
internal import Capture
internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import TLS
internal import Telemetry

/// One connection into the pod, through a tunnel or in plaintext, from the decision to its end.
///
/// The application is only dialled with an ``Authorized`` value, and the connection is looked at again whenever the
/// state changes.
final class InboundConnection: SiteConnection, RelayOwner {
    private let site: PodSite
    private var record: ConnectionRecord
    private let request: AuthorizationRequest
    private var relay: SocketRelay?
    private var plain: PlainRelay?
    // Kept to answer a tunnel's CONNECT when the dial fails; the relay lets go of it first.
    private var stream: TunnelStream?
    // The application's socket, which the relay owns: a PROXY protocol header goes there before the relay begins.
    private var application: Int32 = -1
    private var isOver = false

    private init(site: PodSite, record: ConnectionRecord, authorized: Authorized) {
        self.site = site
        self.record = record
        request = authorized.request
    }

    override func cut(_ failure: TunnelFailure) {
        relay?.cut(failure)
        plain?.cut(failure)
    }

    /// Asks policy again; a pod that is no longer known is refused, since policy could not be asked about it any more.
    override func refusal(in snapshot: MeshSnapshot, workload: Workload?) -> ReviewRefusal? {
        .inbound(request, workload: workload, in: snapshot)
    }

    override func cut(_ refusal: ReviewRefusal) {
        record.policy = refusal.policy
        cut(refusal.failure)
    }

    // MARK: - Through a tunnel

    /// What is known of a request before anything was decided.
    private static func record(_ site: PodSite, _ connection: TunnelConnection, _ head: HeaderBlock) -> ConnectionRecord
    {
        let worker = site.worker
        var record = ConnectionRecord(
            direction: .inbound, acceptedAt: worker.loop.now, source: connection.remote, destination: connection.local)
        record.isMutualTLS = true
        record.sourceIdentity = connection.peer?.identity
        let network = site.workload?.fields.network ?? worker.settings.network
        // A gateway hands on what comes from another network: the peer's address says nothing about the client then.
        if head.first("x-forwarded-network").map({ $0.elementsEqual(network.utf8) }) ?? true {
            record.sourceWorkload = worker.snapshot.workload(
                at: NetworkAddress(network: network, ip: connection.remote.ip))
        }
        if record.sourceWorkload == nil { record.sourceBaggage = Baggage(head) }
        record.authority = String(decoding: (head.first(":authority") ?? []).prefix(300), as: UTF8.self)
        record.destinationWorkload = site.workload
        return record
    }

    /// Answers a request that is not carried.
    static func refuse(
        site: PodSite, connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock, status: Int,
        _ failure: TunnelFailure
    ) {
        var record = record(site, connection, head)
        site.worker.opened(&record)
        stream.respond(TunnelHeaders.refused(status: status, reason: failure.reason), end: true)
        site.worker.closed(&record, nil, failure)
    }

    static func start(site: PodSite, connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock) {
        let worker = site.worker
        var record = record(site, connection, head)
        let authority = head.first(":authority") ?? []
        record.timing = worker.timing(acceptedAt: record.acceptedAt, socket: -1)
        record.port = 0

        func refuse(_ status: Int, _ failure: TunnelFailure, policy: String? = nil, text: StaticString = "") {
            record.policy = policy ?? ""
            if record.timing.isRunning { record.timing.pass(.decision, at: Kernel.monotonicNow()) }
            worker.opened(&record)
            stream.respond(
                TunnelHeaders.refused(status: status, reason: failure.reason, policy: policy), end: true, text: text)
            worker.closed(&record, nil, failure)
        }

        guard let identity = connection.peer?.identity else { return stream.reset() }
        guard head.text(":method") == "CONNECT", head.first(":protocol") == nil else {
            let method = String(decoding: head.first(":method") ?? [], as: UTF8.self).prefix(32)
            return refuse(
                400, TunnelFailure(.methodNotConnect, "expected method CONNECT, got \(method.debugDescription)"),
                text: TunnelStream.notConnect(head))
        }
        if let host = head.first("host"), host != authority {
            return refuse(400, TunnelFailure(.authorityInvalid, "host and :authority differ"))
        }
        guard let workload = site.workload else {
            return refuse(503, TunnelFailure(.workloadUnknown, "pod \(site.location.pod) is not in the state"))
        }
        record.destinationIdentity = workload.identity
        let inbound = InboundDecision.Request(
            workload: workload, localAddress: connection.local,
            localhostApplicationTunnel: worker.settings.localhostAppTunnel)
        switch InboundDecision.decide(inbound, authority: Array(authority), in: worker.snapshot) {
        case .refused(let status, let refusal):
            refuse(status, TunnelFailure(refusal.reason, refusal.detail))
        case .forward(let target):
            record.port = target.destination.port
            record.service =
                target.service.flatMap { worker.snapshot.service($0) }
                ?? ForwardedHost.service(head, endpoint: workload, in: worker.snapshot)
            var request = AuthorizationRequest(
                source: identity, sourceIP: connection.remote.ip, target: target, workload: workload)
            request.admitsUnverifiedByNegation = worker.settings.admitsUnverifiedByNegation
            let authorization = Authorizer.authorize(request, in: worker.snapshot)
            worker.logDecision(authorization, record)
            switch authorization {
            case .refused(let refusal):
                refuse(
                    401,
                    TunnelFailure(
                        refusal.reason, "connection closed due to policy rejection: \(refusal.detail)"),
                    policy: refusal.policy)
            case .allowed(let authorized):
                worker.opened(&record)
                let inbound = InboundConnection(site: site, record: record, authorized: authorized)
                inbound.dial(authorized, for: stream, from: connection.remote)
            }
        }
    }

    private func dial(_ authorized: Authorized, for stream: TunnelStream, from peer: SocketAddress) {
        self.stream = stream
        if record.timing.isRunning { record.timing.pass(.decision, at: Kernel.monotonicNow()) }
        site.connections.insert(self)
        do throws(SystemError) {
            let socket = try site.dialApplication(authorized, from: peer)
            application = socket.number
            let relay = try SocketRelay(
                socket: socket, isConnected: false, loop: site.worker.loop, share: site.share, owner: self)
            self.relay = relay
            relay.isObserved = record.timing.isRunning
            relay.attach(stream)
        } catch {
            relayRefused(TunnelFailure(.connectFailed, "connection failed: \(error)"))
        }
    }

    // MARK: - In plaintext

    static func start(
        site: PodSite, socket: consuming Descriptor, peer: SocketAddress, destination: SocketAddress
    ) {
        let worker = site.worker
        var record = ConnectionRecord(
            direction: .inbound, acceptedAt: worker.loop.now, source: peer, destination: destination)
        record.timing = worker.timing(acceptedAt: record.acceptedAt, socket: socket.number)
        record.sourceWorkload = worker.snapshot.workload(
            at: NetworkAddress(network: site.workload?.fields.network ?? worker.settings.network, ip: peer.ip))
        record.destinationWorkload = site.workload
        let target: InboundTarget
        switch InboundDecision.decide(plaintextTo: destination) {
        case .refused(_, let refusal):
            return site.refuse(socket, record, TunnelFailure(refusal.reason, refusal.detail))
        case .forward(let decided):
            target = decided
        }
        guard let workload = site.workload else {
            return site.refuse(
                socket, record, TunnelFailure(.workloadUnknown, "pod \(site.location.pod) is not in the state"))
        }
        var request = AuthorizationRequest(source: nil, sourceIP: peer.ip, target: target, workload: workload)
        request.admitsUnverifiedByNegation = worker.settings.admitsUnverifiedByNegation
        worker.opened(&record)
        let authorization = Authorizer.authorize(request, in: worker.snapshot)
        worker.logDecision(authorization, record)
        if record.timing.isRunning { record.timing.pass(.decision, at: Kernel.monotonicNow()) }
        switch authorization {
        case .refused(let refusal):
            record.policy = refusal.policy ?? ""
            Kernel.resetOnClose(socket.number)
            worker.closed(
                &record, nil,
                TunnelFailure(refusal.reason, "connection closed due to policy rejection: \(refusal.detail)"))
        case .allowed(let authorized):
            let inbound = InboundConnection(site: site, record: record, authorized: authorized)
            site.connections.insert(inbound)
            inbound.dial(authorized, for: socket, from: peer)
        }
    }

    private func dial(_ authorized: Authorized, for socket: consuming Descriptor, from peer: SocketAddress) {
        do throws(SystemError) {
            let upstream = try site.dialApplication(authorized, from: peer)
            plain = try PlainRelay(
                downstream: socket, upstream: upstream, loop: site.worker.loop, buffers: site.worker.buffers,
                share: site.share, owner: self)
            plain?.isObserved = record.timing.isRunning
        } catch {
            end(nil, TunnelFailure(.connectFailed, "connection failed: \(error)"))
        }
    }

    override func handOver() -> InheritedRelay? {
        guard let parts = plain?.takeApart() else { return nil }
        isOver = true
        plain = nil
        return site.handedOver(&record, self, target: request.target.destination, parts)
    }

    override var keptBytes: Int { (relay?.keptBytes ?? 0) + (plain?.keptBytes ?? 0) }

    override func countBytes() {
        if let bytes = relay?.bytes {
            site.worker.count(&record, fromSocket: bytes.fromSocket, toSocket: bytes.toSocket)
        } else if let bytes = plain?.bytes {
            site.worker.count(&record, fromSocket: bytes.toSocket, toSocket: bytes.fromSocket)
        }
    }

    override func live(now: UInt64) -> LiveConnection? {
        var live = record.live(
            pod: site.location.pod, transport: record.isMutualTLS ? .hbone : .tcp, to: request.target.dial, now: now)
        live.target = live.service.isEmpty ? record.authority : live.service
        return live
    }

    override func flow(now: UInt64, wall: UInt64) -> FlowRecord? {
        var flow = record.flow(now: now, wall: wall)
        if let relay {
            record.add(RelayFigures(relay), to: &flow)
        } else if let plain {
            record.add(RelayFigures(plain, isInbound: true), to: &flow)
        }
        return flow
    }

    // MARK: - RelayOwner

    func relayOpened(head: HeaderBlock?) {
        stream = nil
        if record.timing.isRunning { record.timing.pass(.connect, at: Kernel.monotonicNow()) }
        if relay != nil, case .proxyProtocol(let destination) = request.target.preface {
            let header = ProxyHeader.version2(
                source: record.source, destination: destination, identity: record.sourceIdentity)
            // A socket just connected has room for it; it counts neither as the stream's bytes nor as traffic.
            guard
                header.withUnsafeBytes({ bytes in
                    bytes.baseAddress.map { Kernel.write(application, $0, bytes.count) } == bytes.count
                })
            else {
                relay?.cut(TunnelFailure(.connectFailed, "the application did not take the PROXY protocol header"))
                return
            }
        }
        relay?.accept(site.acceptance)
    }

    func relayRefused(_ failure: TunnelFailure) {
        let stream = self.stream
        self.stream = nil
        if record.timing.isRunning { record.timing.pass(.connect, at: Kernel.monotonicNow()) }
        stream?.respond(TunnelHeaders.refused(status: 503, reason: failure.reason), end: true)
        end(nil, failure)
    }

    func relayEnded(_ outcome: RelayOutcome) {
        var outcome = outcome
        if plain != nil {
            // A plain relay counts from its downstream, which here is the client and not the application.
            outcome.swapSides()
        }
        end(outcome, outcome.failure)
    }

    private func end(_ outcome: RelayOutcome?, _ failure: TunnelFailure?) {
        guard !isOver else { return }
        isOver = true
        relay = nil
        plain = nil
        stream = nil
        site.connections.remove(self)
        site.worker.closed(&record, outcome, failure)
    }
}

extension PodSite {
    /// Dials the application for a connection that policy let in, from the client's address where that is possible.
    fileprivate func dialApplication(_ authorized: Authorized, from peer: SocketAddress) throws(SystemError)
        -> Descriptor
    {
        let target = authorized.dial
        let isSelf = peer.ip == target.ip || target.ip.isLoopback
        return try sockets.dialApplication(
            at: target, from: isSelf || !worker.settings.preservesSource ? nil : peer.ip, avoiding: peer.port,
            ports: &ports)
    }
}
