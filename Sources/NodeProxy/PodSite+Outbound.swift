internal import Capture
internal import EventLoop
internal import HBONE
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension PodSite {
    /// A program in the pod opened a connection: decide where it goes, then carry it or hand it to who does.
    func acceptOutbound(_ socket: consuming Descriptor, _ peer: SocketAddress) {
        let now = worker.loop.now
        guard let destination = sockets.originalDestination(of: socket.number, from: peer) else { return }
        guard !sockets.canaries.takes(.outbound, from: peer, to: destination) else {
            return Kernel.resetOnClose(socket.number)
        }
        guard !sockets.isUndirected(socket.number, from: peer, to: destination) else {
            return refuse(
                socket, record(peer, destination, now),
                TunnelFailure(.recursiveCall, "attempted recursive call to ourselves"))
        }
        guard !worker.isDraining else { return refuse(socket, record(peer, destination, now), Self.draining) }
        if let failure = lackOfMemory() { return refuse(socket, record(peer, destination, now), failure) }
        guard workload != nil else { return hold(.outbound(from: peer, to: destination), socket) }
        decideOutbound(socket, from: peer, to: destination, acceptedAt: now, waited: nil)
    }

    /// Decides about a connection of a pod whose workload is known.
    ///
    /// - Parameter waited: the arrival it was while it waited for the state.
    func decideOutbound(
        _ socket: consuming Descriptor, from peer: SocketAddress, to destination: SocketAddress, acceptedAt: UInt64,
        waited: WaitingArrival?
    ) {
        guard let workload else { return }
        switch worker.decide(workload, to: destination) {
        case .refused(let refusal):
            refuse(socket, record(peer, destination, acceptedAt), TunnelFailure(refusal.reason, refusal.detail))
        case .route(let route):
            if route.transport != .tcp, !hasCertificate {
                if let waited { return holdAgain(waited, socket) }
                return hold(.outbound(from: peer, to: destination), socket)
            }
            guard case .hostname(let name, _, let prefersIPv4) = route.nextHop else {
                return send(socket, route, from: peer, to: destination, acceptedAt: acceptedAt)
            }
            // The address decides which worker has the tunnels.
            let held = HeldDescriptor(socket)
            worker.lookUp(name, prefersIPv4: prefersIPv4) { [self] result in
                guard let socket = held.take() else { return }
                switch result {
                case .success(let address):
                    let route = route.resolved(to: address)
                    send(socket, route, from: peer, to: destination, acceptedAt: acceptedAt)
                case .failure(let failure):
                    refuse(socket, record(peer, destination, acceptedAt), failure)
                }
            }
        }
    }

    /// Carries a connection here, or hands it to the worker that owns its tunnels.
    private func send(
        _ socket: consuming Descriptor, _ route: OutboundRoute, from peer: SocketAddress,
        to destination: SocketAddress, acceptedAt: UInt64
    ) {
        let handover = OutboundHandover(
            pod: location.pod, descriptor: socket.number, source: peer, destination: destination, route: route,
            acceptedAt: acceptedAt)
        if worker.mailboxes.count > 1, let workload, let key = tunnelKey(for: route, source: peer, workload: workload) {
            let owner = Int(UInt(bitPattern: key.hashValue) % UInt(worker.mailboxes.count))
            if owner != worker.index {
                _ = socket.release()
                worker.mailboxes[owner].post(.handOver(handover))
                return
            }
        }
        carry(socket, handover)
    }

    /// The key of the tunnel that a route needs; nil when it needs none.
    func tunnelKey(for route: OutboundRoute, source: SocketAddress, workload: Workload) -> TunnelKey? {
        guard route.transport != .tcp, let nextHop = route.nextHopAddress else { return nil }
        var expected = route.expected.serviceNames.compactMap { SpiffeID($0) }
        if let identity = route.expected.workload { expected.append(identity) }
        return TunnelKey(
            source: workload.identity, expected: expected, sourceAddress: source.ip, destination: nextHop)
    }

    /// Carries a decided connection on this worker.
    func carry(_ socket: consuming Descriptor, _ handover: OutboundHandover) {
        let record = self.record(handover.source, handover.destination, handover.acceptedAt)
        guard !isClosed else { return refuse(socket, record, TunnelFailure(.podRemoved, "the pod left")) }
        // The worker that accepted it may have heard of a new workload or certificate before this one.
        guard let workload, handover.route.transport == .tcp || hasCertificate else {
            return hold(.handedOver(handover), socket)
        }
        OutboundConnection.start(
            socket, site: self, workload: workload, destination: handover.destination, route: handover.route,
            record: record)
    }

    func record(_ source: SocketAddress, _ destination: SocketAddress, _ now: UInt64) -> ConnectionRecord {
        var record = ConnectionRecord(direction: .outbound, acceptedAt: now, source: source, destination: destination)
        record.sourceWorkload = workload
        record.sourceIdentity = workload?.identity
        return record
    }

    /// Closes with RST and says why; the application's connect has already succeeded.
    func refuse(_ socket: consuming Descriptor, _ record: ConnectionRecord, _ failure: TunnelFailure) {
        Kernel.resetOnClose(socket.number)
        worker.refused(record, failure)
    }
}
