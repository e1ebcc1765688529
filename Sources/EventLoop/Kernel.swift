internal import CLinux
internal import Glibc
package import MeshModel

/// A run of bytes for a gathering write; laid out as the kernel's `struct iovec`. Borrows the memory.
package struct ByteRange {
    package var base: UnsafeMutableRawPointer?
    package var count: Int

    package init(_ base: UnsafeMutableRawPointer?, _ count: Int) {
        self.base = base
        self.count = count
    }
}

/// The system calls of the data path; each returns a non-negative result or a negative errno, never throws.
///
/// Would-block is a value here (`-EAGAIN`), since on a data path it is no error.
package enum Kernel {
    package static func read(_ fd: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
        zt_read(fd, buffer, count)
    }

    /// Reads without taking: the same bytes are read again.
    package static func peek(_ fd: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
        zt_peek(fd, buffer, count)
    }

    /// How many bytes a read would find, or a negative errno.
    package static func pendingBytes(_ fd: Int32) -> Int { zt_pending_bytes(fd) }

    package static func write(_ fd: Int32, _ buffer: UnsafeRawPointer, _ count: Int) -> Int {
        zt_write(fd, buffer, count)
    }

    package static func writev(_ fd: Int32, _ vector: UnsafePointer<ByteRange>, _ count: Int32) -> Int {
        zt_writev(fd, vector, count)
    }

    /// A new unconnected, non-blocking TCP socket in the calling thread's network namespace.
    package static func tcpSocket(ipv6: Bool) -> Int32 { zt_socket_tcp(ipv6 ? 1 : 0) }

    /// Accepts one connection, non-blocking and close-on-exec.
    package static func accept(_ fd: Int32) -> (descriptor: Int32, peer: SocketAddress) {
        var address = zt_address()
        let result = zt_accept(fd, &address)
        return (result, SocketAddress(address))
    }

    /// Starts a connect; 0 or `-EINPROGRESS` when it is under way. The socket must be of the address's family.
    package static func connect(_ fd: Int32, _ address: SocketAddress, ipv6Socket: Bool) -> Int32 {
        var raw = zt_address(address)
        return zt_connect(fd, &raw, ipv6Socket ? 1 : 0)
    }

    package static func bind(_ fd: Int32, _ address: SocketAddress, ipv6Socket: Bool) -> Int32 {
        var raw = zt_address(address)
        return zt_bind(fd, &raw, ipv6Socket ? 1 : 0)
    }

    package static func listen(_ fd: Int32, backlog: Int32) -> Int32 { zt_listen(fd, backlog) }

    package static func localAddress(_ fd: Int32) -> SocketAddress? {
        var address = zt_address()
        return zt_local_address(fd, &address) == 0 ? SocketAddress(address) : nil
    }

    package static func peerAddress(_ fd: Int32) -> SocketAddress? {
        var address = zt_address()
        return zt_peer_address(fd, &address) == 0 ? SocketAddress(address) : nil
    }

    /// SO_ERROR: the positive errno of a failed connect or a reset, 0 for none.
    package static func pendingError(_ fd: Int32) -> Int32 { zt_socket_error(fd) }

    /// Ends the sending half: FIN after what is queued.
    package static func shutdownWrite(_ fd: Int32) { _ = zt_shutdown_write(fd) }

    /// Makes the next close send RST.
    package static func resetOnClose(_ fd: Int32) { _ = zt_set_reset_on_close(fd) }

    package static func setNoDelay(_ fd: Int32) { _ = zt_set_nodelay(fd) }

    package static func setReuseAddress(_ fd: Int32) -> Int32 { zt_set_reuseaddr(fd) }

    package static func setReusePort(_ fd: Int32) -> Int32 { zt_set_reuseport(fd) }

    package static func setV6Only(_ fd: Int32, _ on: Bool) -> Int32 { zt_set_v6only(fd, on ? 1 : 0) }

    package static func setKeepAlive(_ fd: Int32, idle: Int32, interval: Int32, probes: Int32) {
        _ = zt_set_keepalive(fd, idle, interval, probes)
    }

    /// A Unix stream listener at the path with the mode; the path must not exist.
    package static func unixListen(_ path: String, backlog: Int32, mode: UInt32) -> Int32 {
        zt_unix_listen(path, backlog, mode)
    }

    package static func unixAccept(_ fd: Int32) -> Int32 { zt_unix_accept(fd) }

    /// Connects a (blocking) Unix stream socket.
    package static func unixConnect(_ path: String) -> Int32 { zt_unix_connect(path) }

    /// The uid of the peer of a Unix socket; nil when the kernel does not say.
    package static func unixPeerUID(_ fd: Int32) -> UInt32? {
        var uid: UInt32 = 0
        return zt_unix_peer_uid(fd, &uid) == 0 ? uid : nil
    }

    /// Nanoseconds of the monotonic clock.
    package static func monotonicNow() -> UInt64 { zt_monotonic_ns() }

    /// Nanoseconds since 1970.
    package static func realtimeNow() -> UInt64 { zt_realtime_ns() }

    /// Raises the soft limit of descriptors to the hard one; returns the limit or a negative errno.
    package static func raiseDescriptorLimit() -> Int32 { zt_raise_descriptor_limit() }

    /// The limit of descriptors of this process, or a negative errno.
    package static func descriptorLimit() -> Int32 { zt_descriptor_limit() }

    /// The number the next descriptor of this process will have, or a negative errno when there is none. The kernel gives
    /// out the lowest free number, so it tells how full the table is at least.
    package static func nextDescriptor(like fd: Int32) -> Int32 { zt_next_descriptor(fd) }

    package static func ignoreBrokenPipes() { _ = zt_block_sigpipe() }

    /// The name of an errno, such as `ECONNREFUSED`.
    package static func errnoName(_ code: Int32) -> String { String(cString: zt_errno_name(code)) }
}

extension SocketAddress {
    init(_ raw: zt_address) {
        self.init(IPAddress(high: raw.high, low: raw.low), raw.port)
    }
}

extension zt_address {
    init(_ address: SocketAddress) {
        self.init(high: address.ip.high, low: address.ip.low, port: address.port)
    }
}

extension Kernel {
    /// Whether the result of ``connect(_:_:ipv6Socket:)`` says that the connect goes on in the background.
    package static func isInProgress(_ result: Int32) -> Bool { result == -EINPROGRESS }

    /// Whether a negative result only means "not now".
    package static func wouldBlock(_ result: Int) -> Bool { result == -Int(EAGAIN) }
}

extension Kernel {
    /// EMFILE, as a positive errno.
    package static var tooManyDescriptors: Int32 { EMFILE }

    /// Whether a negative result says that the process or the machine is out of descriptors or memory.
    package static func isShortOfResources(_ result: Int32) -> Bool {
        [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(-result)
    }
}

extension Kernel {
    /// Processors this process may run on; at least 1.
    package static var processorCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

    /// Sleeps; for threads that serve nobody.
    package static func pause(milliseconds: UInt32) { usleep(milliseconds * 1000) }
    /// As above, in microseconds; fewer than a million.
    package static func pause(microseconds: UInt32) { usleep(microseconds) }
}
