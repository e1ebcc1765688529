internal import CLinux

/// What the kernel says a descriptor is ready for.
public struct Readiness: OptionSet, Sendable {
    /// The epoll event bits.
    public let rawValue: UInt32

    /// Wraps epoll event bits.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Bytes, a connection or an end of stream can be taken.
    public static let readable = Readiness(rawValue: UInt32(ZT_EPOLLIN))
    /// Urgent data has come: a read stops before it, whatever is behind (tcp(7)).
    public static let urgent = Readiness(rawValue: UInt32(ZT_EPOLLPRI))
    /// The socket takes bytes again, or its connect() has ended.
    public static let writable = Readiness(rawValue: UInt32(ZT_EPOLLOUT))
    /// The peer has closed its sending half.
    public static let peerClosed = Readiness(rawValue: UInt32(ZT_EPOLLRDHUP))
    /// An error is pending; read it with ``Kernel/pendingError(_:)``.
    public static let failed = Readiness(rawValue: UInt32(ZT_EPOLLERR))
    /// Both halves are closed.
    public static let hungUp = Readiness(rawValue: UInt32(ZT_EPOLLHUP))

    /// After any of these a short read does not mean that nothing is left to read.
    public static let interruptions: Readiness = [.peerClosed, .hungUp, .failed, .urgent]
}
