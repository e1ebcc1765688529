package import MeshModel

/// What network policy says of a connection.
package enum NetworkPolicyVerdict: Hashable, Sendable {
    /// No policy selects the pod in that direction, or nobody is to ask.
    case notIsolated
    /// It comes from the pod's own node, or from the pod itself.
    case exempt
    /// It comes through the waypoint bound to the pod, which has asked for the client.
    case askedByWaypoint
    /// The rule of this policy (`namespace/name`) admits it; rules count from 0.
    case admitted(policy: String, rule: Int)
    /// These policies select the pod and none of them admits it. In ``NetworkPolicyMode/audit`` it goes on.
    case refused(policies: [String], isEnforced: Bool)

    /// The policies that refuse it; nil where it may go on.
    package var refusing: [String]? {
        if case .refused(let policies, true) = self { return policies }
        return nil
    }
}

extension NetworkPolicyVerdict: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notIsolated: "no NetworkPolicy selects the pod"
        case .exempt: "NetworkPolicies do not apply: from the pod's own node or from itself"
        case .askedByWaypoint: "the pod's own waypoint has asked the NetworkPolicies for the client"
        case .admitted(let policy, let rule): "NetworkPolicy \(policy) rule \(rule + 1) admits it"
        case .refused(let policies, let isEnforced):
            "NetworkPolicy \(policies.joined(separator: ", ")) selects the pod, none admits it"
                + (isEnforced ? ": refused" : ": audit only, it goes on")
        }
    }
}

/// One end of a connection as network policy sees it.
package struct NetworkPolicyPeer: Sendable {
    package var address: IPAddress
    /// The pod; nil where it is not known for certain, so that no pod selector means it.
    package var pod: Workload?

    package init(address: IPAddress, pod: Workload?) {
        self.address = address
        self.pod = pod
    }

    /// Who is at the other end of a connection that came to a pod: the pod at the source address, if its account is the
    /// identity that was verified. Without a tunnel the address must do, and only for pods that have no tunnel.
    package init(address: IPAddress, identity: SpiffeID?, network: String, in snapshot: MeshSnapshot) {
        self.address = address
        pod = nil
        guard let workload = snapshot.workload(at: NetworkAddress(network: network, ip: address)) else { return }
        if let identity {
            if workload.identity == identity { pod = workload }
        } else if workload.fields.tunnelProtocol == .tcp {
            pod = workload
        }
    }
}

