internal import EventLoop

extension PodCapture {
    /// Sends a canary when one is due, and looks at the one under way.
    func advanceCanary(_ now: UInt64) {
        guard let sockets = heldSockets, isServing, let mark = heldRedirection?.canaryMark else { return }
        if canarySchedule.isDue(now) {
            let begin = Kernel.monotonicNow()
            canary = (
                PodCanary(
                    in: sockets, outboundMark: mark.outbound, probeSources: node.options.probeSources, now: now), begin
            )
            canarySchedule.sent(now: now)
            // The workers take microseconds; it is worth waiting for them rather than for the next round.
            for _ in 0..<8 {
                lookAtCanary(now)
                guard canarySchedule.isFlying else { return }
                Kernel.pause(microseconds: 125)
            }
        }
        if canarySchedule.isFlying { lookAtCanary(now) }
    }

    private func lookAtCanary(_ now: UInt64) {
        guard let (flying, begin) = canary else { return }
        let took = (Kernel.monotonicNow() - begin) / 1000
        switch flying.look(now: now) {
        case .running: return
        case .passed(let untried):
            canarySchedule.passed(CanaryReport(isPassed: true, untried: untried, microseconds: took))
        case .failed(let reason):
            canarySchedule.failed(CanaryReport(isPassed: false, reason: reason, microseconds: took), now: now)
            // Before the next one, whatever is missing is put back.
            lookSoon(now: now)
        }
        canary = nil
    }
}

/// What stands for a connection of the pod's own programs in a test of its capture.
struct CanaryMark {
    /// The packet mark to give it; nil where no connection of ztund's can stand for one of theirs.
    let outbound: UInt32?
}
