package import StatusModel

/// Where a program's picture of the mesh comes from.
package enum MeshSource: Sendable {
    /// A file in ztunnel's local format.
    case file(StateSource)
    /// A folder of Kubernetes manifests.
    case manifests(ManifestSource)

    /// Looks once whether there is something new, and delivers it.
    /// - Parameter now: nanoseconds of the Unix epoch.
    @discardableResult
    package func check(now: Int64) -> FileSource<LocalState>.Outcome {
        switch self {
        case .file(let source): source.check(now: now)
        case .manifests(let source): source.check(now: now)
        }
    }

    /// What is allowed but probably not meant.
    package var warnings: [String] {
        switch self {
        case .file(let source): source.warnings
        case .manifests(let source): source.warnings
        }
    }

    /// For `ztun status`.
    /// - Parameter now: nanoseconds of the Unix epoch.
    package func status(now: Int64) -> StateStatus {
        switch self {
        case .file(let source): source.status(now: now)
        case .manifests(let source): source.status(now: now)
        }
    }
}
