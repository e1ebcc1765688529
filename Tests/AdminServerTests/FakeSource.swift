import AdminServer
import MeshModel
import StatusModel
import Telemetry

/// A program with two workers, of which one can be made to hang.
final class FakeSource: AdminSource {
    let workerCount = 2
    let hangs: Lock<Bool>
    let pending: Lock<[String]>
    let pods: Lock<[PodRequest]>
    let stopped: Lock<Bool>

    init(hangs: Bool = false, pending: [String] = []) {
        self.hangs = Lock(hangs)
        self.pending = Lock(pending)
        pods = Lock([])
        stopped = Lock(false)
    }

    static func answer() -> WorkerAnswer {
        let table = TrafficTable()
        var labels = TrafficLabels(reporter: .destination)
        labels.source.principal = "spiffe://cluster.local/ns/app/sa/client"
        labels.destination.workload = "web"
        let index = table.series(for: labels)
        table.opened(index)
        table.opened(index)
        table.received(1000, index)
        table.sent(2000, index)
        table.closed(index, flag: .deny)
        table.refused(.policyDenied, .inbound)
        var answer = WorkerAnswer()
        answer.connections = 1
        answer.tunnels = 1
        answer.streams = 1
        answer.traffic = table.snapshot()
        let address = SocketAddress(.loopbackV4, 80)
        answer.refusals = [
            Refusal(time: 5, reason: .policyDenied, direction: .inbound, source: address, destination: address)
        ]
        return answer
    }

    func ask(worker: Int, _ reply: @escaping @Sendable (WorkerAnswer) -> Void) {
        if worker == 1, hangs.withLock({ $0 }) { return }
        reply(Self.answer())
    }

    func report() -> StatusReport {
        var report = StatusReport(
            program: "ztund", version: "0.0.1", pid: 7, startedAt: StatusTime(unixSeconds: 1), uptimeSeconds: 2)
        report.ready = pending.withLock { $0.isEmpty }
        return report
    }

    func metrics() -> [Metric] {
        [Metric("workload_manager_proxies_started", .counter, help: "Pods taken in", value: 3)]
    }

    func pendingTasks() -> [String] { pending.withLock { $0 } }

    func add(_ pod: PodRequest, _ reply: @escaping @Sendable (CommandReply) -> Void) {
        pods.withLock { $0.append(pod) }
        reply(CommandReply(ok: true, message: "added \(pod)"))
    }

    func remove(_ pod: PodRequest, _ reply: @escaping @Sendable (CommandReply) -> Void) {
        reply(CommandReply(ok: false, message: "no such pod"))
    }

    func shutDown() { stopped.withLock { $0 = true } }
}
