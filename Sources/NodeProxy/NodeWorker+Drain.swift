internal import Capture
internal import HBONE
internal import MeshModel

extension NodeWorker {
    /// Takes no new work: peers with tunnels are told in two steps, and what arrives from now on is refused.
    func drain() {
        guard !isDraining else { return }
        isDraining = true
        for site in pods.values { site.announceDrain() }
        startDrainClock()
    }

    /// Gives the tunnels that were told until the second step.
    func startDrainClock() {
        drainClock = DrainClock(loop) { [unowned self] in
            drainClock = nil
            for site in pods.values { site.drainTunnels() }
        }
    }

    /// Leaves the listeners of these pods (`namespace/name`) to another ztund.
    func yield(_ pods: Set<String>) {
        for site in self.pods.values where pods.contains(site.location.pod) { site.stopAccepting() }
    }

    /// Goes on with a connection of another ztund, or resets it when its pod is unknown here.
    func resume(_ inherited: InheritedRelay) {
        guard let site = pods[inherited.relay.pod], !site.isClosed else { return inherited.parts.reset() }
        InheritedConnection.resume(inherited, site: site)
    }

    /// What is still to end before the process may: connections, arrivals that wait, lookups, peers' tunnels.
    var unfinished: Int {
        pods.values.reduce(lookups.count) { $0 + $1.connections.count + $1.waiting.count + $1.tunnels.count }
    }

    /// The drain is over: everything that still runs is cut.
    func cutAll() {
        let failure = TunnelFailure(.drainDeadline, "connection failed to drain within the timeout")
        for site in pods.values { site.close(failure) }
        pods = [:]
    }
}
