package import MeshModel

extension OutboundRoute {
    /// What the source's network policies say of the way; nil through a waypoint, which asks them for the endpoint that
    /// it chooses.
    package func egress(
        from source: Workload, dialled: SocketAddress, in snapshot: MeshSnapshot
    ) -> NetworkPolicyVerdict? {
        let decision = NetworkPolicyDecision(snapshot)
        let address = nextHopAddress?.ip ?? dialled.ip
        switch via {
        case .waypoint: return nil
        case .destination:
            return decision.egress(
                from: source, to: NetworkPolicyPeer(address: address, pod: destination), port: targetPort)
        case .gateway:
            // What is behind it is on another network; the gateway is whom the pod talks to.
            return decision.egress(
                from: source, to: NetworkPolicyPeer(address: address, pod: peer),
                port: nextHopAddress?.port ?? ProxyPorts.hbone)
        case .passthrough:
            return decision.egress(
                from: source, to: NetworkPolicyPeer(address: dialled.ip, pod: nil), port: dialled.port)
        }
    }
}

extension NetworkPolicyVerdict {
    /// The refusal of a connection that a pod may not open.
    package var egressRefusal: Refusal? {
        guard let policies = refusing else { return nil }
        return Refusal(
            .networkPolicyDenied,
            "NetworkPolicy \(policies.joined(separator: ", ")) selects the source and no NetworkPolicy lets it go there"
        )
    }
}
