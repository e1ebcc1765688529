/// The whole state of the mesh at one moment: immutable, shared by reference between threads, read once per connection.
///
/// ``applying(_:)`` makes the next one; it shares all that did not change, so an update costs in proportion to what
/// changed (and, for services that gain or lose endpoints, to their number of endpoints).
package final class MeshSnapshot: Sendable {
    /// Counts the snapshots of one state source, from 0 for ``empty``.
    package let generation: UInt64
    /// The generation in which any policy last changed; connections authorised since then need no second look, unless
    /// their workload changed.
    package let policyGeneration: UInt64
    let workloads: WorkloadIndex
    let services: ServiceIndex
    let policies: PolicyIndex
    /// Kubernetes' own policies, empty where the source has none.
    package let networkPolicies: NetworkPolicyTable
    package let settings: MeshSettings

    /// The state before any source has spoken.
    package static let empty = MeshSnapshot(
        generation: 0, policyGeneration: 0, workloads: WorkloadIndex(), services: ServiceIndex(),
        policies: PolicyIndex(), networkPolicies: .empty, settings: MeshSettings())

    private init(
        generation: UInt64, policyGeneration: UInt64, workloads: WorkloadIndex, services: ServiceIndex,
        policies: PolicyIndex, networkPolicies: NetworkPolicyTable, settings: MeshSettings
    ) {
        self.generation = generation
        self.policyGeneration = policyGeneration
        self.workloads = workloads
        self.services = services
        self.policies = policies
        self.networkPolicies = networkPolicies
        self.settings = settings
    }

    /// Makes generation 1 from whole lists; of several entries with one key the last counts.
    package convenience init(
        workloads: [Workload] = [], services: [Service] = [], policies: [AuthorizationPolicy] = [],
        networkPolicies: NetworkPolicyTable = .empty, settings: MeshSettings = MeshSettings()
    ) {
        var workloadIndex = WorkloadIndex()
        var serviceIndex = ServiceIndex()
        var policyIndex = PolicyIndex()
        workloadIndex.apply(removed: [], upserted: workloads)
        for service in services { serviceIndex.upsert(service) }
        policyIndex.apply(removed: [], upserted: policies)
        self.init(
            generation: 1, policyGeneration: 1, workloads: workloadIndex, services: serviceIndex, policies: policyIndex,
            networkPolicies: networkPolicies, settings: settings)
    }

    /// The next snapshot, one generation on.
    package func applying(_ changes: MeshChanges) -> MeshSnapshot {
        var workloads = workloads
        var services = services
        var policies = policies
        workloads.apply(removed: changes.removedWorkloads, upserted: changes.workloads)
        for name in changes.removedServices { services.remove(name) }
        for service in changes.services { services.upsert(service) }
        policies.apply(removed: changes.removedPolicies, upserted: changes.policies)
        let networkPolicies = changes.networkPolicies ?? networkPolicies
        // Network policies go by the labels of both ends, so that any pod may change what they mean.
        let policiesChanged =
            !(changes.policies.isEmpty && changes.removedPolicies.isEmpty) || changes.networkPolicies != nil
            || !networkPolicies.isEmpty && !(changes.workloads.isEmpty && changes.removedWorkloads.isEmpty)
        return MeshSnapshot(
            generation: generation + 1, policyGeneration: policiesChanged ? generation + 1 : policyGeneration,
            workloads: workloads, services: services, policies: policies, networkPolicies: networkPolicies,
            settings: changes.settings ?? settings)
    }
}
