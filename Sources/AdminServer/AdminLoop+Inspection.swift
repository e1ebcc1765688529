internal import EventLoop
internal import FoundationEssentials
internal import StatusModel
internal import Telemetry

extension AdminLoop {
    /// Connections per worker in a configuration dump.
    private static let dumpedConnections = 10_000

    func list(_ query: ListQuery, _ reply: @escaping @Sendable (AdminResponse) -> Void) {
        let report = source.report()
        let listing = Listing(
            query: query, program: report.program, generation: report.generation, snapshot: source.meshSnapshot,
            now: Kernel.realtimeNow())
        guard let question = query.question else {
            return compose(reply) { .json(200, listing.bytes()) }
        }
        inspect(question) { [unowned self] inspection in
            var listing = listing
            listing.answers = inspection.answers
            listing.silentWorkers = inspection.silentWorkers
            let complete = listing
            compose(reply) { .json(200, complete.bytes()) }
        }
    }

    func dumpConfiguration(_ reply: @escaping @Sendable (AdminResponse) -> Void) {
        inspect(WorkerQuestion(refusals: 0, connections: Self.dumpedConnections)) { [unowned self] inspection in
            let report = source.report()
            let dump = ConfigDump(
                snapshot: source.meshSnapshot, version: report.version, pods: report.pods,
                certificates: source.heldCertificates(), connections: inspection.answers.flatMap(\.live),
                configuration: source.runningConfiguration)
            compose(reply) { .json(200, dump.bytes()) }
        }
    }

    /// Explains a connection, on a thread of its own: manifests to try may take a while to compile.
    func explain(_ body: [UInt8], _ reply: @escaping @Sendable (AdminResponse) -> Void) {
        guard let request = try? JSONDecoder().decode(WhyRequest.self, from: Data(body)) else {
            let message = #"the body is not {"source": "NS/NAME", "destination": "NS/NAME:PORT"}"#
            return reply(Self.json(CommandReply(ok: false, message: message), status: 400))
        }
        let source = self.source
        compose(reply) {
            do throws(WhyFailure) {
                return Self.json(try source.why(request), status: 200)
            } catch {
                return Self.json(CommandReply(ok: false, message: error.message), status: 409)
            }
        }
    }

    /// Tells whose verdict manifests would change, on a thread of its own as well.
    func comparePolicies(_ body: [UInt8], _ reply: @escaping @Sendable (AdminResponse) -> Void) {
        guard let request = try? JSONDecoder().decode(PolicyDiffRequest.self, from: Data(body)) else {
            let message = #"the body is not {"manifests": [{"name": "FILE", "text": "…"}], "replace": false}"#
            return reply(Self.json(CommandReply(ok: false, message: message), status: 400))
        }
        let source = self.source
        compose(reply) {
            do throws(WhyFailure) {
                return Self.json(try source.policyDiff(request), status: 200)
            } catch {
                return Self.json(CommandReply(ok: false, message: error.message), status: 409)
            }
        }
    }

    /// Asks all workers and calls `finish` once, on this thread.
    private func inspect(_ question: WorkerQuestion, _ finish: @escaping (Inspection) -> Void) {
        inspect({ _ in question }, finish)
    }

    /// The same with a question for each worker.
    func inspect(_ question: (Int) -> WorkerQuestion, _ finish: @escaping (Inspection) -> Void) {
        let identifier = nextInspection
        nextInspection += 1
        let inspection = Inspection(identifier, workers: source.workerCount, server: self, finish: finish)
        inspections[identifier] = inspection
        guard source.workerCount > 0 else { return inspection.expired(0) }
        inspection.start()
        let mailbox = self.mailbox
        for worker in 0..<source.workerCount {
            source.ask(worker: worker, question(worker)) { answer in
                mailbox.post(.inspected(identifier, worker: worker, answer))
            }
        }
    }

    /// Tells who calls pods in plaintext.
    func judgeStrictness(
        _ namespace: String, _ workload: String, _ reply: @escaping @Sendable (AdminResponse) -> Void
    ) {
        var question = WorkerQuestion(refusals: 0, connections: ListQuery.longest)
        question.journal = true
        inspect(question) { [unowned self] inspection in
            guard inspection.answers.allSatisfy({ $0.journal != nil }) else {
                let message = "this program keeps no journal of connections; ask ztund"
                return reply(Self.json(CommandReply(ok: false, message: message), status: 409))
            }
            let report = source.report()
            let readiness = StrictReadiness(
                namespace: namespace, workload: workload, pods: report.pods.map { "\($0.namespace)/\($0.name)" },
                snapshot: source.meshSnapshot, answers: inspection.answers, silentWorkers: inspection.silentWorkers,
                since: UInt64(clamping: report.startedAt.unixSeconds) * 1_000_000_000, now: Kernel.realtimeNow())
            compose(reply) { Self.json(readiness.report(program: report.program), status: 200) }
        }
    }

    /// Begins to write flows to a connection.
    func stream(_ query: FlowQuery, to connection: AdminConnection) {
        let stream = FlowStream(query, for: connection, server: self)
        streams[ObjectIdentifier(stream)] = stream
        stream.start()
    }

    func forget(stream: FlowStream) {
        stream.cancel()
        streams[ObjectIdentifier(stream)] = nil
    }

    func forget(inspection identifier: UInt64) {
        inspections[identifier] = nil
    }

    /// A large mesh takes seconds to write down, which readiness and metrics must not wait for.
    private func compose(
        _ reply: @escaping @Sendable (AdminResponse) -> Void, _ make: @escaping @Sendable () -> AdminResponse
    ) {
        let limit = 4
        let isFree = compositions.withLock { running in
            defer { running += running < limit ? 1 : 0 }
            return running < limit
        }
        guard isFree else { return reply(.text(503, "\(limit) long answers are being written; try again\n")) }
        let compositions = compositions
        do throws(SystemError) {
            try LoopThread(name: "ztun-dump") {
                let response = make()
                compositions.withLock { $0 -= 1 }
                reply(response)
            }.detach()
        } catch {
            compositions.withLock { $0 -= 1 }
            reply(.text(503, "\(error); raise the limits of this process\n"))
        }
    }
}
