package import MeshModel

/// The mesh as one file in ztunnel's local format describes it.
package struct LocalState: Sendable {
    package var workloads: [Workload] = []
    package var services: [Service] = []
    package var policies: [AuthorizationPolicy] = []
    /// Kubernetes' own; a state file has none.
    package var networkPolicies = NetworkPolicyTable.empty
    /// What the mesh is told as a whole; a state file says nothing of it.
    package var settings = MeshSettings()
    /// What is allowed but probably not meant, each with its line: a policy name that nothing defines, for instance.
    package var warnings: [String] = []
    /// What differs from the state that the same source handed over before; nil where it did not look.
    package var difference: MeshChanges?

    package init() {}
}

extension LocalState {
    /// Reads a state file's text, one element of its lists at a time.
    /// - Parameters:
    ///   - trustDomain: the daemon's own; a workload that names none is in it.
    ///   - previous: what the file said before. What says the same now is the same object, which costs no memory and
    ///     is seen at once to be no change.
    /// - Throws: ``ConfigurationError`` with line and key; nothing is half read.
    package init(
        parsing bytes: [UInt8], file: String, trustDomain: String, previous: LocalState = LocalState(),
        limits: YAMLLimits = YAMLLimits()
    ) throws(ConfigurationError) {
        var reading = LocalStateReading(file: file, trustDomain: trustDomain, previous: previous)
        try reading.takeAll(bytes, file: file, limits: limits)
        self = reading.finish()
    }

    /// The snapshot that follows when the source says this now: what has not changed stays the same object.
    ///
    /// Where ``difference`` is known it costs in proportion to that. The snapshot must then be of the state before.
    package func next(after snapshot: MeshSnapshot, settings: MeshSettings = MeshSettings()) -> MeshSnapshot {
        guard var changes = difference else {
            return snapshot.replacingAll(
                workloads: workloads, services: services, policies: policies, networkPolicies: networkPolicies,
                settings: settings)
        }
        if settings != snapshot.settings { changes.settings = settings }
        return snapshot.applying(changes)
    }
}
