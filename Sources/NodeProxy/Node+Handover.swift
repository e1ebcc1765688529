internal import AdminServer
internal import Capture
internal import ControlPlane
internal import EventLoop
internal import Telemetry

extension Node {
    /// This ztund's place in the row of those that took over from one another; 1 for the first.
    var generation: Int { shared.withLock { $0.generation } }

    /// Gets all that the ztund of this run directory has; nil when there is none, or it is not to be replaced.
    func takeOver() throws(Succession.Failure) -> Succession? {
        guard configuration.replaces else { return nil }
        let path = Succession.path(in: configuration.program.runDirectory)
        guard let succession = try Succession.begin(path, capture: configuration.capture.rawValue) else { return nil }
        shared.withLock { $0.generation = succession.generation + 1 }
        log.write(.info, .program, "takes over from another ztund", now: Kernel.realtimeNow()) { line in
            line.field("process", number: Int(succession.pid))
            line.field("pods", number: succession.pods.count)
        }
        return succession
    }

    /// Makes the pods ours alone, once every worker accepts their connections.
    func complete(_ succession: Succession, _ admin: AdminServer) throws(Succession.Failure) {
        guard unfinished(seconds: 5) != nil else {
            throw Succession.Failure(description: "a worker does not answer; process \(succession.pid) serves on")
        }
        try succession.commit()
        admin.ownSocket()
    }

    /// Another ztund has all pods: what is open may end in its own time.
    func replaced() {
        let raise = shared.withLock { shared in
            shared.isReplaced = true
            return shared.shutDown
        }
        raise?()
    }

    /// Stops all connections that go on without a tunnel, for another ztund to go on with.
    func takeRelays() -> [InheritedRelay] {
        let taken = Lock((answers: 0, relays: [InheritedRelay]()))
        tell(.handOverRelays { relays in taken.withLock { $0 = ($0.answers + 1, $0.relays + relays) } })
        // A worker that hangs has its connections stand still anyway: nothing that it still gives may be lost.
        while taken.withLock({ $0.answers }) < mailboxes.count { Kernel.pause(milliseconds: 1) }
        return taken.withLock { $0.relays }
    }

    /// The one that replaced us has ended without a successor of its own.
    func successorEnded() {
        shared.withLock { $0.successorEnded = true }
        log.write(.warn, .program, "the ztund that took over has ended", now: Kernel.realtimeNow())
    }
}