/// Evaluates Kubernetes NetworkPolicies against the ports and peers inside the tunnels.
package struct NetworkPolicyDecision {
    private let table: NetworkPolicyTable
    private let snapshot: MeshSnapshot

    package init(_ snapshot: MeshSnapshot) {
        self.snapshot = snapshot
        table = snapshot.networkPolicies
    }

    /// Whether a pod may take a connection, at the pod's node.
    /// - Parameters:
    ///   - identity: of the peer, verified; nil for plaintext.
    ///   - port: of the application.
    package func ingress(
        to pod: Workload, port: UInt16, from address: IPAddress, identity: SpiffeID?
    ) -> NetworkPolicyVerdict {
        guard !table.isEmpty else { return .notIsolated }
        if table.nodes[pod.fields.node]?.contains(address) ?? false { return .exempt }
        let peer = NetworkPolicyPeer(address: address, identity: identity, network: pod.fields.network, in: snapshot)
        if let other = peer.pod, identity != nil, other.isWaypoint(of: pod, in: snapshot) { return .askedByWaypoint }
        return ingress(to: pod, port: port, from: peer)
    }

    /// Whether a pod may take a connection from a peer that is known already; a waypoint asks this for its client.
    package func ingress(to pod: Workload, port: UInt16, from peer: NetworkPolicyPeer) -> NetworkPolicyVerdict {
        guard !table.isEmpty else { return .notIsolated }
        if peer.pod?.fields.uid == pod.fields.uid { return .exempt }
        return decide(.ingress, of: pod, with: peer, port: port, ports: pod.fields.ports)
    }

    /// Whether a pod may open a connection.
    /// - Parameters:
    ///   - peer: the endpoint that was chosen.
    ///   - port: of the application there.
    package func egress(from pod: Workload, to peer: NetworkPolicyPeer, port: UInt16) -> NetworkPolicyVerdict {
        guard !table.isEmpty else { return .notIsolated }
        if peer.pod?.fields.uid == pod.fields.uid || peer.address.isLoopback { return .exempt }
        return decide(.egress, of: pod, with: peer, port: port, ports: peer.pod?.fields.ports ?? [:])
    }

    /// Policies named in a refusal; a pod may be selected by thousands.
    private static let mostNamed = 8

    // MARK: - Rules

    private func decide(
        _ direction: NetworkPolicy.Direction, of pod: Workload, with peer: NetworkPolicyPeer, port: UInt16,
        ports: [String: UInt16]
    ) -> NetworkPolicyVerdict {
        let namespace = pod.fields.namespace
        let mode = table.mode(ofNamespace: namespace)
        guard mode != .off else { return .notIsolated }
        // A pod that shares its node's network is not what Kubernetes' policies are about.
        guard pod.fields.networkMode == .standard else { return .notIsolated }
        let other = peer.pod.flatMap { $0.fields.networkMode == .standard ? $0 : nil }
        let otherNamespace = other.map { table.labels(ofNamespace: $0.fields.namespace) }
        var isIsolated = false
        var admitted: NetworkPolicyGrant?
        table.forEachGroup(selecting: pod.fields.labels, in: namespace, direction) { group in
            isIsolated = true
            admitted = group.grants.first(
                address: peer.address, port: port, pod: other?.fields.labels, namespace: otherNamespace
            ) { grant in
                Self.admits(grant.ports, port, ports)
                    && Self.admits(grant, peer.address, other, otherNamespace)
            }
            return admitted == nil
        }
        if let admitted { return .admitted(policy: admitted.policy.key, rule: admitted.rule) }
        guard isIsolated else { return .notIsolated }
        var isolating: [String] = []
        table.forEachGroup(selecting: pod.fields.labels, in: namespace, direction) { group in
            isolating += group.policies
            return isolating.count < Self.mostNamed
        }
        return .refused(policies: isolating, isEnforced: mode == .enforce)
    }

    private static func admits(_ list: [NetworkPolicy.Port]?, _ port: UInt16, _ named: [String: UInt16]) -> Bool {
        guard let list else { return true }
        for entry in list {
            switch entry {
            case .numbers(let range): if range.contains(port) { return true }
            case .named(let name): if named[name] == port { return true }
            }
        }
        return false
    }

    private static func admits(
        _ grant: NetworkPolicyGrant, _ address: IPAddress, _ pod: Workload?, _ namespace: LabelSet?
    ) -> Bool {
        switch grant.peer {
        case nil: return true
        case .addresses(let range, let except)?:
            return range.contains(address) && !except.contains { $0.contains(address) }
        case .pods(let pods, let namespaces)?:
            guard let pod, let namespace else { return false }
            if let namespaces {
                guard namespaces.matches(namespace) else { return false }
            } else {
                guard pod.fields.namespace == grant.policy.namespace else { return false }
            }
            return pods?.matches(pod.fields.labels) ?? true
        }
    }
}

extension Workload {
    /// Whether this is a waypoint that the pod, or a service it is an endpoint of, is bound to.
    package func isWaypoint(of pod: Workload, in snapshot: MeshSnapshot) -> Bool {
        if let own = pod.fields.waypoint, own.leads(to: self, in: snapshot) { return true }
        for name in pod.fields.services.keys {
            guard let service = snapshot.service(name) else { continue }
            if let waypoint = service.fields.waypoint, waypoint.leads(to: self, in: snapshot) { return true }
            if service.fields.weightedWaypoints.contains(where: { $0.waypoint.leads(to: self, in: snapshot) }) {
                return true
            }
        }
        return false
    }
}
