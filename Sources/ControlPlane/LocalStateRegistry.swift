internal import MeshModel

/// Remembers what a state file defines and names, to find doubles and names that lead nowhere.
struct LocalStateRegistry {
    private let file: String
    private var workloads: [String: Int] = [:]
    private var services: [ServiceName: Int] = [:]
    private var policies: [String: Int] = [:]
    private var policyUses: [String: Use] = [:]
    private var serviceUses: [ServiceName: Use] = [:]

    private struct Use {
        var line: Int
        var workload: String
        var count = 1
    }

    init(file: String) {
        self.file = file
    }

    mutating func add(_ workload: Workload, at reader: YAMLReader) throws(ConfigurationError) {
        let line = Int(reader.node.line)
        try Self.define(
            workload.fields.uid, "the workload uid \(workload.fields.uid.quoted)", in: &workloads, at: reader)
        noteUses(by: workload, line: line) { _ in
            true
        } services: { _ in
            true
        }
    }

    /// Takes what the workload names of that which the functions want.
    mutating func noteUses(
        by workload: Workload, line: Int, policies: (String) -> Bool, services: (ServiceName) -> Bool
    ) {
        for policy in workload.fields.authorizationPolicies where policies(policy) {
            policyUses[policy, default: Use(line: line, workload: workload.description, count: 0)].count += 1
        }
        for service in workload.fields.services.keys where services(service) {
            serviceUses[service, default: Use(line: line, workload: workload.description, count: 0)].count += 1
        }
    }

    /// How often each name is used, and which are defined.
    var names: StateNames {
        StateNames(
            policyUses: policyUses.mapValues(\.count), serviceUses: serviceUses.mapValues(\.count),
            policies: Set(policies.keys), services: Set(services.keys))
    }

    mutating func add(_ service: Service, at reader: YAMLReader) throws(ConfigurationError) {
        try Self.define(
            service.serviceName, "the service \(service.serviceName.description.quoted)", in: &services, at: reader)
    }

    mutating func add(_ policy: AuthorizationPolicy, at reader: YAMLReader) throws(ConfigurationError) {
        try Self.define(policy.key, "the policy \(policy.key.quoted)", in: &policies, at: reader)
    }

    private static func define<Key: Hashable>(
        _ key: Key, _ name: @autoclosure () -> String, in known: inout [Key: Int], at reader: YAMLReader
    ) throws(ConfigurationError) {
        if let line = known.updateValue(Int(reader.node.line), forKey: key) {
            throw reader.error("\(name()) is defined twice", hint: "first at line \(line)")
        }
    }

    /// One sentence per name that leads nowhere, in the order of their lines, at most 20.
    func warnings() -> [String] {
        var found: [(line: Int, text: String)] = []
        for (policy, use) in policyUses where policies[policy] == nil {
            found.append(
                (
                    use.line,
                    "\(file): workload \(use.workload.quoted) at line \(use.line)\(others(use)) names the policy "
                        + "\(policy.quoted), which the file does not define: connections to it will be refused"
                ))
        }
        for (service, use) in serviceUses where services[service] == nil {
            found.append(
                (
                    use.line,
                    "\(file): workload \(use.workload.quoted) at line \(use.line)\(others(use)) is an endpoint of the "
                        + "service \(service.description.quoted), which the file does not define"
                ))
        }
        return found.sorted { ($0.line, $0.text) < ($1.line, $1.text) }.prefix(20).map(\.text)
    }

    private func others(_ use: Use) -> String {
        use.count > 1 ? " (and \(use.count - 1) more)" : ""
    }
}
