/// A pod by namespace, name and the path of its network namespace; as a flag `NS/NAME@/run/netns/X`.
package struct PodReference: Hashable, Sendable, CustomStringConvertible {
    package let namespace: String
    package let name: String
    /// Absolute path of a network namespace.
    package let netns: String

    /// What the flag looks like, for errors.
    package static let form = "a pod as NAMESPACE/NAME@/PATH/OF/NETNS"

    /// Reads the flag's form; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let halves = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2, let workload = WorkloadReference(halves[0]) else { return nil }
        guard halves[1].hasPrefix("/"), !halves[1].utf8.contains(0), halves[1].utf8.count < 4096 else { return nil }
        namespace = workload.namespace
        name = workload.name
        netns = String(halves[1])
    }

    package var description: String { "\(namespace)/\(name)@\(netns)" }
}

/// A workload by namespace and name; as a flag `NS/NAME`.
package struct WorkloadReference: Hashable, Sendable, CustomStringConvertible {
    package let namespace: String
    package let name: String

    /// What the flag looks like, for errors.
    package static let form = "a workload as NAMESPACE/NAME"

    /// Reads the flag's form; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, Self.isName(parts[0]), Self.isName(parts[1]) else { return nil }
        namespace = String(parts[0])
        name = String(parts[1])
    }

    package var description: String { "\(namespace)/\(name)" }

    /// Kubernetes names: lower-case letters, digits, dash and dot, at most 253.
    private static func isName(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        return !bytes.isEmpty && bytes.count <= 253
            && bytes.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 46 }
    }
}
