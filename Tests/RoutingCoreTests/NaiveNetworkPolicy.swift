import MeshModel

/// A deliberately naive evaluator of network policies, written from Kubernetes' documentation and sharing nothing with the
/// product: every policy, rule, peer and port is looked at, in plain loops.
struct NaiveNetworkPolicy {
    struct Term: Hashable {
        var key: String
        /// `=`, `in`, `notin`, `exists`, `absent`.
        var kind: String
        var values: [String]
    }
    typealias Selector = [Term]

    enum Peer: Hashable {
        /// An IPv4 range as number and length, with exceptions.
        case block(UInt32, Int, except: [(UInt32, Int)])
        case pods(Selector?, namespaces: Selector?)

        static func == (a: Peer, b: Peer) -> Bool { "\(a)" == "\(b)" }
        func hash(into hasher: inout Hasher) { hasher.combine("\(self)") }
    }
    enum Port: Hashable {
        case range(Int, Int)
        case named(String)
    }
    struct Rule: Hashable {
        /// Empty means every peer.
        var peers: [Peer]
        /// Empty means every port.
        var ports: [Port]
    }
    struct Policy: Hashable {
        var name: String
        var namespace: String
        var pods: Selector
        /// Nil: not of that type.
        var ingress: [Rule]?
        var egress: [Rule]?
    }
    struct Pod: Hashable {
        var name: String
        var namespace: String
        var account: String
        var address: UInt32
        var labels: [String: String]
        var isHostNetwork: Bool
        var isInMesh: Bool
        var node: String
        var ports: [String: Int]
        /// The pod that is its waypoint.
        var waypoint: String?
    }

    var policies: [Policy]
    var pods: [Pod]
    var namespaces: [String: [String: String]]
    var nodes: [String: UInt32]
    var modes: [String: String]

    static func matches(_ selector: Selector, _ labels: [String: String]) -> Bool {
        for term in selector {
            let value = labels[term.key]
            let holds: Bool
            switch term.kind {
            case "=": holds = value != nil && value == term.values.first
            case "in": holds = value != nil && term.values.contains(value ?? "")
            case "notin": holds = value == nil || !term.values.contains(value ?? "")
            case "exists": holds = value != nil
            default: holds = value == nil
            }
            if !holds { return false }
        }
        return true
    }

    /// `free`, `yes` or `no`, by the rules of one direction of a pod.
    private func decide(
        _ pod: Pod, _ direction: KeyPath<Policy, [Rule]?>, other: Pod?, address: UInt32, port: Int, named: [String: Int]
    ) -> String {
        if modes[pod.namespace] == "off" || pod.isHostNetwork { return "free" }
        var isolated = false
        for policy in policies {
            if policy.namespace != pod.namespace { continue }
            guard let rules = policy[keyPath: direction] else { continue }
            if !Self.matches(policy.pods, pod.labels) { continue }
            isolated = true
            for rule in rules where admits(rule, policy, other, address, port, named) { return "yes" }
        }
        if !isolated { return "free" }
        return modes[pod.namespace] == "audit" ? "audit" : "no"
    }

    private func admits(
        _ rule: Rule, _ policy: Policy, _ other: Pod?, _ address: UInt32, _ port: Int, _ named: [String: Int]
    ) -> Bool {
        var portHolds = rule.ports.isEmpty
        for entry in rule.ports {
            switch entry {
            case .range(let low, let high): if port >= low && port <= high { portHolds = true }
            case .named(let name): if named[name] == port { portHolds = true }
            }
        }
        if !portHolds { return false }
        if rule.peers.isEmpty { return true }
        for peer in rule.peers {
            switch peer {
            case .block(let base, let length, let except):
                if !Self.inside(address, base, length) { continue }
                if except.contains(where: { Self.inside(address, $0.0, $0.1) }) { continue }
                return true
            case .pods(let selector, let namespaces):
                guard let other, !other.isHostNetwork else { continue }
                if let namespaces {
                    if !Self.matches(namespaces, self.namespaces[other.namespace] ?? [:]) { continue }
                } else if other.namespace != policy.namespace {
                    continue
                }
                if let selector, !Self.matches(selector, other.labels) { continue }
                return true
            }
        }
        return false
    }

    private static func inside(_ address: UInt32, _ base: UInt32, _ length: Int) -> Bool {
        if length == 0 { return true }
        return address >> UInt32(32 - length) == base >> UInt32(32 - length)
    }

    /// At the node of the pod: a connection from an address with a verified account, nil in plaintext.
    func ingress(_ pod: Pod, port: Int, from address: UInt32, account: String?) -> String {
        if policies.isEmpty { return "free" }
        if nodes[pod.node] == address { return "free" }
        var other = pods.first { $0.address == address && !$0.isHostNetwork }
        if let account {
            if other?.account != account { other = nil }
            if let other, pod.waypoint == other.name { return "free" }
        } else if other?.isInMesh == true {
            other = nil
        }
        if other?.name == pod.name { return "free" }
        return decide(pod, \.ingress, other: other, address: address, port: port, named: pod.ports)
    }

    /// At the waypoint: the client is known for certain, or not at all.
    func ingressForClient(_ pod: Pod, port: Int, client: Pod) -> String {
        if client.name == pod.name { return "free" }
        return decide(pod, \.ingress, other: client, address: client.address, port: port, named: pod.ports)
    }

    func egress(_ pod: Pod, to other: Pod, port: Int) -> String {
        if other.name == pod.name { return "free" }
        return decide(pod, \.egress, other: other, address: other.address, port: port, named: other.ports)
    }
}
