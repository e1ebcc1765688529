internal import Telemetry

/// What the watchers of all kinds have found since it was last looked at, and how each of them does.
final class KubernetesInbox: Sendable {
    /// How the watch of one kind does.
    struct Report: Hashable, Sendable {
        var kind: WatchedKind
        var knowledge = WatchSession.Knowledge.unknown
        /// What is wrong now, one line; empty when all is well.
        var fault = ""
        /// What was left out of the last list, one line.
        var note = ""
        /// Lists begun, for tests and metrics.
        var lists = 0
    }
    private struct State {
        var edits: [ObjectEdit] = []
        var reports: [Report]
        var isWoken = false
    }

    private let state: Lock<State>
    private let wake: @Sendable () -> Void

    /// - Parameter wake: makes somebody look; called once until they do.
    init(_ kinds: [WatchedKind], wake: @escaping @Sendable () -> Void) {
        state = Lock(State(reports: kinds.map { Report(kind: $0) }))
        self.wake = wake
    }

    /// Adds what was found, in order, and what has become of the kind.
    func add(_ edits: [ObjectEdit], of kind: Int, _ change: (inout Report) -> Void) {
        let isNews = state.withLock { state in
            let before = state.reports[kind]
            change(&state.reports[kind])
            state.edits += edits
            guard !state.isWoken, !edits.isEmpty || before != state.reports[kind] else { return false }
            state.isWoken = true
            return true
        }
        if isNews { wake() }
    }

    /// Takes what was added since the last time.
    func take() -> (edits: [ObjectEdit], reports: [Report]) {
        state.withLock { state in
            defer { (state.edits, state.isWoken) = ([], false) }
            return (state.edits, state.reports)
        }
    }

    var reports: [Report] { state.withLock { $0.reports } }
}
