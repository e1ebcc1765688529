/// How a pod's traffic is brought to ztund's sockets.
package enum CaptureMode: String, Sendable, CaseIterable, Hashable, Codable {
    /// The best of the others that this node and pod allow.
    case auto
    /// BPF programs: connects are marked in a cgroup hook and brought back by a policy route, nothing is rewritten.
    case bpf
    /// nftables rules of our own in the pod's network namespace.
    case nft
    /// Someone else's rules, such as istio-cni's: ztund opens its sockets and installs nothing.
    case external
}
