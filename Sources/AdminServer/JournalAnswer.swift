package import Telemetry

/// What a worker's journal of the last day holds.
package struct JournalAnswer: Sendable {
    package var entries: [FlowJournal.Entry]
    /// Connections that it had no class left for.
    package var overflow: UInt64

    package init(entries: [FlowJournal.Entry], overflow: UInt64) {
        self.entries = entries
        self.overflow = overflow
    }
}

extension WorkerAnswer {
    /// The classes of all workers, each once.
    static func journal(_ answers: [WorkerAnswer]) -> [FlowJournal.Entry] {
        FlowJournal.merged(answers.flatMap { $0.journal?.entries ?? [] })
    }
}
