package import MeshModel
package import StatusModel

/// What an ``AdminServer`` serves: implemented by each program.
///
/// All calls come from the admin thread, and none may block longer than a short lock. Answers may be given on any
/// thread, at once or later; one that comes after its deadline is dropped.
package protocol AdminSource: AnyObject, Sendable {
    /// How many data workers there are; fixed.
    var workerCount: Int { get }

    /// Asks one worker, through its mailbox; `reply` is called on the worker's thread, at most once. A worker that has
    /// not answered within a second is reported as not answering, with its last known figures.
    func ask(worker: Int, _ reply: @escaping @Sendable (WorkerAnswer) -> Void)

    /// The same with a say in how much the worker tells; by default the short answer, whatever was asked.
    func ask(worker: Int, _ question: WorkerQuestion, _ reply: @escaping @Sendable (WorkerAnswer) -> Void)

    /// What the program knows without its workers. The server fills in workers, traffic, refusals,
    /// the log's state and the problems.
    func report() -> StatusReport

    /// Metrics of the program's own beside the traffic's.
    func metrics() -> [Metric]

    /// What the program still waits for before it takes traffic; empty when it is ready. Names are ztunnel's:
    /// `dns proxy`, `proxy`, `state manager`, `workload proxy manager`.
    func pendingTasks() -> [String]

    /// The state in force, for `GET /config_dump`.
    var meshSnapshot: MeshSnapshot { get }

    /// What it was started with, for `GET /config_dump`.
    var runningConfiguration: RunningConfiguration { get }

    /// The certificates it holds, with their PEM text but never a key, for `GET /config_dump`.
    func heldCertificates() -> [HeldCertificate]

    /// Takes a pod in.
    func add(_ pod: PodRequest, _ reply: @escaping @Sendable (CommandReply) -> Void)

    /// Takes a pod out.
    func remove(_ pod: PodRequest, _ reply: @escaping @Sendable (CommandReply) -> Void)

    /// Explains what would become of a connection; may take long, and is not called on the admin thread.
    func why(_ request: WhyRequest) throws(WhyFailure) -> WhyReport

    /// Tells whose verdict manifests would change; may take long, and is not called on the admin thread.
    func policyDiff(_ request: PolicyDiffRequest) throws(WhyFailure) -> PolicyDiffReport

    /// Ends the program in an orderly way (`POST /quitquitquit`).
    func shutDown()
}

/// Why a connection cannot be explained: the cause and the next step.
package struct WhyFailure: Error, Hashable, Sendable {
    package let message: String

    package init(_ message: String) { self.message = message }
}

extension AdminSource {
    package func why(_ request: WhyRequest) throws(WhyFailure) -> WhyReport {
        throw WhyFailure("this program does not decide about pods' connections; ask ztund")
    }

    package func policyDiff(_ request: PolicyDiffRequest) throws(WhyFailure) -> PolicyDiffReport {
        throw WhyFailure("this program does not decide about pods' connections; ask ztund")
    }

    package func metrics() -> [Metric] { [] }

    package var meshSnapshot: MeshSnapshot { .empty }

    package var runningConfiguration: RunningConfiguration { RunningConfiguration() }

    package func heldCertificates() -> [HeldCertificate] { report().certificates.map { HeldCertificate($0) } }

    package func ask(
        worker: Int, _ question: WorkerQuestion, _ reply: @escaping @Sendable (WorkerAnswer) -> Void
    ) {
        ask(worker: worker, reply)
    }

    package func add(_ pod: PodRequest, _ reply: @escaping @Sendable (CommandReply) -> Void) {
        reply(CommandReply(ok: false, message: "this program takes care of no pods; ask ztund"))
    }

    package func remove(_ pod: PodRequest, _ reply: @escaping @Sendable (CommandReply) -> Void) {
        reply(CommandReply(ok: false, message: "this program takes care of no pods; ask ztund"))
    }
}
