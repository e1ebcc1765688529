internal import CLinux
internal import EventLoop
package import MeshModel

/// The TCP connections that were open when a pod was enrolled. Capture leaves them alone, so they are told of until they end.
///
/// Those over loopback or to the pod itself are not among them: they are never captured. Nor are those that began in the
/// microseconds between this look and the last step of enrolment.
package struct OlderConnections: Sendable, Hashable {
    /// One of them, as the pod sees it.
    package struct Connection: Sendable, Hashable {
        package let local: SocketAddress
        package let remote: SocketAddress
    }

    /// How many there were at enrolment.
    package let atEnrolment: Int
    /// How many of them were open at the last look.
    package var openCount: Int { sockets.count }
    /// The first of those that are open, for a person.
    package private(set) var listed: [Connection] = []
    /// What the kernel calls the open ones.
    private var sockets: Set<UInt64>
    /// More than this are counted at enrolment and not followed.
    private static let limit = 4096
    private static let listLimit = 16

    /// Looks now.
    ///
    /// - Parameter listeners: how many sockets ztund has in the namespace. Where there are no others, there are no connections,
    ///   and the kernel need not look through those of all namespaces.
    init(in namespace: NetworkNamespace, listeners: Int) {
        let found = SocketCount.tcp(in: namespace).map { $0 <= listeners } == true ? [] : Self.read(namespace)
        atEnrolment = found.count
        sockets = Set(found.prefix(Self.limit).map(\.cookie))
        list(found)
    }

    /// Goes on with what the ztund before this one knew; nil when it did not.
    init?(adopting pod: PodInheritance) {
        guard let count = pod.olderCount else { return nil }
        atEnrolment = count
        sockets = Set(pod.olderSockets ?? [])
    }

    func hand(to pod: inout PodInheritance) {
        pod.olderCount = atEnrolment
        pod.olderSockets = Array(sockets)
    }

    /// Forgets those that have ended.
    mutating func refresh(in namespace: NetworkNamespace) {
        guard !sockets.isEmpty else { return }
        let found = Self.read(namespace).filter { sockets.contains($0.cookie) }
        sockets = Set(found.map(\.cookie))
        list(found)
    }

    private mutating func list(_ found: [zt_tcp_connection]) {
        listed = found.prefix(Self.listLimit).map { one in
            Connection(
                local: SocketAddress(Self.address(one.local), one.local_port),
                remote: SocketAddress(Self.address(one.remote), one.remote_port))
        }
    }

    /// None where they cannot be read: the list is a help, not a condition.
    private static func read(_ namespace: NetworkNamespace) -> [zt_tcp_connection] {
        var capacity = 64
        while true {
            var found = [zt_tcp_connection](repeating: zt_tcp_connection(), count: capacity)
            let room = Int32(capacity)
            let count = try? namespace.run { () throws(SystemError) in
                try SystemError.check("netlink", zt_tcp_connections(&found, room))
            }
            guard let count else { return [] }
            if count <= room || capacity > limit { return Array(found.prefix(min(Int(count), capacity))) }
            // As many as there are, and some that open meanwhile.
            capacity = min(Int(count) + 64, limit + 1)
        }
    }

    private static func address(_ ip: some Any) -> IPAddress {
        withUnsafeBytes(of: ip) { bytes in
            IPAddress(
                high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }
}
