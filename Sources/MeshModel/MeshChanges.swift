/// What differs between one state of the mesh and the next; a value a state source hands over.
///
/// Upserts replace by key (workload uid, service name, policy key). A key both removed and upserted ends up present:
/// removals are applied first.
package struct MeshChanges: Sendable {
    package var workloads: [Workload] = []
    package var services: [Service] = []
    package var policies: [AuthorizationPolicy] = []
    /// Uids of workloads that are gone.
    package var removedWorkloads: [String] = []
    package var removedServices: [ServiceName] = []
    /// Keys (`namespace/name`) of policies that are gone.
    package var removedPolicies: [String] = []

    /// All network policies, where any of them or of what they go by has changed.
    package var networkPolicies: NetworkPolicyTable?
    /// What the mesh is told as a whole, where that has changed.
    package var settings: MeshSettings?

    package init(
        workloads: [Workload] = [], services: [Service] = [], policies: [AuthorizationPolicy] = [],
        removedWorkloads: [String] = [], removedServices: [ServiceName] = [], removedPolicies: [String] = []
    ) {
        self.workloads = workloads
        self.services = services
        self.policies = policies
        self.removedWorkloads = removedWorkloads
        self.removedServices = removedServices
        self.removedPolicies = removedPolicies
    }

    /// True when applying it would change nothing.
    package var isEmpty: Bool {
        workloads.isEmpty && services.isEmpty && policies.isEmpty && removedWorkloads.isEmpty && removedServices.isEmpty
            && removedPolicies.isEmpty && networkPolicies == nil && settings == nil
    }
}
