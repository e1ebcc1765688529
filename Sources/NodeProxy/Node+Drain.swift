internal import Capture
internal import EventLoop
internal import MeshModel
internal import StatusModel
internal import Telemetry

extension Node {
    /// Lets running work end until the deadline or a second signal, then cuts what is left.
    ///
    /// Where another ztund serves a pod too, its listeners are left to that one as soon as it is seen, with every
    /// connection that waits at them; elsewhere new work is refused with ``Reason/draining``.
    func drain(_ control: NodeControl, waitForSignal: @escaping @Sendable () -> Void) {
        shared.withLock { $0.isDraining = true }
        let deadline = DrainDeadline.seconds
        log.write(.info, .program, "drain started", now: Kernel.realtimeNow()) { $0.field("seconds", number: deadline) }
        yieldPods(control)
        tell(.drain)
        if awaitEnd(control, seconds: deadline, waitForSignal: waitForSignal) { return }
        log.write(
            .warn, .program,
            ended.withLock { $0 }
                ? "drain ended by a second signal, forcefully shutting down"
                : "drain duration expired with pending connections, forcefully shutting down",
            now: Kernel.realtimeNow())
        tell(.cutAll)
        _ = unfinished()
    }

    /// True when all work has ended in time.
    private func awaitEnd(
        _ control: NodeControl, seconds: Int, waitForSignal: @escaping @Sendable () -> Void
    ) -> Bool {
        let ended = self.ended
        let signals = try? LoopThread(name: "ztun-signal") {
            waitForSignal()
            ended.withLock { $0 = true }
        }
        guard let thread = signals else { return false }
        // It may wait for a signal that never comes.
        thread.detach()
        let end = Kernel.monotonicNow() + UInt64(seconds) * 1_000_000_000
        var round = 0
        while Kernel.monotonicNow() < end, !ended.withLock({ $0 }) {
            if unfinished() == 0 { return true }
            Kernel.pause(milliseconds: 20)
            round += 1
            if round % 10 == 0 { yieldPods(control) }
        }
        return false
    }

    /// Leaves the pods that another ztund serves too to that one.
    private func yieldPods(_ control: NodeControl) {
        let pods = control.sharedPods()
        guard !pods.isEmpty else { return }
        tell(.yield(pods))
        // An answer of every worker says that it has let go of the listeners.
        guard unfinished() != nil else { return }
        control.stopListening(pods)
        for pod in pods.sorted() {
            log.write(.info, .inpod, "pod \(pod) is left to another ztund", now: Kernel.realtimeNow())
        }
    }

    /// What runs on all workers; nil when one of them does not answer within a second.
    private func unfinished() -> Int? {
        let sums = Lock((answers: 0, unfinished: 0))
        tell(.count { count in sums.withLock { $0 = ($0.answers + 1, $0.unfinished + count) } })
        for _ in 0..<500 {
            let (answers, unfinished) = sums.withLock { $0 }
            if answers == mailboxes.count { return unfinished }
            Kernel.pause(milliseconds: 2)
        }
        return nil
    }
}
