/// How a pod's traffic is brought to ztund's sockets.
package enum CaptureMode: String, Sendable, CaseIterable, Hashable, Codable {
    /// The best of the others that this node and pod allow.
    case auto
    /// BPF programs: connects are marked in a cgroup hook and brought back by a policy route, nothing is rewritten.
    case bpf
    /// As ``bpf``, but what the pod opens is sent to an address of its own: another program on the connect hook runs after
    /// ours and would replace the service's address.
    case bpfRewrite = "bpf-rewrite"
    /// As ``bpf``, but the pod's routes select what its programs open, without a hook on connects: where there is no cgroup
    /// version 2 for pods, or its hook is taken.
    case bpfRoute = "bpf-route"
    /// nftables rules of our own in the pod's network namespace.
    case nft
    /// Someone else's rules, such as istio-cni's: ztund opens its sockets and installs nothing.
    case external

    /// Whether ztund's listeners are found by the lookup program, whatever their ports.
    var isBPF: Bool { self == .bpf || self == .bpfRewrite || self == .bpfRoute }
}
