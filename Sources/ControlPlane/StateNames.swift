internal import MeshModel

/// The names that the workloads of a state file use, counted, and those that it defines.
struct StateNames: Sendable {
    private(set) var policyUses: [String: Int]
    private(set) var serviceUses: [ServiceName: Int]
    private(set) var policies: Set<String>
    private(set) var services: Set<ServiceName>

    init(
        policyUses: [String: Int], serviceUses: [ServiceName: Int], policies: Set<String>, services: Set<ServiceName>
    ) {
        self.policyUses = policyUses
        self.serviceUses = serviceUses
        self.policies = policies
        self.services = services
    }

    /// Takes what has changed.
    mutating func apply(
        workloads: RememberedList<String, Workload>.Edit, services: RememberedList<ServiceName, Service>.Edit,
        policies: RememberedList<String, AuthorizationPolicy>.Edit
    ) {
        for workload in workloads.gone { count(workload, -1) }
        for workload in workloads.come { count(workload, 1) }
        for service in services.gone { self.services.remove(service.serviceName) }
        for service in services.come { self.services.insert(service.serviceName) }
        for policy in policies.gone { self.policies.remove(policy.key) }
        for policy in policies.come { self.policies.insert(policy.key) }
    }

    private mutating func count(_ workload: Workload, _ step: Int) {
        for policy in workload.fields.authorizationPolicies { Self.count(policy, step, in: &policyUses) }
        for service in workload.fields.services.keys { Self.count(service, step, in: &serviceUses) }
    }

    private static func count<Key: Hashable>(_ key: Key, _ step: Int, in uses: inout [Key: Int]) {
        let count = (uses[key] ?? 0) + step
        uses[key] = count > 0 ? count : nil
    }

    /// What is used and not defined.
    var dangling: (policies: Set<String>, services: Set<ServiceName>) {
        (
            Set(policyUses.keys.lazy.filter { !policies.contains($0) }),
            Set(serviceUses.keys.lazy.filter { !services.contains($0) })
        )
    }
}
