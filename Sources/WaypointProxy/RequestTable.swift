internal import MeshModel
package import Telemetry

/// How many requests were answered, by who asked whom, status and flag; one table per worker, copied for other threads.
package struct RequestTable: Sendable {
    /// What a count is about, beside the row's labels.
    package struct Outcome: Hashable, Sendable {
        package let status: UInt16
        package let flag: RequestFlag
    }

    /// The requests of one kind of client to one kind of workload.
    package struct Row: Sendable {
        package let labels: TrafficLabels
        /// In the order in which they first occurred; there are few.
        package fileprivate(set) var outcomes: [(outcome: Outcome, count: UInt64)] = []
    }

    /// Rows kept; further labels share one, so that no peer can make the table grow.
    static let rowLimit = Limits.standard.metricRows
    /// Outcomes kept in a row; a status of an application beyond them counts as 0.
    static let outcomeLimit = Limits.standard.metricOutcomes

    package private(set) var rows: [Row] = []
    package private(set) var total: UInt64 = 0
    private var positions: [TrafficLabels: Int] = [:]

    package init() {}

    /// The row of some labels; kept by a session, so that counting looks nothing up.
    mutating func row(_ labels: TrafficLabels) -> Int {
        if let known = positions[labels] { return known }
        if rows.count >= Self.rowLimit { return rows.count - 1 }
        var labels = labels
        if rows.count == Self.rowLimit - 1 {
            labels = TrafficLabels(reporter: labels.reporter)
            labels.destinationService = "overflow"
            labels.isHTTP = true
        }
        rows.append(Row(labels: labels))
        positions[labels] = rows.count - 1
        return rows.count - 1
    }

    /// Counts an answer; a status outside 100 to 599 counts as 0: there was none.
    mutating func count(_ status: UInt16, _ flag: RequestFlag, row: Int) {
        total &+= 1
        guard rows.indices.contains(row) else { return }
        var outcome = Outcome(status: (100...599).contains(status) ? status : 0, flag: flag)
        if rows[row].count(outcome) { return }
        if rows[row].outcomes.count >= Self.outcomeLimit {
            outcome = Outcome(status: 0, flag: .none)
            if rows[row].count(outcome) { return }
        }
        rows[row].outcomes.append((outcome, 1))
    }
}

extension RequestTable.Row {
    /// Counts an outcome that is known; false when it is new.
    fileprivate mutating func count(_ outcome: RequestTable.Outcome) -> Bool {
        guard let known = outcomes.firstIndex(where: { $0.outcome == outcome }) else { return false }
        outcomes[known].count &+= 1
        return true
    }
}
