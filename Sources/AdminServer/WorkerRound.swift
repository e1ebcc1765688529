internal import MeshModel
internal import StatusModel
internal import Telemetry

/// One question to all workers and what is known of each, in this round and from before.
struct WorkerRound: Sendable {
    /// Grows by one with each question; answers to earlier ones are dropped.
    private(set) var number: UInt64 = 0
    private(set) var isOpen = false
    private var askedAt: UInt64 = 0
    private var missing: Set<Int> = []
    private var known: [WorkerAnswer]
    private var lags: [UInt64]

    init(workerCount: Int) {
        known = Array(repeating: WorkerAnswer(), count: workerCount)
        lags = Array(repeating: 0, count: workerCount)
    }

    /// Begins a round; monotonic nanoseconds.
    mutating func begin(now: UInt64) {
        number += 1
        isOpen = true
        askedAt = now
        missing = Set(known.indices)
    }

    /// Takes an answer; true when it was the last one missing.
    mutating func take(_ answer: WorkerAnswer, of worker: Int, round: UInt64, at: UInt64) -> Bool {
        guard isOpen, round == number, missing.remove(worker) != nil else { return false }
        known[worker] = answer
        lags[worker] = at > askedAt ? at - askedAt : 0
        return missing.isEmpty
    }

    /// Ends the round, complete or not.
    mutating func end() {
        isOpen = false
    }

    /// Whether no answer is missing.
    var isComplete: Bool { missing.isEmpty }

    /// The workers as the status shows them.
    var statuses: [WorkerStatus] {
        known.enumerated().map { index, answer in
            var status = WorkerStatus(
                index: index, answering: !missing.contains(index), connections: answer.connections,
                tunnels: answer.tunnels, streams: answer.streams, loopLagMicroseconds: lags[index] / 1000)
            status.cpuMicroseconds = answer.cpuNanoseconds.map { $0 / 1000 }
            status.turns = answer.turns
            return status
        }
    }

    /// All workers' counters. Those of a silent worker are its last known, so that no counter ever falls.
    var traffic: TrafficSnapshot { TrafficSnapshot(merging: known.map(\.traffic)) }

    /// Application connections open in a pod, over all workers.
    func connections(ofPod pod: String) -> UInt64 {
        known.reduce(0) { $0 + ($1.podConnections[pod] ?? 0) }
    }

    /// Requests answered; nil when no worker counts any.
    var requests: UInt64? {
        let counts = known.compactMap(\.requests)
        return counts.isEmpty ? nil : counts.reduce(0, &+)
    }

    /// The newest refusals of all workers, newest first.
    func refusals(_ limit: Int) -> [Refusal] {
        Array(known.flatMap(\.refusals).sorted { $0.time > $1.time }.prefix(limit))
    }
}

extension StatusReport {
    /// Fills in what the workers say.
    mutating func add(_ round: WorkerRound) {
        workers = round.statuses
        for index in pods.indices {
            pods[index].connections = round.connections(ofPod: "\(pods[index].namespace)/\(pods[index].name)")
        }
        let sums = round.traffic
        traffic.connectionsOpened = sums.opened
        traffic.connectionsClosed = sums.closed
        traffic.connectionsFailed = sums.failed
        traffic.connectionsOpen = sums.opened &- sums.closed
        traffic.bytesSent = sums.sentBytes
        traffic.bytesReceived = sums.receivedBytes
        traffic.requests = round.requests ?? traffic.requests
        refusals = sums.refusals.map { key, count in
            RefusalCount(reason: key.reason.rawValue, direction: key.direction.rawValue, count: count)
        }
        refusals.sort { ($1.count, $0.reason, $0.direction) < ($0.count, $1.reason, $1.direction) }
        recentRefusals = round.refusals(20).map { refusal in
            RefusalStatus(
                time: StatusTime(unixNanoseconds: refusal.time), reason: refusal.reason.rawValue,
                direction: refusal.direction.rawValue, source: "\(refusal.source)",
                destination: "\(refusal.destination)", peer: refusal.peer.map { "\($0)" } ?? "",
                policy: refusal.policy, detail: refusal.detail)
        }
    }
}
