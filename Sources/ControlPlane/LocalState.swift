package import MeshModel

/// The mesh as one file in ztunnel's local format describes it.
package struct LocalState: Sendable {
    package var workloads: [Workload] = []
    package var services: [Service] = []
    package var policies: [AuthorizationPolicy] = []
    /// What is allowed but probably not meant, each with its line: a policy name that nothing defines, for instance.
    package var warnings: [String] = []

    package init() {}
}

extension LocalState {
    /// Reads a state file's text.
    /// - Parameters:
    ///   - trustDomain: the daemon's own; a workload that names none is in it.
    /// - Throws: ``ConfigurationError`` with line and key; nothing is half read.
    package init(
        parsing bytes: [UInt8], file: String, trustDomain: String, limits: YAMLLimits = YAMLLimits()
    ) throws(ConfigurationError) {
        let root = YAMLReader(try YAMLDocument.parse(bytes, file: file, limits: limits), file: file)
        let fields = try root.fields(["workloads", "policies", "services"])
        var registry = LocalStateRegistry(file: file)
        workloads = try fields.list("workloads") { reader throws(ConfigurationError) in
            let workload = try Workload(reading: reader, trustDomain: trustDomain)
            try registry.add(workload, at: reader)
            return workload
        }
        services = try fields.list("services") { reader throws(ConfigurationError) in
            let service = try Service(reading: reader)
            try registry.add(service, at: reader)
            return service
        }
        policies = try fields.list("policies") { reader throws(ConfigurationError) in
            let policy = try AuthorizationPolicy(reading: reader)
            try registry.add(policy, at: reader)
            return policy
        }
        warnings = registry.warnings()
    }
}
