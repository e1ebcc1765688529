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
        var merged: [FlowClass: FlowJournal.Entry] = [:]
        for entry in answers.flatMap({ $0.journal?.entries ?? [] }) {
            guard var known = merged[entry.flows] else {
                merged[entry.flows] = entry
                continue
            }
            if entry.count.last > known.count.last { known.sample = entry.sample }
            known.count = known.count.merged(with: entry.count)
            merged[entry.flows] = known
        }
        return Array(merged.values)
    }
}
