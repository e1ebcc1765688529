internal import MeshModel

/// How many requests were answered, by called service and status; one table per worker, copied for other threads.
package struct RequestTable: Sendable {
    /// A called service or address.
    package struct Row: Sendable {
        package let destination: String
        package let namespace: String
        /// Requests by status, from 100 to 599.
        fileprivate var counts: [UInt64]

        /// The statuses that occurred, with their numbers.
        package var byStatus: [(status: UInt16, count: UInt64)] {
            counts.enumerated().filter { $0.element > 0 }.map { (UInt16($0.offset + 100), $0.element) }
        }
    }
    /// Rows kept; further destinations share one, so that no peer can make the table grow.
    static let rowLimit = 1024

    package private(set) var rows: [Row] = []
    package private(set) var total: UInt64 = 0
    private var positions: [String: Int] = [:]

    package init() {}

    /// The row of a destination; kept by a session, so that counting looks nothing up.
    mutating func row(_ destination: String, namespace: String) -> Int {
        if let known = positions[destination] { return known }
        if rows.count >= Self.rowLimit { return rows.count - 1 }
        let isLast = rows.count == Self.rowLimit - 1
        rows.append(
            Row(
                destination: isLast ? "overflow" : destination, namespace: isLast ? "" : namespace,
                counts: Array(repeating: 0, count: 500)))
        positions[isLast ? "overflow" : destination] = rows.count - 1
        return rows.count - 1
    }

    /// Counts an answer; a status outside 100 to 599 counts as none.
    mutating func count(_ status: UInt16, row: Int) {
        total &+= 1
        guard (100...599).contains(status), rows.indices.contains(row) else { return }
        rows[row].counts[Int(status) - 100] &+= 1
    }
}
