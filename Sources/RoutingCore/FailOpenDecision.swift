package import MeshModel

/// Whether a pod's connections may go past the mesh while no ztund is there.
///
/// Whoever asks for it gives up what the mesh does for the pod at such a moment. Policies are others' decisions: while one
/// that is enforced selects the pod, it stays closed.
package enum FailOpenDecision: Sendable, Hashable {
    /// Nobody asked.
    case notAsked
    case granted
    /// Why not, for a person.
    case refused(String)

    /// Decides by the state in force.
    ///
    /// - Parameters:
    ///   - isAsked: by whoever enrolled the pod; its workload may ask too.
    ///   - workload: nil while the state does not know the pod.
    package static func decide(isAsked: Bool, workload: Workload?, _ snapshot: MeshSnapshot) -> FailOpenDecision {
        guard isAsked || workload?.fields.failsOpen == true else { return .notAsked }
        guard let workload else {
            return .refused("the state does not know the pod yet, so nobody can say which policies select it")
        }
        let fields = workload.fields
        let policies = snapshot.allPolicies.filter { policy in
            guard !policy.dryRun else { return false }
            return switch policy.scope {
            case .global: true
            case .namespace: policy.namespace == fields.namespace
            case .workloadSelector: fields.authorizationPolicies.contains(policy.key)
            }
        }
        if let policy = policies.map(\.key).min() { return .refused("the policy \(policy) selects it") }
        // A policy that is named and not there: nobody knows what it says.
        if let missing = fields.authorizationPolicies.filter({ snapshot.policy($0) == nil }).min() {
            return .refused("the policy \(missing) selects it, which the state does not have")
        }
        let table = snapshot.networkPolicies
        guard table.mode(ofNamespace: fields.namespace) == .enforce else { return .granted }
        var network: String?
        for direction in NetworkPolicy.Direction.allCases {
            table.forEachGroup(selecting: fields.labels, in: fields.namespace, direction) { group in
                network = [network, group.policies.min()].compactMap(\.self).min()
                return true
            }
        }
        return network.map { .refused("the NetworkPolicy \($0) selects it") } ?? .granted
    }
}
