extension MeshChanges {
    /// Only what a snapshot does not have like this already, of workloads.
    package func differing(from snapshot: MeshSnapshot) -> MeshChanges {
        var changes = self
        changes.workloads = workloads.filter { snapshot.workload(uid: $0.fields.uid)?.fields != $0.fields }
        changes.removedWorkloads = removedWorkloads.filter { snapshot.workload(uid: $0) != nil }
        return changes
    }
}

extension MeshSnapshot {
    /// The next snapshot when a source hands over everything it has: what is equal stays the same object, what is not
    /// in the lists is gone.
    package func replacingAll(
        workloads: [Workload], services: [Service], policies: [AuthorizationPolicy],
        networkPolicies: NetworkPolicyTable = .empty, settings: MeshSettings = MeshSettings()
    ) -> MeshSnapshot {
        var changes = MeshChanges()
        if !networkPolicies.isSame(as: self.networkPolicies) { changes.networkPolicies = networkPolicies }
        if settings != self.settings { changes.settings = settings }
        let uids = Set(workloads.map(\.fields.uid))
        changes.removedWorkloads = allWorkloads.map(\.fields.uid).filter { !uids.contains($0) }
        changes.workloads = workloads.filter { new in
            let old = workload(uid: new.fields.uid)
            return old !== new && old?.fields != new.fields
        }
        let names = Set(services.map(\.serviceName))
        changes.removedServices = allServices.map(\.serviceName).filter { !names.contains($0) }
        changes.services = services.filter { new in
            let old = service(new.serviceName)
            return old !== new && old?.fields != new.fields
        }
        let keys = Set(policies.map(\.key))
        changes.removedPolicies = allPolicies.map(\.key).filter { !keys.contains($0) }
        changes.policies = policies.filter { policy($0.key)?.saysTheSame(as: $0) != true }
        return applying(changes)
    }
}
