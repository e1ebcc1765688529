/// How many data threads a program runs.
package enum WorkerCount: Hashable, Sendable {
    /// As many as the processors that the program may use.
    case auto
    case exactly(Int)

    /// What the flag looks like, for errors.
    package static let form = "'auto' or a number of workers from 1 to 256"

    /// Reads `auto` or a number; nil for anything else.
    package init?(_ text: String) {
        if text == "auto" {
            self = .auto
            return
        }
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let count = Int(text), (1...256).contains(count) else {
            return nil
        }
        self = .exactly(count)
    }
}

/// The shape of log lines.
package enum LogFormat: String, Sendable, CaseIterable { case text, json }
