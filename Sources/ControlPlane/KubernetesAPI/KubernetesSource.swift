internal import MeshModel
package import StatusModel
internal import Telemetry

/// The mesh's state from the Kubernetes API, kept up by watches.
///
/// Each kind of objects has a thread and a connection of its own; what they find is put together by whoever calls
/// ``check(now:)``. Nothing is delivered before every kind was listed, or is known not to be served; afterwards the last good
/// state serves whatever the API server does.
package final class KubernetesSource: Sendable {
    /// Takes each state, or what has changed of it; returns how many workloads there are then.
    package typealias Deliver = @Sendable (MeshUpdate) -> Int

    package let server: APIServer
    private let deliver: Deliver
    private let inbox: KubernetesInbox
    private let stopping = StopSignal()
    private let threads: Lock<[ControlThread]>
    private let assembly: Lock<MeshAssembly>
    private let published = Lock(Published())
    /// Nil unless statuses are written.
    private let writer: Lock<PolicyStatusWriter?>
    private let writesStatus: Bool

    private struct Published {
        var generation: UInt64 = 0
        var loadedAt: Int64?
        var reports: [KubernetesInbox.Report] = []
        var diagnostics: [ManifestDiagnostic] = []
        var workloads = 0
        var services = 0
        var policies = 0
        var routes = 0
    }

    /// - Parameters:
    ///   - writesStatus: whether policies get a condition that says whether they are in force as written.
    ///   - wake: makes somebody call ``check(now:)``; from any thread.
    ///   - deliver: takes each state, on the thread that checks.
    package init(
        _ server: APIServer, kinds: [WatchedKind], settings: KubernetesSettings, writesStatus: Bool = false,
        wake: @escaping @Sendable () -> Void, deliver: @escaping Deliver
    ) {
        self.server = server
        self.deliver = deliver
        self.writesStatus = writesStatus
        writer = Lock(nil)
        inbox = KubernetesInbox(kinds, wake: wake)
        threads = Lock([])
        assembly = Lock(MeshAssembly(settings: settings))
        published.withLock { $0.reports = kinds.map { KubernetesInbox.Report(kind: $0) } }
    }

    /// Begins to list and watch.
    /// - Throws: ``ControlThreadFailure`` when the system has no thread left.
    package func start() throws(ControlThreadFailure) {
        if writesStatus {
            let made = try PolicyStatusWriter(server, stop: stopping)
            writer.withLock { $0 = made }
        }
        for (index, report) in inbox.reports.enumerated() {
            let watcher = Lock(KindWatcher(report.kind, at: index, of: server, inbox: inbox, stop: stopping))
            let thread = try ControlThread(name: "ztun-kube-\(index)", interval: 0) { _ in
                let wait = watcher.withLock { $0.step() }
                // Nothing more to do: until the thread is ended.
                return wait < 0 ? 60_000 : wait
            }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Ends all threads; nothing is delivered any more.
    package func stop() {
        stopping.raise()
        let all = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in all { thread.stop() }
        writer.withLock { $0 }?.stop()
    }

    /// Puts together what has come since the last time, and delivers it.
    /// - Parameter now: nanoseconds of the Unix epoch.
    @discardableResult
    package func check(now: Int64) -> FileSource<LocalState>.Outcome {
        assembly.withLock { assembly in
            let (edits, reports) = inbox.take()
            published.withLock { $0.reports = reports }
            assembly.take(ObjectEdits(edits))
            guard reports.allSatisfy({ $0.knowledge != .unknown }) else { return .settling }
            guard let update = assembly.compile() else { return .unchanged }
            let workloads = deliver(update)
            let diagnostics = assembly.diagnostics
            published.withLock { published in
                published.generation += 1
                published.loadedAt = now
                published.diagnostics = diagnostics
                published.workloads = workloads
                guard case .whole(let mesh) = update else { return }
                published.services = mesh.services.count
                published.policies = mesh.policies.count
                published.routes = mesh.routes.count
            }
            if let writer = writer.withLock({ $0 }) {
                writer.want(PolicyCondition.all(assembly.compiler.objects.statusPolicies, diagnostics))
            }
            // After an event there is nothing to give back to the system.
            guard case .whole = update else { return .unchanged }
            return .loaded
        }
    }

    /// What the mesh would be with files of manifests on top, which replace objects of the same names.
    /// - Parameters:
    ///   - files: each with a name for messages.
    ///   - replacesPolicies: whether the policies in force are left out.
    func candidate(_ files: [(name: String, bytes: [UInt8])], replacesPolicies: Bool) -> CompiledMesh {
        assembly.withLock { $0 }.candidate(files, replacesPolicies: replacesPolicies)
    }

    /// Whether a first state was delivered.
    package var isSynced: Bool { published.withLock { $0.generation > 0 } }

    /// What is wrong with the objects in force, or means less than it says; errors first.
    package var diagnostics: [ManifestDiagnostic] { published.withLock { $0.diagnostics } }

    /// The warnings as sentences, at most 20, and the kinds that the cluster does not serve.
    package var warnings: [String] {
        let (reports, all) = published.withLock { ($0.reports, $0.diagnostics.filter { $0.severity == .warning }) }
        var lines = all.prefix(20).map(\.description)
        if all.count > 20 { lines.append("and \(all.count - 20) more warnings") }
        for report in reports where !report.note.isEmpty { lines.append("\(report.kind.kind): \(report.note)") }
        let absent = reports.filter { $0.knowledge == .absent }.map(\.kind.kind)
        if !absent.isEmpty {
            lines.append(
                "the cluster does not serve \(absent.joined(separator: ", ")) (looked for again every minute)")
        }
        return lines
    }

    /// For `ztun status`.
    /// - Parameter now: nanoseconds of the Unix epoch.
    package func status(now: Int64) -> StateStatus {
        let published = published.withLock { $0 }
        var status = StateStatus()
        status.kind = "kubernetes"
        status.source = server.description
        status.generation = published.generation
        if let loadedAt = published.loadedAt {
            status.loadedAt = StatusTime(unixSeconds: loadedAt / 1_000_000_000)
            status.ageSeconds = max(0, (now - loadedAt) / 1_000_000_000)
        }
        status.lastError = Self.fault(published)
        if let fault = writer.withLock({ $0 })?.fault, !fault.isEmpty {
            status.lastError += (status.lastError.isEmpty ? "" : "; ") + "statuses cannot be written: \(fault)"
        }
        status.workloads = published.workloads
        status.services = published.services
        status.policies = published.policies
        status.routes = published.routes
        return status
    }

    /// What keeps the state from being what the API server has, in one line; empty when nothing does.
    private static func fault(_ published: Published) -> String {
        // A server that cannot be reached is said once, not for each kind.
        var kinds: [String: [String]] = [:]
        for report in published.reports where !report.fault.isEmpty {
            kinds[report.fault, default: []].append(report.kind.kind)
        }
        var parts = kinds.sorted { $0.key < $1.key }.map { "\($1.joined(separator: ", ")): \($0)" }
        if published.generation == 0 {
            let waiting = published.reports.filter { $0.knowledge == .unknown }.map(\.kind.kind)
            parts.append("nothing is served before all kinds are listed; missing: \(waiting.joined(separator: ", "))")
        }
        let errors = published.diagnostics.filter { $0.severity == .error }
        parts += errors.prefix(3).map(\.description)
        if errors.count > 3 { parts.append("and \(errors.count - 3) more errors") }
        return parts.joined(separator: "; ")
    }
}
