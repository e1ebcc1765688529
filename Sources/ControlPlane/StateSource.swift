package import StatusModel
internal import Telemetry

/// The mesh's state from a file in ztunnel's local format, reloaded when it changes.
package final class StateSource: Sendable {
    package let path: String
    private let file: FileSource<LocalState>
    private let counts: Lock<Counts>

    private struct Counts {
        var workloads = 0
        var services = 0
        var policies = 0
        var warnings: [String] = []
    }

    /// - Parameters:
    ///   - trustDomain: of workloads that name none.
    ///   - deliver: takes each accepted state with its generation, on the thread that checks.
    package init(
        path: String, trustDomain: String, deliver: @escaping @Sendable (LocalState, UInt64) -> Void
    ) {
        let counts = Lock(Counts())
        let reader = Lock(StateFileReader(trustDomain: trustDomain))
        self.path = path
        self.counts = counts
        file = FileSource(
            path: path,
            parse: { bytes, name throws(ConfigurationError) in
                try reader.withLock { reader throws(ConfigurationError) in try reader.read(bytes, file: name) }
            },
            deliver: { state, generation in
                counts.withLock {
                    $0 = Counts(
                        workloads: state.workloads.count, services: state.services.count,
                        policies: state.policies.count, warnings: state.warnings)
                }
                deliver(state, generation)
            })
    }

    /// Looks at the file once and loads it when it changed.
    /// - Parameter now: nanoseconds of the Unix epoch.
    @discardableResult
    package func check(now: Int64) -> FileSource<LocalState>.Outcome { file.check(now: now) }

    /// What is allowed in the file in force but probably not meant.
    package var warnings: [String] { counts.withLock { $0.warnings } }

    /// For `ztun status`.
    /// - Parameter now: nanoseconds of the Unix epoch.
    package func status(now: Int64) -> StateStatus {
        let source = file.status
        let counts = counts.withLock { $0 }
        var status = StateStatus()
        status.kind = "file"
        status.source = path
        status.generation = source.generation
        if let loadedAt = source.loadedAt {
            status.loadedAt = StatusTime(unixSeconds: loadedAt / 1_000_000_000)
            status.ageSeconds = max(0, (now - loadedAt) / 1_000_000_000)
        }
        status.lastError = source.lastError ?? ""
        status.workloads = counts.workloads
        status.services = counts.services
        status.policies = counts.policies
        return status
    }
}
