/// What one ztund tells the next of a pod's capture, beside the listening sockets themselves.
package struct PodInheritance: Codable, Sendable, Hashable {
    package var namespace: String
    package var name: String
    /// The path of the network namespace.
    package var path: String
    /// Device and inode of the network namespace: the sockets belong to that one and no other.
    package var device: UInt64
    package var inode: UInt64
    /// Whether the listeners take IPv6 too.
    package var acceptsIPv6: Bool
    /// The values that kernel settings had before ztund changed them, by their paths.
    package var settings: [String: String]
    /// The rules that were installed, and what nft calls the table they make; empty in other modes.
    package var rules: String
    package var table: String
    /// How its traffic is captured and why; nil from a ztund that knew no other way than the one it was told.
    package var mode: CaptureMode?
    package var modeReason: String?
    /// Why rules capture what enters the pod beside BPF; nil where they do not.
    package var forwardingReason: String?
    /// How many connections were older than enrolment, and what the kernel calls those that were still open; nil from a ztund
    /// that did not keep them.
    package var olderCount: Int?
    package var olderSockets: [UInt64]?
    /// Whether it was asked to fail open, and does; nil from a ztund that knew no such thing.
    package var asksFailOpen: Bool?
    package var failsOpen: Bool?

    /// The pod.
    package var location: PodLocation { PodLocation(namespace: namespace, name: name, path: path) }
}
