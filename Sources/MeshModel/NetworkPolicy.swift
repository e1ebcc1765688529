/// A Kubernetes NetworkPolicy (`networking.k8s.io/v1`): which connections the pods it selects may take and open;
/// immutable and shared by reference.
///
/// A pod that some policy selects for a direction is isolated there: only what some rule of these policies admits goes.
package final class NetworkPolicy: Sendable, Hashable {
    package enum Direction: String, Hashable, Sendable, CaseIterable { case ingress = "Ingress", egress = "Egress" }
    /// One entry of `from` or `to`.
    package enum Peer: Hashable, Sendable {
        /// Addresses in the range and in none of the exceptions.
        case addresses(IPPrefix, except: [IPPrefix])
        /// Pods; a nil namespace selector means the policy's own namespace, a nil pod selector all pods.
        case pods(LabelSelector?, namespaces: LabelSelector?)
    }
    /// One entry of `ports` that TCP can meet.
    package enum Port: Hashable, Sendable {
        /// The whole range.
        case numbers(ClosedRange<UInt16>)
        /// The destination pod's port of that name.
        case named(String)
    }
    /// What one rule admits: any of the peers on any of the ports.
    package struct Rule: Hashable, Sendable {
        /// Nil admits every peer.
        package var peers: [Peer]?
        /// Nil admits every port; an empty list, none (a rule about other protocols).
        package var ports: [Port]?

        package init(peers: [Peer]? = nil, ports: [Port]? = nil) {
            self.peers = peers
            self.ports = ports
        }
    }

    package let name: String
    package let namespace: String
    package let pods: LabelSelector
    /// Rules by direction; a direction that is not a key is not restricted by this policy.
    package let rules: [Direction: [Rule]]
    /// `namespace/name`.
    package let key: String

    package init(name: String, namespace: String, pods: LabelSelector, rules: [Direction: [Rule]]) {
        self.name = name
        self.namespace = namespace
        self.pods = pods
        self.rules = rules
        key = "\(namespace)/\(name)"
    }

    package static func == (a: NetworkPolicy, b: NetworkPolicy) -> Bool {
        a === b || (a.key == b.key && a.pods == b.pods && a.rules == b.rules)
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(key) }
}
