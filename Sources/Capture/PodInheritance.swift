package import EventLoop
internal import Telemetry

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

    /// The pod.
    package var location: PodLocation { PodLocation(namespace: namespace, name: name, path: path) }
}

/// A pod's listening sockets on their way from one ztund to the next; closed when nobody takes them.
package final class PodListeners: Sendable {
    private let numbers: Lock<[Int32]>

    /// - Parameter descriptors: ``PodSockets/listeners`` as they were sent; nil unless they are three.
    package init?(_ descriptors: [HeldDescriptor]) {
        numbers = Lock(descriptors.compactMap { $0.take()?.release() })
        if numbers.withLock({ $0.count }) != 3 { return nil }
    }

    deinit {
        for number in numbers.withLock({ $0 }) { _ = Descriptor(owning: number) }
    }

    /// The three, for the caller to own: outbound, inbound, tunnel. Nil when they were taken before.
    func take() -> [Int32]? {
        numbers.withLock { numbers in
            defer { numbers = [] }
            return numbers.isEmpty ? nil : numbers
        }
    }
}
