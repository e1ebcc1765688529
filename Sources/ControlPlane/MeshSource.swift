package import StatusModel

/// Where a program's picture of the mesh comes from.
package enum MeshSource: Sendable {
    /// A file in ztunnel's local format.
    case file(StateSource)
    /// A folder of Kubernetes manifests.
    case manifests(ManifestSource)
    /// The Kubernetes API.
    case kubernetes(KubernetesSource)

    /// Looks once whether there is something new, and delivers it.
    /// - Parameter now: nanoseconds of the Unix epoch.
    @discardableResult
    package func check(now: Int64) -> FileSource<LocalState>.Outcome {
        switch self {
        case .file(let source): source.check(now: now)
        case .manifests(let source): source.check(now: now)
        case .kubernetes(let source): source.check(now: now)
        }
    }

    /// What is allowed but probably not meant.
    package var warnings: [String] {
        switch self {
        case .file(let source): source.warnings
        case .manifests(let source): source.warnings
        case .kubernetes(let source): source.warnings
        }
    }

    /// For `ztun status`.
    /// - Parameter now: nanoseconds of the Unix epoch.
    package func status(now: Int64) -> StateStatus {
        switch self {
        case .file(let source): source.status(now: now)
        case .manifests(let source): source.status(now: now)
        case .kubernetes(let source): source.status(now: now)
        }
    }

    /// What the mesh would be with files of manifests on top; nil where the state is no Kubernetes objects.
    /// - Parameters:
    ///   - files: each with a name for messages.
    ///   - replacesPolicies: whether the policies in force (AuthorizationPolicy, PeerAuthentication, NetworkPolicy) are left
    ///     out.
    package func candidate(
        _ files: [(name: String, bytes: [UInt8])], replacesPolicies: Bool = false
    ) -> CompiledMesh? {
        switch self {
        case .file: nil
        case .manifests(let source): source.candidate(files, replacesPolicies: replacesPolicies)
        case .kubernetes(let source): source.candidate(files, replacesPolicies: replacesPolicies)
        }
    }

    /// Ends what runs beside the caller.
    package func stop() {
        if case .kubernetes(let source) = self { source.stop() }
    }
}
