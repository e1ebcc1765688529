/// One thing that a rule of a network policy admits: one peer on some ports, to the pods its policy selects.
package struct NetworkPolicyGrant: Sendable {
    package let policy: NetworkPolicy
    /// The place of the rule in its direction, from 0.
    package let rule: Int
    /// Nil admits every peer.
    package let peer: NetworkPolicy.Peer?
    /// Nil admits every port.
    package let ports: [NetworkPolicy.Port]?
}

/// Grants that have something in common, found by port.
struct GrantBucket: Sendable {
    /// Those that admit one port each; ranges of a few ports are filed under each of them.
    private var byPort: [UInt16: [NetworkPolicyGrant]] = [:]
    private var others: [NetworkPolicyGrant] = []

    private static let widestFiled = 16

    mutating func insert(_ grant: NetworkPolicyGrant) {
        guard let ports = grant.ports else { return others.append(grant) }
        var numbers: Set<UInt16> = []
        for port in ports {
            guard case .numbers(let range) = port, range.count <= Self.widestFiled else { return others.append(grant) }
            numbers.formUnion(range)
        }
        for number in numbers { byPort[number, default: []].append(grant) }
    }

    func first(port: UInt16, where test: (NetworkPolicyGrant) -> Bool) -> NetworkPolicyGrant? {
        if !byPort.isEmpty, let found = byPort[port]?.first(where: test) { return found }
        return others.first(where: test)
    }
}

/// The grants of policies with one pod selector in one direction, found by what the peer must have.
///
/// A candidate is only that: the caller still holds it against the connection.
package struct GrantIndex: Sendable {
    /// Those that name no peer.
    private var open = GrantBucket()
    private var byPodLabel: [LabelSet.Label: GrantBucket] = [:]
    private var byNamespaceLabel: [LabelSet.Label: GrantBucket] = [:]
    private var podKeys: [String] = []
    private var namespaceKeys: [String] = []
    /// Selectors that require no one label.
    private var loose = GrantBucket()
    /// By the length of the range in 128 bits and then by range: one look for each length that is used.
    private var ranges: [(length: Int, isIPv4: Bool, grants: [IPPrefix: GrantBucket])] = []

    mutating func insert(_ grant: NetworkPolicyGrant) {
        switch grant.peer {
        case nil: open.insert(grant)
        case .addresses(let range, _)?:
            let at = ranges.firstIndex { $0.length == range.length && $0.isIPv4 == range.address.isIPv4 }
            if let at {
                ranges[at].grants[range, default: GrantBucket()].insert(grant)
            } else {
                var bucket = GrantBucket()
                bucket.insert(grant)
                ranges.append((range.length, range.address.isIPv4, [range: bucket]))
            }
        case .pods(let pods, let namespaces)?:
            if let label = pods?.labels.first {
                byPodLabel[label, default: GrantBucket()].insert(grant)
                if !podKeys.contains(label.key) { podKeys.append(label.key) }
            } else if let label = namespaces?.labels.first {
                byNamespaceLabel[label, default: GrantBucket()].insert(grant)
                if !namespaceKeys.contains(label.key) { namespaceKeys.append(label.key) }
            } else {
                loose.insert(grant)
            }
        }
    }

    /// The first candidate that the test accepts.
    /// - Parameters:
    ///   - labels: of the peer's pod and of its namespace; nil where the peer is no known pod.
    package func first(
        address: IPAddress, port: UInt16, pod: LabelSet?, namespace: LabelSet?,
        where test: (NetworkPolicyGrant) -> Bool
    ) -> NetworkPolicyGrant? {
        if let found = open.first(port: port, where: test) { return found }
        if let pod, let namespace {
            for key in podKeys {
                guard let value = pod[key], let bucket = byPodLabel[LabelSet.Label(key, value)] else { continue }
                if let found = bucket.first(port: port, where: test) { return found }
            }
            for key in namespaceKeys {
                guard let value = namespace[key], let bucket = byNamespaceLabel[LabelSet.Label(key, value)] else {
                    continue
                }
                if let found = bucket.first(port: port, where: test) { return found }
            }
            if let found = loose.first(port: port, where: test) { return found }
        }
        for range in ranges where range.isIPv4 == address.isIPv4 {
            guard let key = IPPrefix(address, length: range.length), let bucket = range.grants[key] else { continue }
            if let found = bucket.first(port: port, where: test) { return found }
        }
        return nil
    }
}
