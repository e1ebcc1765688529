internal import Capture
internal import EventLoop
internal import HBONE
internal import HTTP2
internal import MeshModel
internal import RoutingCore
internal import TLS
internal import Telemetry

/// One pod on one worker: its listeners, its tunnels out and in, its connections.
final class PodSite: TunnelDialer {
    let location: PodLocation
    let sockets: PodSockets
    unowned(unsafe) let worker: NodeWorker
    /// The pod's workload in the current snapshot; nil while the state does not know it.
    private(set) var workload: Workload?
    private(set) var baggage = ""
    /// The answer to a CONNECT that is taken.
    private(set) var acceptance = HeaderBlock()
    var ports: SourcePortAllocator
    private var listeners: [ConnectionListener] = []
    private var poolStorage: TunnelPool?
    /// What the pod may take of this worker.
    let share: FairShare
    var tunnels: [ObjectIdentifier: TunnelConnection] = [:]
    var connections = ConnectionSet()
    /// What waits for the state or a certificate.
    var waiting: [WaitingArrival] = []
    private(set) var isClosed = false

    init(_ location: PodLocation, _ sockets: PodSockets, worker: NodeWorker) {
        self.location = location
        self.sockets = sockets
        self.worker = worker
        ports = sockets.sourcePorts(worker: worker.index, of: worker.mailboxes.count)
        share = FairShare(loop: worker.loop, memory: worker.services.memory.account(of: location.pod))
        poolStorage = TunnelPool(
            loop: worker.loop, buffers: worker.buffers, dialer: self,
            streamsPerConnection: worker.settings.streamsPerConnection, limits: worker.settings.http2,
            idleSeconds: worker.settings.poolReleaseSeconds, share: share)
        share.owner = self
    }

    /// Begins to accept; called once every worker has the pod, so that any of them may be handed a connection.
    func listen() throws(SystemError) {
        guard listeners.isEmpty, !isClosed else { return }
        for (descriptor, take) in [
            (sockets.outbound.number, PodSite.acceptOutbound), (sockets.inbound.number, PodSite.acceptPlaintext),
            (sockets.tunnel.number, PodSite.acceptTunnel),
        ] {
            do throws(SystemError) {
                listeners.append(
                    try ConnectionListener(
                        descriptor: descriptor, loop: worker.loop,
                        accept: { [unowned self] socket, peer in take(self)(socket, peer) },
                        refused: { [unowned self] code in
                            NodeCounters.count(worker.services.counters.acceptPauses)
                            worker.report(
                                .warn,
                                "accepting pauses for pod \(location.pod): \(Kernel.errnoName(code)): raise this process's "
                                    + "limit of open files, or see who uses it up with `ztun connections`")
                        }))
            } catch {
                stopAccepting()
                throw error
            }
        }
    }

    /// Set in init, never again.
    var pool: TunnelPool { poolStorage.unsafelyUnwrapped }

    var counts: (connections: Int, tunnels: Int, streams: Int) {
        let outbound = pool.counts
        let inbound = tunnels.values.reduce(0) { $0 + $1.streamCount }
        return (connections.count, outbound.connections + tunnels.count, outbound.streams + inbound)
    }

    func adopt(_ snapshot: MeshSnapshot) {
        workload = snapshot.workload(namespace: location.namespace, name: location.name)
        baggage = workload.map { TunnelHeaders.baggage(of: $0, clusterID: worker.settings.clusterID) } ?? ""
        acceptance = TunnelHeaders.accepted(baggage: worker.settings.responseBaggage ? baggage : "")
    }

    /// Cuts the connections that the current state no longer allows.
    func review() {
        connections.forEach { connection in
            if let refusal = connection.refusal(in: worker.snapshot, workload: workload), refusal.isCut {
                connection.cut(refusal)
            }
        }
    }

    /// Brings the metrics of the live connections up to now.
    func countBytes() {
        connections.forEach { $0.countBytes() }
    }

    /// Accepts nothing more; what waits at the listeners is another ztund's.
    func stopAccepting() {
        for listener in listeners { listener.close() }
        listeners = []
    }

    /// Tells the peers that have tunnels to open no more streams in them.
    func announceDrain() {
        for tunnel in tunnels.values { tunnel.announceDrain() }
    }

    /// Ends the peers' tunnels: at once those without streams, the others with their last one. Those whose handshake was
    /// under way when the drain began are told when they open.
    func drainTunnels() {
        for tunnel in Array(tunnels.values) where tunnel.phase == .open { tunnel.drain() }
    }

    /// The refusal of what arrives during a drain.
    static let draining = TunnelFailure(.draining, "the node proxy is draining")

    func close(_ failure: TunnelFailure) {
        isClosed = true
        stopAccepting()
        refuseWaiting(failure)
        connections.forEach { $0.cut(failure) }
        for tunnel in Array(tunnels.values) { tunnel.close(failure) }
        pool.closeAll(failure)
        share.close()
        worker.services.memory.giveBack(location.pod)
    }

    // MARK: - TunnelDialer

    func tunnelSocket(for key: TunnelKey) throws(TunnelFailure) -> Descriptor {
        do throws(SystemError) {
            return try sockets.openDial(ipv6: !key.destination.ip.isIPv4)
        } catch {
            throw TunnelFailure(.overLimit, "no socket in the pod's namespace: \(error)", isBeforeRequest: true)
        }
    }

    func tunnelContext(for key: TunnelKey) throws(TunnelFailure) -> TLSContext {
        guard let contexts = worker.contexts[key.source] else {
            throw TunnelFailure(.certificateUnavailable, "no valid certificate for \(key.source) yet")
        }
        return contexts.client
    }
}
