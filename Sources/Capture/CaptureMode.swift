/// How a pod's traffic is brought to ztund's sockets.
package enum CaptureMode: String, Sendable, CaseIterable, Hashable {
    /// nftables rules of our own in the pod's network namespace.
    case nft
    /// Someone else's rules, such as istio-cni's: ztund opens its sockets and installs nothing.
    case external
}
