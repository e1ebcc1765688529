internal import EventLoop

/// One long question to the workers, for one request: a list of connections or refusals, a configuration dump.
///
/// It ends when all have answered, or after a second with those that have.
final class Inspection: EventHandler {
    private(set) var answers: [WorkerAnswer] = []
    private var missing: Set<Int>
    // The admin loop owns its inspections and outlives them.
    private unowned let server: AdminLoop
    private let identifier: UInt64
    private let finish: (Inspection) -> Void
    private lazy var deadline = Deadline(owner: self, kind: 0)

    init(
        _ identifier: UInt64, workers: Int, server: AdminLoop, finish: @escaping (Inspection) -> Void
    ) {
        self.identifier = identifier
        missing = Set(0..<workers)
        self.server = server
        self.finish = finish
    }

    /// Workers that have not answered.
    var silentWorkers: Int { missing.count }

    func start() {
        deadline.arm(server.loop.deadlines(seconds: 1), now: server.loop.now)
    }

    func take(_ answer: WorkerAnswer, of worker: Int) {
        guard missing.remove(worker) != nil else { return }
        var answer = answer
        answer.worker = worker
        answers.append(answer)
        if missing.isEmpty { end() }
    }

    override func expired(_ kind: UInt8) { end() }

    private func end() {
        deadline.cancel()
        server.forget(inspection: identifier)
        finish(self)
    }
}
