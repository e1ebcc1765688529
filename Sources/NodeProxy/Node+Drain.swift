internal import Capture
internal import ControlPlane
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
        let isReplaced = shared.withLock { shared in
            shared.isDraining = true
            return shared.isReplaced
        }
        let deadline = DrainDeadline.seconds
        if isReplaced {
            log.write(
                .info, .program, "drain started: another ztund took over, what is open goes on",
                now: Kernel.realtimeNow())
        } else {
            log.write(.info, .program, "drain started", now: Kernel.realtimeNow()) {
                $0.field("seconds", number: deadline)
            }
            yieldPods(control)
        }
        tell(.drain)
        if awaitEnd(control, seconds: deadline, waitForSignal: waitForSignal) { return }
        log.write(
            .warn, .program,
            signals.withLock { $0 } > (isReplaced ? 1 : 0)
                ? "drain ended by a second signal, forcefully shutting down"
                : "drain duration expired with pending connections, forcefully shutting down",
            now: Kernel.realtimeNow())
        tell(.cutAll)
        _ = unfinished()
    }

    /// True when all work has ended in time. For one that was replaced the time begins with the next signal.
    private func awaitEnd(
        _ control: NodeControl, seconds: Int, waitForSignal: @escaping @Sendable () -> Void
    ) -> Bool {
        let signals = self.signals
        let listening = try? LoopThread(name: "ztun-signal") {
            while true {
                waitForSignal()
                signals.withLock { $0 += 1 }
            }
        }
        guard let thread = listening else { return false }
        // It may wait for a signal that never comes.
        thread.detach()
        let length = UInt64(seconds) * 1_000_000_000
        var clock = DrainWait(isReplaced: shared.withLock { $0.isReplaced }, length: length)
        var round = 0
        while true {
            let successorEnded = shared.withLock { $0.successorEnded }
            let isIdle = unfinished() == 0
            switch clock.next(
                now: Kernel.monotonicNow(), isIdle: isIdle, signals: signals.withLock { $0 },
                isOrdered: configuration.whenReplaced == .exit || successorEnded, isAbandoned: successorEnded)
            {
            case .ended: return true
            case .expired: return false
            case .wait(let milliseconds): Kernel.pause(milliseconds: milliseconds)
            }
            round += 1
            if round % 10 == 0, !clock.isReplaced { yieldPods(control) }
        }
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

    /// What runs on all workers; nil when one of them does not answer in time.
    func unfinished(seconds: Int = 1) -> Int? {
        let sums = Lock((answers: 0, unfinished: 0))
        tell(.count { count in sums.withLock { $0 = ($0.answers + 1, $0.unfinished + count) } })
        for _ in 0..<(seconds * 500) {
            let (answers, unfinished) = sums.withLock { $0 }
            if answers == mailboxes.count { return unfinished }
            Kernel.pause(milliseconds: 2)
        }
        return nil
    }
}
