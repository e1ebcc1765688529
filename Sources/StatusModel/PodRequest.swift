/// The body of `POST /pods` (all three) and `DELETE /pods` (with a path only that sandbox is taken out).
package struct PodRequest: Codable, Sendable, Hashable {
    package var namespace: String
    package var name: String
    /// Path of the network namespace; nil when a pod is taken out.
    package var netns: String?
    /// Whether the pod's connections are to go past the mesh while no ztund is there; nil leaves it as it is.
    package var failOpen: Bool?
    /// The interfaces by which the pod forwards for others; nil where nobody says.
    package var reroutedInterfaces: String?

    package init(namespace: String, name: String, netns: String? = nil, failOpen: Bool? = nil) {
        self.namespace = namespace
        self.name = name
        self.netns = netns
        self.failOpen = failOpen
    }
}

extension PodRequest: CustomStringConvertible {
    /// `NS/NAME@NETNS` or `NS/NAME`.
    package var description: String { "\(namespace)/\(name)" + (netns.map { "@\($0)" } ?? "") }

    /// Reads `NS/NAME@NETNS` or `NS/NAME`; nil for anything else. Namespace and name are Kubernetes names, the path is
    /// absolute.
    package init?(_ text: some StringProtocol) {
        let halves = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let pod = halves.first else { return nil }
        let parts = pod.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, Self.isName(parts[0]), Self.isName(parts[1]) else { return nil }
        if halves.count == 2 {
            guard halves[1].hasPrefix("/"), !halves[1].utf8.contains(0), halves[1].utf8.count < 4096 else { return nil }
        }
        self.init(
            namespace: String(parts[0]), name: String(parts[1]), netns: halves.count == 2 ? String(halves[1]) : nil)
    }

    /// Whether the text is a Kubernetes name (lower-case letters, digits, `-`, `.`, at most 253).
    package static func isName(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        guard bytes.count <= 253, let first = bytes.first, let last = bytes.suffix(1).first else { return false }
        guard first != 45, first != 46, last != 45, last != 46 else { return false }
        return bytes.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 46 }
    }
}

/// The answer to a command that changes something.
package struct CommandReply: Codable, Sendable, Hashable {
    package var ok: Bool
    /// What was done, or what is wrong and the next step.
    package var message: String

    /// What became of the pod; nil where the message says all.
    package var outcome: Outcome?

    /// What a program must tell apart.
    package enum Outcome: String, Codable, Sendable {
        /// ztund has it and keeps trying to enrol it.
        case pending
        /// ztund knows the pod with another network namespace.
        case elsewhere
        /// Another ztund has just taken over: the same command once more reaches that one.
        case replaced
    }

    package init(ok: Bool, message: String, outcome: Outcome? = nil) {
        self.ok = ok
        self.message = message
        self.outcome = outcome
    }
}
