internal import AdminServer
internal import EventLoop
internal import HBONE
internal import Telemetry

extension NodeWorker {
    /// Whether somebody observes, or did a while ago: all that a connection costs while nobody does is this comparison.
    var isObserving: Bool { loop.now < observedUntil }

    /// Nanoseconds that flows are still recorded after the last question about them.
    private static let observingTime: UInt64 = 600_000_000_000

    /// Starts the stopwatch of a connection that was accepted; one that stands still when nobody observes.
    ///
    /// - Parameter socket: the accepted socket, when nothing has been sent from our side; -1 for a stream.
    func timing(acceptedAt: UInt64, socket: Int32) -> FlowTiming {
        guard isObserving else { return FlowTiming() }
        return FlowTiming(
            accepted: acceptedAt, age: socket >= 0 ? Kernel.acceptedAge(socket) : 0, now: Kernel.monotonicNow())
    }

    /// Records a connection that is over.
    func observe(_ record: ConnectionRecord, _ outcome: RelayOutcome?, _ failure: TunnelFailure?) {
        flows.append(record.flow(outcome, failure, now: loop.now, wall: Kernel.realtimeNow()))
    }

    /// Answers who observes, and keeps recording for a while.
    func answer(_ question: FlowQuestion) -> FlowAnswer {
        var answer = FlowAnswer()
        if !isObserving {
            flows.removeAll()
            observedSince = Kernel.realtimeNow()
        }
        observedUntil = loop.now + Self.observingTime
        answer.since = observedSince
        answer.batch = flows.batch(after: question.cursor, limit: question.limit)
        if question.withOpen {
            let wall = Kernel.realtimeNow()
            for site in pods.values {
                site.connections.forEach { connection in
                    guard answer.open.count < question.limit, let flow = connection.flow(now: loop.now, wall: wall)
                    else { return }
                    answer.open.append(flow)
                    answer.open[answer.open.count - 1].isOpen = true
                }
            }
        }
        return answer
    }

    /// Gives back the memory of the flows when nobody has asked for them for long.
    func forgetFlows() {
        if !isObserving, flows.count > 0 { flows.removeAll() }
    }
}
