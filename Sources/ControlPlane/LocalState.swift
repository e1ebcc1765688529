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
        let root = try YAMLDocument.parse(bytes, file: file, limits: limits) { item throws(ConfigurationError) in
            guard let list = LocalStateReading.List(rawValue: item.key) else { return }
            do throws(ConfigurationError) {
                try reading.take(YAMLReader(item.node, file: file), of: list)
            } catch {
                throw error.inside("[\(item.index)]").inside(item.key)
            }
        }
        let fields = try YAMLReader(root, file: file).fields(LocalStateReading.List.allCases.map(\.rawValue))
        // Lists that were not handed out: those with an anchor, and other names for them.
        for list in LocalStateReading.List.allCases {
            _ = try fields.list(list.rawValue) { reader throws(ConfigurationError) in
                try reading.take(reader, of: list)
            }
        }
        self = reading.finish()
    }
}
