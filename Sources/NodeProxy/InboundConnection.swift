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

    /// Asks policy again; cuts the connection when it is no longer allowed.
    func review(_ snapshot: MeshSnapshot, workload: Workload?) {
        var request = self.request
        if let workload { request.workload = workload }
        guard case .refused(let refusal) = Authorizer.authorize(request, in: snapshot) else { return }
        record.policy = refusal.policy ?? ""
        cut(TunnelFailure(.policyChanged, "connection closed due to policy change"))
    }

    // MARK: - Through a tunnel

    static func start(site: PodSite, connection: TunnelConnection, stream: TunnelStream, head: HeaderBlock) {
        let worker = site.worker
        var record = ConnectionRecord(
            direction: .inbound, acceptedAt: worker.loop.now, source: connection.remote, destination: connection.local)
        record.isMutualTLS = true
        record.sourceIdentity = connection.peer?.identity
        record.sourceWorkload = worker.snapshot.workload(
            at: NetworkAddress(network: worker.settings.network, ip: connection.remote.ip))
        let authority = head.first(":authority") ?? []
        record.authority = String(decoding: authority, as: UTF8.self)
        record.destinationWorkload = site.workload

        func refuse(_ status: Int, _ failure: TunnelFailure, policy: String? = nil) {
            record.policy = policy ?? ""
            worker.opened(&record)
            stream.respond(TunnelHeaders.refused(status: status, reason: failure.reason, policy: policy), end: true)
            worker.closed(&record, nil, failure)
        }

        guard let identity = connection.peer?.identity else { return stream.reset() }
        guard head.text(":method") == "CONNECT", head.first(":protocol") == nil else {
            let method = String(decoding: head.first(":method") ?? [], as: UTF8.self).prefix(32)
            return refuse(
                400, TunnelFailure(.methodNotConnect, "expected method CONNECT, got \(method.debugDescription)"))
        }
        if let host = head.first("host"), host != authority {
            return refuse(400, TunnelFailure(.authorityInvalid, "host and :authority differ"))
        }
        guard let workload = site.workload else {
            return refuse(503, TunnelFailure(.workloadUnknown, "pod \(site.location.pod) is not in the state"))
        }
        guard !worker.isDraining else {
            return refuse(503, TunnelFailure(.draining, "the node proxy is draining"))
        }
        record.destinationIdentity = workload.identity
        let inbound = InboundDecision.Request(workload: workload, localAddress: connection.local)
        switch InboundDecision.decide(inbound, authority: authority, in: worker.snapshot) {
        case .refused(let status, let refusal):
            refuse(status, TunnelFailure(refusal.reason, refusal.detail))
        case .forward(let target):
            if case .proxyProtocol = target.preface {
                return refuse(503, TunnelFailure(.connectFailed, "PROXY protocol tunnels are not carried yet"))
            }
            record.service = target.service.flatMap { worker.snapshot.service($0) }
            let request = AuthorizationRequest(
                source: identity, sourceIP: connection.remote.ip, target: target, workload: workload)
            switch Authorizer.authorize(request, in: worker.snapshot) {
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
        site.connections.insert(self)
        do throws(SystemError) {
            let socket = try site.dialApplication(authorized, from: peer)
            let relay = try SocketRelay(socket: socket, isConnected: false, loop: site.worker.loop, owner: self)
            self.relay = relay
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
        record.sourceWorkload = worker.snapshot.workload(
            at: NetworkAddress(network: worker.settings.network, ip: peer.ip))
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
        let request = AuthorizationRequest(source: nil, sourceIP: peer.ip, target: target, workload: workload)
        worker.opened(&record)
        switch Authorizer.authorize(request, in: worker.snapshot) {
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
                owner: self)
        } catch {
            end(nil, TunnelFailure(.connectFailed, "connection failed: \(error)"))
        }
    }

    override func countBytes() {
        if let bytes = relay?.bytes {
            site.worker.count(&record, fromSocket: bytes.fromSocket, toSocket: bytes.toSocket)
        } else if let bytes = plain?.bytes {
            site.worker.count(&record, fromSocket: bytes.toSocket, toSocket: bytes.fromSocket)
        }
    }

    // MARK: - RelayOwner

    func relayOpened(head: HeaderBlock?) {
        stream = nil
        relay?.accept(TunnelHeaders.accepted(baggage: site.baggage))
    }

    func relayRefused(_ failure: TunnelFailure) {
        let stream = self.stream
        self.stream = nil
        stream?.respond(TunnelHeaders.refused(status: 503, reason: failure.reason), end: true)
        end(nil, failure)
    }

    func relayEnded(_ outcome: RelayOutcome) {
        var outcome = outcome
        if plain != nil {
            // A plain relay counts from its downstream, which here is the client and not the application.
            swap(&outcome.bytesFromSocket, &outcome.bytesToSocket)
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
        return try sockets.dialApplication(at: target, from: isSelf ? nil : peer.ip, avoiding: peer.port, ports: &ports)
    }
}
