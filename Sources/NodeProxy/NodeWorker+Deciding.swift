internal import EventLoop
internal import HBONE
internal import MeshModel
internal import RoutingCore
internal import Telemetry

extension NodeWorker {
    /// Decides where a connection of a pod goes. Endpoints that are set aside are avoided as long as others are left.
    ///
    /// - Parameter failed: uids of endpoints that this very connection has tried.
    func decide(_ source: Workload, to destination: SocketAddress, excluding failed: [String] = []) -> OutboundDecision
    {
        var request = OutboundDecision.Request(
            source: source, destination: destination, random: random.next(), excluding: failed)
        let aside = setAside.uids(for: destination, now: loop.now)
        if !aside.isEmpty {
            request.excluding += aside
            let decision = OutboundDecision.decide(request, in: snapshot)
            if case .route = decision { return decision }
            request.excluding = failed
        }
        return OutboundDecision.decide(request, in: snapshot)
    }

    /// An endpoint of a service failed a connection.
    func setAside(_ peer: Workload, for destination: SocketAddress, after failure: TunnelFailure) {
        let before = setAside.count
        // A proxy that answers was reached: only this destination is not well there.
        setAside.failed(
            peer.fields.uid, destination: failure.status == nil ? nil : destination, now: loop.now)
        guard setAside.count > before else { return }
        NodeCounters.count(services.counters.setAside)
        report(.warn, "endpoint \(peer) of \(destination) is set aside for a while: \(failure)")
    }
}
