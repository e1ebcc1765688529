package import MeshModel

extension L7Upstream {
    /// What network policies say of the client and the endpoint that was chosen for it: the client's egress and the
    /// endpoint's ingress, which its own node leaves to the waypoint.
    /// - Parameters:
    ///   - identity: of the client, verified.
    ///   - address: of the client.
    ///   - network: of the waypoint.
    package func networkPolicyRefusal(
        client identity: SpiffeID, at address: IPAddress, network: String, in snapshot: MeshSnapshot
    ) -> Refusal? {
        guard !snapshot.networkPolicies.isEmpty else { return nil }
        let decision = NetworkPolicyDecision(snapshot)
        let client = NetworkPolicyPeer(address: address, identity: identity, network: network, in: snapshot)
        if let pod = client.pod {
            let endpoint = NetworkPolicyPeer(address: self.address.ip, pod: workload)
            let verdict = decision.egress(from: pod, to: endpoint, port: self.address.port)
            if let refusal = verdict.egressRefusal { return refusal }
        }
        let verdict = decision.ingress(to: workload, port: self.address.port, from: client)
        guard let policies = verdict.refusing else { return nil }
        return Refusal(
            .networkPolicyDenied,
            "NetworkPolicy \(policies.joined(separator: ", ")) selects \(workload) and no NetworkPolicy admits \(identity) "
                + "on port \(self.address.port)")
    }
}
