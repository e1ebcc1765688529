internal import EventLoop
internal import StatusModel
internal import Telemetry

/// The flows for one who observes: asks the workers five times a second and writes what passes the filter.
///
/// Nothing is asked for while the reader has not taken what was written, so a reader that stalls costs one bounded buffer; what
/// the workers overwrite meanwhile is lost to it, counted, and told.
final class FlowStream: EventHandler {
    private static let interval = 0.2
    /// Most flows of one worker's answer, so that what is written at a time stays bounded.
    private static let batch = 512

    private let query: FlowQuery
    // The admin loop owns its streams and outlives them.
    private unowned let server: AdminLoop
    private let connection: UInt64
    private let serial: UInt64
    private var cursors: [Int: UInt64] = [:]
    private var isFirst = true
    private lazy var deadline = Deadline(owner: self, kind: 0)

    init(_ query: FlowQuery, for connection: AdminConnection, server: AdminLoop) {
        self.query = query
        self.server = server
        self.connection = connection.identifier
        serial = connection.serial
    }

    func start() { ask() }

    override func expired(_ kind: UInt8) { ask() }

    func cancel() { deadline.cancel() }

    /// Goes on later.
    private func rest() {
        deadline.arm(server.loop.deadlines(seconds: Self.interval), now: server.loop.now)
    }

    private func ask() {
        guard let connection = server.connection(connection, serial: serial) else { return server.forget(stream: self) }
        guard connection.hasRoom else { return rest() }
        let limit = isFirst ? Int.max : Self.batch
        let (cursors, withOpen) = (cursors, isFirst && query.open)
        server.inspect { worker in
            var question = WorkerQuestion()
            question.flows = FlowQuestion(cursor: cursors[worker], limit: limit, withOpen: withOpen)
            return question
        } _: { [weak self] inspection in
            self?.take(inspection)
        }
    }

    private func take(_ inspection: Inspection) {
        guard let connection = server.connection(connection, serial: serial) else { return server.forget(stream: self) }
        let answers = inspection.answers.compactMap { answer in answer.flows.map { (answer.worker, $0) } }
        guard answers.count == inspection.answers.count else {
            server.forget(stream: self)
            return connection.respond(.text(409, "this program records no flows; ask ztund\n"))
        }
        var records: [FlowRecord] = []
        var lost: UInt64 = 0
        for (worker, answer) in answers {
            cursors[worker] = answer.batch.cursor
            lost += answer.batch.lost
            records += answer.batch.records.filter(query.admits)
        }
        records.sort { $0.time < $1.time }
        if isFirst {
            // Whom nobody observed left no trace: how far back it goes is said.
            let since = answers.map(\.1.since).max() ?? 0
            connection.beginStream(since: "\(StatusTime(unixNanoseconds: since))")
            let open = answers.flatMap(\.1.open).filter(query.admits).sorted { $0.duration > $1.duration }
            records = open.prefix(FlowQuery.longest) + records.suffix(query.last)
        }
        isFirst = false
        var bytes: [UInt8] = []
        if lost > 0 { FlowLine.write(lost: lost, into: &bytes) }
        for record in records { FlowLine.write(record, into: &bytes) }
        connection.send(bytes)
        guard query.follow else {
            connection.endStream()
            return server.forget(stream: self)
        }
        rest()
    }
}
