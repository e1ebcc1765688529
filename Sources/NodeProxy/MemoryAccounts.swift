internal import AdminServer
internal import HBONE
internal import StatusModel
internal import Telemetry

/// The memory accounts of the process and of its pods, which all workers charge.
final class MemoryAccounts: Sendable {
    let process: MemoryAccount
    private let podBudget: Int
    private let pods = Lock<[String: Entry]>([:])

    private struct Entry {
        let account: MemoryAccount
        var users: Int
    }

    init(_ settings: NodeSettings) {
        process = MemoryAccount(budget: settings.memoryBudget)
        podBudget = settings.podMemoryBudget
    }

    /// The account of a pod (`namespace/name`) for one more worker, to be given back with ``giveBack(_:)``.
    func account(of pod: String) -> MemoryAccount {
        pods.withLock { pods in
            var entry = pods[pod] ?? Entry(account: MemoryAccount(budget: podBudget, partOf: process), users: 0)
            entry.users += 1
            pods[pod] = entry
            return entry.account
        }
    }

    /// The pod left a worker.
    func giveBack(_ pod: String) {
        pods.withLock { pods in
            guard var entry = pods[pod] else { return }
            entry.users -= 1
            pods[pod] = entry.users > 0 ? entry : nil
        }
    }

    /// Bytes that a pod's slow readers hold.
    func held(by pod: String) -> UInt64 {
        pods.withLock { UInt64(max(0, $0[pod]?.account.held ?? 0)) }
    }

    /// All of it, for the status.
    var status: MemoryStatus {
        MemoryStatus(
            held: UInt64(max(0, process.held)), budget: UInt64(process.budget), podBudget: UInt64(podBudget),
            pauses: process.pauses, refused: process.refusals, shed: process.shed)
    }

    /// The same for the metrics page.
    var metrics: [Metric] {
        let held = pods.withLock { $0.mapValues { $0.account.held } }.filter { $0.value > 0 }
        return [
            Metric(
                "ztun_memory_held_bytes", .gauge, help: "Bytes that wait in this process for slow readers",
                value: Double(max(0, process.held))),
            Metric(
                "ztun_memory_budget_bytes", .gauge, help: "The budget of ztun_memory_held_bytes",
                value: Double(process.budget)),
            Metric(
                "ztun_pod_memory_held_bytes", .gauge, help: "Bytes that wait for slow readers, by pod",
                samples: held.sorted { $0.key < $1.key }.map { .init(Double($0.value), labels: [.init("pod", $0.key)]) }
            ),
            Metric(
                "ztun_memory_pauses", .counter, help: "Times a tunnel was not read because a memory budget was used up",
                value: Double(process.pauses)),
            Metric(
                "ztun_memory_refusals", .counter,
                help: "Connections refused because a memory budget was used up",
                value: Double(process.refusals)),
            Metric(
                "ztun_memory_shed", .counter, help: "Connections cut because they held most of a used-up budget",
                value: Double(process.shed)),
        ]
    }
}
