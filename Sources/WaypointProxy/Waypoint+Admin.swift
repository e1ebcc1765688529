package import AdminServer
internal import ControlPlane
internal import EventLoop
internal import Glibc
internal import HBONE
package import MeshModel
package import StatusModel
internal import Telemetry

extension Waypoint: AdminSource {
    package var workerCount: Int { mailboxes.count }

    package func ask(worker: Int, _ reply: @escaping @Sendable (WorkerAnswer) -> Void) {
        ask(worker: worker, WorkerQuestion(), reply)
    }

    package func ask(
        worker: Int, _ question: WorkerQuestion, _ reply: @escaping @Sendable (WorkerAnswer) -> Void
    ) {
        mailboxes[worker].post(
            .ask(question) { [weak self] answer in
                self?.shared.withLock { $0.routes[worker] = answer.requests }
                reply(answer.worker)
            })
    }

    package func report() -> StatusReport {
        let now = Kernel.realtimeNow()
        var report = StatusReport(
            program: "ztun-waypoint", version: ProductVersion.text, pid: getpid(),
            startedAt: StatusTime(unixNanoseconds: startedAt),
            uptimeSeconds: Int64((now - min(startedAt, now)) / 1_000_000_000))
        let shared = self.shared.withLock { $0 }
        report.pending = pendingTasks()
        report.ready = report.pending.isEmpty && !shared.isDraining
        report.draining = shared.isDraining
        report.state = shared.state
        report.certificates = shared.certificates
        report.revocation = revocations?.status
        report.notes = shared.notes
        report.memory = MemoryStatus(
            held: UInt64(max(0, memory.held)), budget: UInt64(memory.budget), podBudget: UInt64(memory.budget),
            pauses: memory.pauses, refused: memory.refusals, shed: memory.shed)
        return report
    }

    package var runningConfiguration: RunningConfiguration {
        var running = RunningConfiguration()
        running.adminAddress = configuration.program.adminAddress
        running.metricsAddress = configuration.program.metricsAddress
        running.readinessAddress = configuration.program.readinessAddress
        running.statePath = configuration.program.stateOrigin
        running.workerThreads = mailboxes.count
        running.poolMaxStreams = configuration.program.poolMaxStreams
        return running
    }

    package var meshSnapshot: MeshSnapshot { shared.withLock { $0.snapshot } }

    package func pendingTasks() -> [String] {
        shared.withLock { shared in
            var pending: [String] = []
            if shared.isDraining || !shared.hasIdentity { pending.append("proxy") }
            if !shared.hasState || !shared.hasRoutes { pending.append("state manager") }
            return pending
        }
    }

    /// `istio_requests_total` of the answers the workers gave last.
    package func metrics() -> [Metric] {
        var sums: [TrafficLabels: [RequestTable.Outcome: UInt64]] = [:]
        for row in shared.withLock({ $0.routes }).flatMap(\.rows) {
            for (outcome, count) in row.outcomes { sums[row.labels, default: [:]][outcome, default: 0] += count }
        }
        let samples = sums.flatMap { labels, counts in
            counts.map { outcome, count in
                var sample = Metric.Sample(Double(count))
                labels.forEach(flags: outcome.flag.rawValue, status: outcome.status) {
                    sample.labels.append(.init($0, $1))
                }
                return sample
            }
        }
        guard !samples.isEmpty else { return [] }
        // The same order on every scrape.
        let sorted = samples.map { (key: $0.labels.map(\.value), sample: $0) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
        return [
            Metric(
                "istio_requests", .counter, help: "Requests that the waypoint has answered",
                samples: sorted.map(\.sample))
        ]
    }

    package func shutDown() {
        shared.withLock { $0.shutDown }?()
    }
}
