package import AdminServer
internal import Capture
internal import ControlPlane
internal import EventLoop
internal import Glibc
package import MeshModel
package import StatusModel
internal import Telemetry

extension Node: AdminSource {
    package var workerCount: Int { mailboxes.count }

    package func ask(worker: Int, _ reply: @escaping @Sendable (WorkerAnswer) -> Void) {
        mailboxes[worker].post(.ask(reply))
    }

    package func ask(
        worker: Int, _ question: WorkerQuestion, _ reply: @escaping @Sendable (WorkerAnswer) -> Void
    ) {
        mailboxes[worker].post(.inspect(question, reply))
    }

    package func report() -> StatusReport {
        let now = Kernel.realtimeNow()
        var report = StatusReport(
            program: "ztund", version: ProductVersion.text, pid: getpid(),
            startedAt: StatusTime(unixNanoseconds: startedAt),
            uptimeSeconds: Int64((now - min(startedAt, now)) / 1_000_000_000))
        let shared = self.shared.withLock { $0 }
        report.pending = pendingTasks()
        report.ready = report.pending.isEmpty && !shared.isDraining
        report.draining = shared.isDraining
        report.captureMode = configuration.capture.rawValue
        report.state = shared.state
        report.certificates = shared.certificates
        report.revocation = revocations?.status
        report.notes = shared.notes
        report.notEnrolled = shared.leftAlone.isEmpty ? nil : shared.leftAlone
        report.generation = shared.generation
        report.predecessors = shared.handover?.predecessors ?? []
        report.memory = services.memory.status
        let monotonic = Kernel.monotonicNow()
        report.pods = shared.pods.map { pod in
            let age = monotonic > pod.since ? monotonic - pod.since : 0
            var status = PodStatus(
                namespace: pod.location.namespace, name: pod.location.name, netns: pod.location.path,
                state: Self.state(of: pod), since: StatusTime(unixNanoseconds: now - min(age, now)))
            status.reason = pod.reason ?? pod.degradation ?? ""
            status.capture = pod.mode.rawValue
            status.captureReason = pod.modeReason
            status.repairs = UInt64(pod.repairs)
            status.canary = pod.canary.map {
                CanaryStatus(
                    passed: $0.isPassed, reason: $0.reason, untried: $0.untried, microseconds: $0.microseconds)
            }
            status.failOpen = shared.failOpen[pod.location.pod]
            status.older = pod.older.map { older in
                OlderConnectionsStatus(
                    atEnrolment: older.atEnrolment, open: older.openCount,
                    listed: older.listed.map {
                        OlderConnectionsStatus.Connection(local: $0.local.description, remote: $0.remote.description)
                    })
            }
            status.heldBytes = services.memory.held(by: pod.location.pod)
            if let workload = shared.snapshot.workload(namespace: pod.location.namespace, name: pod.location.name) {
                status.workloadKnown = true
                status.addresses = workload.fields.addresses.map(\.description)
                status.identity = workload.identity.description
            } else if status.reason.isEmpty {
                status.reason = "the state has no workload \(pod.location.pod)"
            }
            return status
        }
        return report
    }

    private static func state(of pod: PodCaptureStatus) -> PodStatus.State {
        switch pod.phase {
        case .enrolled: pod.degradation == nil ? .captured : .degraded
        case .pending: .pending
        case .removing, .removed: .draining
        }
    }

    package func metrics() -> [Metric] { services.counters.metrics + podMetrics + services.memory.metrics }

    package var meshSnapshot: MeshSnapshot { shared.withLock { $0.snapshot } }

    package func pendingTasks() -> [String] {
        shared.withLock { shared in
            var pending: [String] = []
            if shared.isDraining { pending.append("proxy") }
            if !shared.hasState { pending.append("state manager") }
            if shared.pods.count < configuration.pods.count || shared.pods.contains(where: { $0.phase != .enrolled }) {
                pending.append("workload proxy manager")
            }
            return pending
        }
    }

    package func add(_ pod: PodRequest, _ reply: @escaping @Sendable (CommandReply) -> Void) {
        guard let netns = pod.netns else {
            return reply(CommandReply(ok: false, message: "say where the pod's network namespace is: NS/NAME@PATH"))
        }
        change(
            PodLocation(namespace: pod.namespace, name: pod.name, path: netns), isAddition: true,
            failOpen: pod.failOpen, reroutedInterfaces: pod.reroutedInterfaces, reply)
    }

    package func remove(_ pod: PodRequest, _ reply: @escaping @Sendable (CommandReply) -> Void) {
        change(PodLocation(namespace: pod.namespace, name: pod.name, path: pod.netns ?? ""), isAddition: false, reply)
    }

    private func change(
        _ location: PodLocation, isAddition: Bool, failOpen: Bool? = nil, reroutedInterfaces: String? = nil,
        _ reply: @escaping @Sendable (CommandReply) -> Void
    ) {
        let wake = shared.withLock { shared in
            shared.requests.append(
                PodChange(
                    location: location, isAddition: isAddition, failOpen: failOpen,
                    reroutedInterfaces: reroutedInterfaces, reply: reply))
            return shared.wake
        }
        wake?()
    }

    package func shutDown() {
        shared.withLock { $0.shutDown }?()
    }
}
