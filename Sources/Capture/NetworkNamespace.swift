internal import CLinux
package import EventLoop

/// A network namespace held open, which any thread may enter for a moment.
///
/// A thread's network namespace decides which namespace a socket belongs to, and nothing else of what ztund does; a
/// socket keeps its namespace for life. Holding one open keeps it alive, so whoever holds it watches its path.
package final class NetworkNamespace: Sendable {
    /// What tells one namespace from another for as long as either is held open.
    package struct Identity: Hashable, Sendable {
        package let device: UInt64
        package let inode: UInt64
    }

    /// Device and inode of the namespace.
    package let identity: Identity
    /// The descriptor, for calls that take a namespace; it stays this object's.
    let descriptor: Descriptor
    private let home: Int32

    /// Opens the namespace at a path.
    ///
    /// - Throws: ``CaptureFailure`` when nothing is there, it is something else, or it is ztund's own namespace.
    package init(path: String) throws(CaptureFailure) {
        let home = try Self.ownNamespace()
        let opened: Descriptor
        do throws(SystemError) {
            opened = Descriptor(owning: try SystemError.check("open", zt_open_net_namespace(path)))
        } catch {
            throw Self.unopened(path, error)
        }
        guard let identity = Self.identity(of: opened.number) else {
            throw CaptureFailure("cannot tell which network namespace \"\(escaped(path))\" is")
        }
        guard identity != Self.identity(of: home) else {
            throw CaptureFailure(
                "\"\(escaped(path))\" is the network namespace of ztund itself, which would capture its own traffic; "
                    + "name the pod's namespace")
        }
        self.identity = identity
        self.home = home
        descriptor = opened
    }

    /// Runs the body with the calling thread inside this namespace, and comes back. Any thread; two system calls, or none where
    /// the thread stays here (``stay(_:)``).
    ///
    /// The body must not suspend. When the way back is barred for a tenth of a second the process
    /// ends: the thread would open other pods' sockets here, which hands one pod the traffic and the identity of another.
    /// - Throws: what the body throws, or `setns` when the namespace cannot be entered.
    package func run<Result: ~Copyable>(_ body: () throws(SystemError) -> Result) throws(SystemError) -> Result {
        let outer = zt_inside_net()
        guard outer != descriptor.number else { return try body() }
        _ = try SystemError.check("setns", zt_setns_net(descriptor.number))
        defer { Self.enter(outer < 0 ? home : outer) }
        return try body()
    }

    /// Runs the body with the calling thread inside this namespace throughout, so that each ``run(_:)`` in it costs nothing.
    ///
    /// Only for steps that do nothing elsewhere, but by ``atHome(_:)`` and other namespaces' ``run(_:)``.
    /// - Throws: what the body throws; where the namespace cannot be entered, its own attempts to do so fail.
    func stay(_ body: () throws(CaptureFailure) -> Void) throws(CaptureFailure) {
        guard zt_inside_net() < 0, zt_setns_net(descriptor.number) >= 0 else { return try body() }
        zt_set_inside_net(descriptor.number)
        defer {
            zt_set_inside_net(-1)
            Self.enter(home)
        }
        try body()
    }

    /// Runs the body in ztund's own network namespace, wherever the calling thread stays.
    static func atHome<Result>(_ body: () throws(SystemError) -> Result) throws(SystemError) -> Result {
        let outer = zt_inside_net()
        guard outer >= 0, own >= 0 else { return try body() }
        _ = try SystemError.check("setns", zt_setns_net(own))
        defer { enter(outer) }
        return try body()
    }

    private static func enter(_ namespace: Int32) {
        var result = zt_setns_net(namespace)
        // The kernel allocates for the change and may be short of memory for a moment.
        for _ in 0..<100 where result < 0 {
            Kernel.pause(milliseconds: 1)
            result = zt_setns_net(namespace)
        }
        if result < 0 {
            fatalError(
                "a thread could not leave a pod's network namespace (\(SystemError("setns", -result))); "
                    + "ztund stops, since it would mix up pods")
        }
    }

    /// Which namespace a path leads to now; nil when it leads to none.
    package static func identity(atPath path: String) -> Identity? {
        let number = zt_open_net_namespace(path)
        guard number >= 0 else { return nil }
        let opened = Descriptor(owning: number)
        return identity(of: opened.number)
    }

    private static func unopened(_ path: String, _ error: SystemError) -> CaptureFailure {
        guard error.name != "EINVAL" else {
            return CaptureFailure(
                "\"\(escaped(path))\" is not a network namespace; name a file such as /run/netns/x or /proc/123/ns/net")
        }
        return CaptureFailure(
            "open the network namespace at \"\(escaped(path))\"", error,
            hint: error.name == "ENOENT" ? "the pod is gone, or the path is wrong" : "")
    }

    private static func identity(of descriptor: Int32) -> Identity? {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        guard zt_identity(descriptor, &device, &inode) == 0 else { return nil }
        return Identity(device: device, inode: inode)
    }

    /// The namespace that all threads come back to: the one the first caller lives in. Open for the process's life.
    private static let own = zt_open_own_net_namespace()

    private static func ownNamespace() throws(CaptureFailure) -> Int32 {
        guard own >= 0 else {
            throw CaptureFailure("open ztund's own network namespace", SystemError("open", -own), hint: "mount /proc")
        }
        return own
    }
}
