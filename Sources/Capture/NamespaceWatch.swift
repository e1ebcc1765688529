internal import CLinux
internal import EventLoop

/// Tells when links, addresses, routes, routing rules or nftables change in the pods' network namespaces.
///
/// One descriptor to wait for, and one or two in each namespace that is followed. Used by the control thread alone.
package final class NamespaceWatch {
    /// Readable while ``take()`` has something to tell.
    package var descriptor: Int32 { poll.number }

    private let poll: Descriptor
    /// The sockets of each namespace, by its token.
    private var followed: [UInt64: Followed] = [:]
    private var next: UInt64 = 1

    private struct Followed {
        var sockets: [Int32]
        /// Something was heard that nobody has taken yet.
        var isChanged = false
    }

    private init(_ poll: consuming Descriptor) {
        self.poll = poll
    }

    /// Nil when the process has no descriptor left.
    static func start() -> NamespaceWatch? {
        let number = zt_epoll_create()
        return number < 0 ? nil : NamespaceWatch(Descriptor(owning: number))
    }

    /// Follows a namespace until the result is let go; nil when its sockets cannot be had.
    ///
    /// - Parameter rules: whether nftables matter too.
    func follow(_ namespace: NetworkNamespace, rules: Bool) -> NamespaceNotices? {
        guard let routes = socket(in: namespace, zt_route_notices) else { return nil }
        let tables = rules ? socket(in: namespace, zt_nft_notices) : nil
        guard !rules || tables != nil else { return nil }
        let token = next
        let numbers = [routes.number] + (tables.map { [$0.number] } ?? [])
        for number in numbers {
            // 1: readable.
            guard zt_epoll_add(poll.number, number, 1, token) == 0 else { return nil }
        }
        next += 1
        followed[token] = Followed(sockets: numbers)
        return NamespaceNotices(token, self, routes, tables)
    }

    /// The tokens of the namespaces in which something changed since the last call.
    package func take() -> Set<UInt64> {
        var found: Set<UInt64> = []
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        let count = zt_epoll_wait(poll.number, &events, 64, 0)
        for index in 0..<max(0, Int(count)) {
            let token = zt_epoll_cookie(&events[index])
            drain(token)
            if followed[token]?.isChanged == true { found.insert(token) }
        }
        return found
    }

    /// Whether something changed in one namespace since it was last asked about.
    fileprivate func takeChange(_ token: UInt64) -> Bool {
        drain(token)
        defer { followed[token]?.isChanged = false }
        return followed[token]?.isChanged ?? false
    }

    fileprivate func forget(_ token: UInt64) {
        followed[token] = nil
    }

    /// A socket that fails counts as one that heard something: looking costs little.
    private func drain(_ token: UInt64) {
        for number in followed[token]?.sockets ?? [] where zt_take_notices(number) != 0 {
            followed[token]?.isChanged = true
        }
    }

    private func socket(in namespace: NetworkNamespace, _ open: () -> Int32) -> HeldSocket? {
        let number = try? namespace.run { () throws(SystemError) in try SystemError.check("netlink", open()) }
        return number.map { HeldSocket(Descriptor(owning: $0)) }
    }
}

/// One namespace that a ``NamespaceWatch`` follows, for as long as this lives.
final class NamespaceNotices {
    /// What ``NamespaceWatch/take()`` calls it.
    let token: UInt64
    private let watch: NamespaceWatch
    private let routes: HeldSocket
    private let tables: HeldSocket?

    fileprivate init(_ token: UInt64, _ watch: NamespaceWatch, _ routes: HeldSocket, _ tables: HeldSocket?) {
        self.token = token
        self.watch = watch
        self.routes = routes
        self.tables = tables
    }

    deinit {
        // The kernel takes closed sockets out of the poll set by itself.
        watch.forget(token)
    }

    /// Whether something changed in it since the last call.
    func take() -> Bool { watch.takeChange(token) }
}

/// A socket that closes with its last holder.
private final class HeldSocket {
    let descriptor: Descriptor
    var number: Int32 { descriptor.number }

    init(_ descriptor: consuming Descriptor) {
        self.descriptor = descriptor
    }
}
