internal import MeshModel
package import StatusModel
internal import TLS
internal import Telemetry

/// The mesh's state from a folder of Kubernetes manifests, reloaded when a file in it changes.
///
/// A folder is taken when two looks in a row found it the same. What is wrong in one object keeps that object as it was
/// and hides no other; all functions may be called from any thread.
package final class ManifestSource: Sendable {
    /// Takes each accepted state with its generation, from 1.
    package typealias Deliver = @Sendable (CompiledMesh, UInt64) -> Void

    package let path: String
    private let settings: KubernetesSettings
    private let deliver: Deliver
    private let store = Lock(ManifestStore())
    private let published = Lock(Published())

    private struct Published {
        var generation: UInt64 = 0
        var loadedAt: Int64?
        var fault = ""
        var diagnostics: [ManifestDiagnostic] = []
        var workloads = 0
        var services = 0
        var policies = 0
        var routes = 0
    }

    package init(path: String, settings: KubernetesSettings, deliver: @escaping Deliver) {
        self.path = path
        self.settings = settings
        self.deliver = deliver
    }

    /// Looks at the folder once and loads what changed.
    /// - Parameter now: nanoseconds of the Unix epoch.
    @discardableResult
    package func check(now: Int64) -> FileSource<LocalState>.Outcome {
        store.withLock { store in
            switch store.look(at: ManifestTree(path: path), now: now) {
            case .wait:
                published.withLock { $0.fault = "" }
                return .unchanged
            case .settle: return .settling
            case .missing:
                published.withLock { $0.fault = "\(path): there is no such folder, or it cannot be reached" }
                return .failed
            case .read: break
            }
            let mesh = store.load(settings)
            let generation = published.withLock { published in
                published.generation += 1
                published.loadedAt = now
                published.fault = ""
                published.diagnostics = mesh.diagnostics
                published.workloads = mesh.workloads.count
                published.services = mesh.services.count
                published.policies = mesh.policies.count
                published.routes = mesh.routes.count
                return published.generation
            }
            deliver(mesh, generation)
            return .loaded
        }
    }

    /// What the mesh would be with files of manifests on top, which replace objects of the same names.
    /// - Parameters:
    ///   - files: each with a name for messages.
    ///   - replacesPolicies: whether the policies in force are left out.
    func candidate(_ files: [(name: String, bytes: [UInt8])], replacesPolicies: Bool) -> CompiledMesh {
        store.withLock { $0 }.candidate(files, replacesPolicies: replacesPolicies, settings)
    }

    /// What is wrong with the manifests in force, or means less than it says; errors first.
    package var diagnostics: [ManifestDiagnostic] { published.withLock { $0.diagnostics } }

    /// The warnings as sentences, at most 20.
    package var warnings: [String] {
        let all = diagnostics.filter { $0.severity == .warning }
        let more = all.count > 20 ? ["and \(all.count - 20) more warnings: `ztun lint \(path)` shows all"] : []
        return all.prefix(20).map(\.description) + more
    }

    /// For `ztun status`.
    /// - Parameter now: nanoseconds of the Unix epoch.
    package func status(now: Int64) -> StateStatus {
        let published = published.withLock { $0 }
        var status = StateStatus()
        status.kind = "manifests"
        status.source = path
        status.generation = published.generation
        if let loadedAt = published.loadedAt {
            status.loadedAt = StatusTime(unixSeconds: loadedAt / 1_000_000_000)
            status.ageSeconds = max(0, (now - loadedAt) / 1_000_000_000)
        }
        let errors = published.diagnostics.filter { $0.severity == .error }
        status.lastError = published.fault
        if status.lastError.isEmpty, !errors.isEmpty {
            status.lastError = errors.prefix(3).map(\.description).joined(separator: "; ")
            if errors.count > 3 { status.lastError += "; and \(errors.count - 3) more: `ztun lint \(path)` shows all" }
        }
        status.workloads = published.workloads
        status.services = published.services
        status.policies = published.policies
        status.routes = published.routes
        return status
    }
}
