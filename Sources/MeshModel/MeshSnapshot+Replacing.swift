extension MeshSnapshot {
    /// The next snapshot when a source hands over everything it has: what is equal stays the same object, what is not
    /// in the lists is gone.
    package func replacingAll(
        workloads: [Workload], services: [Service], policies: [AuthorizationPolicy]
    ) -> MeshSnapshot {
        var changes = MeshChanges()
        let uids = Set(workloads.map(\.fields.uid))
        changes.removedWorkloads = allWorkloads.map(\.fields.uid).filter { !uids.contains($0) }
        changes.workloads = workloads.filter { workload(uid: $0.fields.uid)?.fields != $0.fields }
        let names = Set(services.map(\.serviceName))
        changes.removedServices = allServices.map(\.serviceName).filter { !names.contains($0) }
        changes.services = services.filter { service($0.serviceName)?.fields != $0.fields }
        let keys = Set(policies.map(\.key))
        changes.removedPolicies = allPolicies.map(\.key).filter { !keys.contains($0) }
        changes.policies = policies.filter { new in
            guard let old = policy(new.key) else { return true }
            return
                !(old.scope == new.scope && old.action == new.action && old.dryRun == new.dryRun
                && old.rules == new.rules)
        }
        return applying(changes)
    }
}
