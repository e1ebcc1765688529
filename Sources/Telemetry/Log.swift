internal import Synchronization

/// The log of a program: lines from any thread, in a bounded queue that loses new lines, counted, when it is full.
///
/// Nothing here waits or does I/O: a writer thread takes the lines with ``drain()`` and may be as slow as it likes.
/// `now` is always nanoseconds since 1970 (the realtime clock), read by the caller.
package final class Log: Sendable {
    /// What a drain took.
    package struct Batch: Sendable {
        /// Whole lines, each with its end.
        package var bytes: [UInt8] = []
        package var lines = 0
        /// Lines that were lost since the last drain because the queue was full.
        package var dropped: UInt64 = 0
    }

    private struct State: Sendable {
        var batch = Batch()
        var droppedTotal: UInt64 = 0
        var filter: LogFilter
        var wake: (@Sendable () -> Void)?
    }

    package let format: LogFormat
    /// Most lines that wait for the writer.
    package let lineLimit: Int
    /// Most bytes that wait for the writer.
    package let byteLimit: Int
    private let startFilter: LogFilter
    /// The level of each scope, four bits each, so that a line that is not shown costs one load.
    private let levels: Atomic<UInt64>
    private let state: Lock<State>

    package init(
        format: LogFormat = .text, filter: LogFilter = LogFilter(), lineLimit: Int = 10_000, byteLimit: Int = 4 << 20
    ) {
        self.format = format
        self.lineLimit = lineLimit
        self.byteLimit = byteLimit
        startFilter = filter
        levels = Atomic(Self.pack(filter))
        state = Lock(State(filter: filter))
    }

    private static func pack(_ filter: LogFilter) -> UInt64 {
        LogScope.allCases.reduce(0) { $0 | UInt64(filter.level(of: $1).rawValue) << (4 * UInt64($1.rawValue)) }
    }

    /// Whether lines of this scope and level are shown; ask it before work that only a line needs.
    package func isEnabled(_ level: LogLevel, _ scope: LogScope) -> Bool {
        let shown = levels.load(ordering: .relaxed) >> (4 * UInt64(scope.rawValue)) & 15
        return UInt64(level.rawValue) <= shown
    }

    /// Adds a line; the message and the fields are made only when the line is shown.
    package func write(
        _ level: LogLevel, _ scope: LogScope, _ message: @autoclosure () -> String, now: UInt64,
        fields: (inout LogLine) -> Void = { _ in }
    ) {
        guard isEnabled(level, scope) else { return }
        var line = LogLine(format, level: level, scope: scope, message: message(), now: now)
        fields(&line)
        append(line.finished())
    }

    /// Adds the access-log line of a connection that begins: `connection opened`, at debug.
    package func opened(_ record: borrowing AccessRecord, now: UInt64) {
        guard isEnabled(.debug, .access) else { return }
        var line = LogLine(format, level: .debug, scope: .access, message: "connection opened", now: now)
        record.writeEnds(into: &line)
        append(line.finished())
    }

    /// Adds the access-log line of a finished connection: `connection complete`, an error when it failed.
    package func complete(_ record: borrowing AccessRecord, now: UInt64) {
        let level: LogLevel = record.error.isEmpty && record.reason == nil ? .info : .error
        guard isEnabled(level, .access) else { return }
        var line = LogLine(format, level: level, scope: .access, message: "connection complete", now: now)
        record.writeFields(into: &line)
        append(line.finished())
    }

    /// Adds the access-log line of a connection refused before anything is known of it: `connection failed`.
    package func failed(_ record: borrowing AccessRecord, now: UInt64) {
        guard isEnabled(.warn, .access) else { return }
        var line = LogLine(format, level: .warn, scope: .access, message: "connection failed", now: now)
        record.writeShortFields(into: &line)
        append(line.finished())
    }

    private func append(_ line: [UInt8]) {
        let wake: (@Sendable () -> Void)? = state.withLock { state in
            guard state.batch.lines < lineLimit, state.batch.bytes.count + line.count <= byteLimit else {
                state.batch.dropped += 1
                state.droppedTotal += 1
                return nil
            }
            state.batch.bytes += line
            state.batch.lines += 1
            return state.batch.lines == 1 ? state.wake : nil
        }
        wake?()
    }

    /// Takes all waiting lines.
    package func drain() -> Batch {
        state.withLock { state in
            let batch = state.batch
            state.batch = Batch()
            return batch
        }
    }

    /// Sets what is called, on the thread that wrote, when the first line comes into an empty queue; it must not block.
    package func onFirstLine(_ wake: @escaping @Sendable () -> Void) {
        state.withLock { $0.wake = wake }
    }

    /// Counts lines that the writer took and could not write.
    package func lost(lines: Int) {
        state.withLock { $0.droppedTotal += UInt64(max(0, lines)) }
    }

    /// Lines lost since the start.
    package var dropped: UInt64 { state.withLock { $0.droppedTotal } }

    /// The filter in force.
    package var filter: LogFilter { state.withLock { $0.filter } }

    /// Changes the filter while the program runs: first back to the one it started with if `reset`, then the clauses
    /// behind it.
    ///
    /// - Returns: the filter now in force.
    package func changeFilter(appending clauses: String?, reset: Bool) throws(LogFilter.Failure) -> LogFilter {
        try state.withLock { state throws(LogFilter.Failure) in
            var filter = reset ? startFilter : state.filter
            if let clauses { try filter.append(clauses) }
            state.filter = filter
            levels.store(Self.pack(filter), ordering: .relaxed)
            return filter
        }
    }
}
