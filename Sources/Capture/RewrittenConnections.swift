internal import CaptureBPF
internal import EventLoop
internal import MeshModel

/// Where connections wanted to go that were sent to the pod's own address (``CaptureMode/bpfRewrite``): a map that the kernel
/// fills before the SYN leaves. One for the node; workers ask it, each when it accepts.
final class RewrittenConnections: Sendable {
    private let map: Descriptor

    init(_ map: consuming Descriptor) {
        self.map = map
    }

    /// Where an accepted connection of a pod wanted to go, once; nil when nothing is known of it.
    ///
    /// - Parameters:
    ///   - client: the address of the program that opened it.
    ///   - local: the address at which it was accepted.
    ///   - pod: the cookie of the pod's namespace.
    func takeDestination(from client: SocketAddress, at local: SocketAddress, pod: UInt64) -> SocketAddress? {
        var from = Words(client.ip)
        var to = Words(local.ip)
        var port = local.port
        let found = withUnsafeBytes(of: &from) { from in
            withUnsafeMutableBytes(of: &to) { to in
                // Both are 16 bytes, so each has a first one.
                zt_rewritten_take(
                    map.number, pod, from.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self),
                    client.port,
                    to.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self), &port)
            }
        }
        return found == 1 ? SocketAddress(to.ip, port) : nil
    }

    /// 16 bytes in network order.
    private struct Words {
        private var high: UInt64
        private var low: UInt64

        init(_ ip: IPAddress) {
            high = ip.high.bigEndian
            low = ip.low.bigEndian
        }

        var ip: IPAddress { IPAddress(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low)) }
    }
}
